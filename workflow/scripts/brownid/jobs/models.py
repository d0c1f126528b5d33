"""The face model of a stage: generator, crop and FR network from their settings, on the device of this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brownid.generators.loading import load_generator
from brownid.jobs.crops import crop_for
from brownid.recognition.facemodel import FaceModel
from brownid.recognition.weights import load_backbone
from brownid.runtime import default_device


def load_face_model(settings: Mapping[str, Any], weights: str | Path) -> FaceModel:
    """The face model E = F(A(G(w))) of a stage: `settings` has the sections `generator` and `network`."""
    device = default_device()
    generator = load_generator(settings["generator"], device)
    network = settings["network"]
    return FaceModel(
        generator,
        crop_for(generator, network["template"], network["side"]),
        load_backbone(weights, network["family"], network["architecture"], network["side"], device=device),
        precision=network["precision"],
    )
