"""Networks and face models from their settings, on the device of this machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from brownid.alignment.crop import FixedCrop
from brownid.alignment.templates import template
from brownid.generators.loading import load_generator
from brownid.generators.protocol import Generator
from brownid.randomness import normal
from brownid.recognition.facemodel import FaceModel
from brownid.recognition.weights import load_backbone
from brownid.runtime import default_device, logger


def load_face_model(settings: Mapping[str, Any], weights: str | Path) -> FaceModel:
    """The face model E = F(A(G(w))) of a stage: `settings` has the sections `generator` and `network`."""
    device = default_device()
    generator = load_generator(settings["generator"], device)
    network = settings["network"]
    logger.info("generator %s, network %s, device %s", settings["generator"], network, device)
    return FaceModel(
        generator,
        crop_for(generator, network["template"], network["side"]),
        load_backbone(weights, network["family"], network["architecture"], network["side"], device=device),
        precision=network["precision"],
    )


def crop_for(generator: Generator, template_name: str, side: int) -> FixedCrop:
    """The crop that brings the generator's eyes to those of an alignment template, in images of `side` pixels."""
    eyes = template(template_name, side)[:2]
    return FixedCrop(generator.eyes, eyes, generator.resolution, side).to(generator.latent_mean.device)


@torch.no_grad()
def random_latents(generator: Generator, items: Sequence[int], truncation: float, seed: int) -> torch.Tensor:
    """The random start `[n, D]` of identities: z ~ N(0, I) of the identity's own address, mapped with truncation."""
    z = normal(seed, "references/start", items, (generator.latent_dim,))
    return generator.map(z.to(generator.latent_mean), truncation)
