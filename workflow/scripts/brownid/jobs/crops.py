"""The crop between a generator and whoever reads its faces."""

import torch

from brownid.alignment.crop import FixedCrop
from brownid.alignment.templates import template
from brownid.generators.protocol import ConditionalGenerator, Generator


def crop_for(generator: Generator | ConditionalGenerator, template_name: str, side: int) -> FixedCrop:
    """The crop that brings the generator's eyes to those of an alignment template, in images of `side` pixels."""
    eyes = template(template_name, side)[:2]
    return FixedCrop(generator.eyes, eyes, generator.resolution, side).to(device_of(generator))


def device_of(generator: Generator | ConditionalGenerator) -> torch.device:
    """Where a generator computes."""
    return generator.device if getattr(generator, "conditional", False) else generator.latent_mean.device
