"""What projection and its warm start compare images by: functions from images `[B, 3, S, S]` to rows `[B, F]`."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from brownid.errors import BrownidError
from brownid.recognition.facemodel import GeneratorFaceModel

Features = Callable[[Tensor], Tensor]


def pixel_pyramid(levels: int = 4) -> Features:
    """The image at `levels` resolutions, each half the one before, scaled for squared distances.

    The squared distance of two rows is the mean over the levels of the mean squared pixel difference; coarse levels
    give a gradient where fine structure does not overlap yet.
    """
    if levels < 1:
        raise BrownidError(f"A pixel pyramid cannot have {levels} levels: give at least 1.")

    def features(images: Tensor) -> Tensor:
        parts = []
        for level in range(levels):
            if level:
                images = F.avg_pool2d(images, 2)
            parts.append(images.flatten(1) / math.sqrt(levels * images[0].numel()))
        return torch.cat(parts, dim=1)

    return features


def weighted_features(parts: Sequence[tuple[float, Features]]) -> Features:
    """Several features side by side; each part's squared distance counts `weight` times."""
    for weight, _ in parts:
        if weight < 0:
            raise BrownidError(f"A feature weight of {weight} would pull images apart: give zero or more.")
    kept = [(math.sqrt(weight), features) for weight, features in parts if weight > 0]
    if not kept:
        raise BrownidError("All feature weights are zero, so images cannot be compared: give one a positive weight.")
    return lambda images: torch.cat([scale * features(images) for scale, features in kept], dim=1)


def pixels_and_embedding(model: GeneratorFaceModel, pyramid_weight: float, embedding_weight: float) -> Features:
    """The pixel pyramid and the embedding of images in the frame of a face model."""
    return weighted_features([(pyramid_weight, pixel_pyramid()), (embedding_weight, model.embed_images)])
