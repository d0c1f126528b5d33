"""The face model of a stage: generator, crop and FR network from their settings, on the device of this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brownid.files import sha256
from brownid.generators.loading import load_generator
from brownid.jobs.crops import crop_for
from brownid.models.folders import generator_files
from brownid.recognition.facemodel import FaceModel
from brownid.recognition.loading import load_network
from brownid.runtime import default_device


def load_face_model(settings: Mapping[str, Any], weights: str | Path) -> FaceModel:
    """The face model E = F(A(G(w))) of a stage: `settings` has the sections `generator` and `network`."""
    device = default_device()
    generator = load_generator(settings["generator"], device)
    network = settings["network"]
    return FaceModel(
        generator,
        crop_for(generator, network["template"], network["side"]),
        load_network(network, weights, device),
        precision=network["precision"],
        channels_last=network.get("channels_last", True),
        compile=network.get("compile", False),
    )


def generator_checksums(settings: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file that the generator of a stage is read from, by path: none for one without a file."""
    return {file: sha256(file) for file in generator_files(settings["generator"])}
