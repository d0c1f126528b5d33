"""The crop between a generator and whoever reads its faces."""

from brownid.alignment.crop import FixedCrop
from brownid.alignment.templates import template
from brownid.generators.protocol import EmbeddingConditionedGenerator, Generator, device_of


def crop_for(generator: Generator | EmbeddingConditionedGenerator, template_name: str, side: int) -> FixedCrop:
    """The crop that brings the generator's faces to an alignment template, in images of `side` pixels.

    All five landmarks are matched where generator and template know them, else the eyes, as in `realign`.
    """
    source, target = generator.landmarks, template(template_name, side)
    shared = min(len(source), len(target))
    return FixedCrop(source[:shared], target[:shared], generator.resolution, side).to(device_of(generator))
