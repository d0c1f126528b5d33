"""The crop between a generator and whoever reads its faces."""

import torch

from brownid.alignment.crop import FixedCrop
from brownid.alignment.templates import template
from brownid.generators.average_face import landmarks_of
from brownid.generators.protocol import ConditionalGenerator, Generator


def crop_for(generator: Generator | ConditionalGenerator, template_name: str, side: int) -> FixedCrop:
    """The crop that brings the generator's faces to an alignment template, in images of `side` pixels.

    All five landmarks are matched where generator and template know them, else the eyes, as in `realign`.
    """
    source, target = landmarks_of(generator), template(template_name, side)
    shared = min(len(source), len(target))
    return FixedCrop(source[:shared], target[:shared], generator.resolution, side).to(device_of(generator))


def device_of(generator: Generator | ConditionalGenerator) -> torch.device:
    """Where a generator computes."""
    return generator.device if getattr(generator, "conditional", False) else generator.latent_mean.device
