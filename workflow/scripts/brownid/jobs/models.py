"""The face model of a stage or command: generator, crop and FR network from their settings, on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brownid.files import sha256
from brownid.generators.loading import load_generator
from brownid.jobs.crops import crop_for
from brownid.models.folders import generator_files
from brownid.recognition.facemodel import GeneratorFaceModel
from brownid.recognition.loading import load_network
from brownid.runtime import default_device


def load_face_model(settings: Mapping[str, Any], weights: str | Path, frame: str = "network") -> GeneratorFaceModel:
    """The face model E = F(A(G(w))) that the sections `generator` and `network` of `settings` describe.

    Of `network` only `template` and `precision` are needed where the file of `weights` says the rest.
    """
    device = default_device()
    generator = load_generator(settings["generator"], device)
    described = settings["network"]
    network = load_network(described, weights, device)
    return GeneratorFaceModel(
        generator,
        crop_for(generator, described["template"], network.description.side),
        network,
        described["precision"],
        frame=frame,
        channels_last=described.get("channels_last", True),
        compile=described.get("compile", False),
    )


def generator_checksums(settings: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file that the generator of a stage is read from, by path: none for one without a file."""
    return {file: sha256(file) for file in generator_files(settings["generator"])}
