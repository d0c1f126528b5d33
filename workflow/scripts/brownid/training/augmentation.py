"""Augmentation of image batches as tensor operations; what happens to an image is addressed, not drawn in passing.

As in AdaFace (Kim et al., CVPR 2022, section 4.1): horizontal flip, and a crop, a low resolution and a photometric
change, each with a probability of its own. A crop keeps a random rectangle in place and blacks out the rest. Random
erasing (Zhong et al., AAAI 2020) is the opposite: it fills a rectangle with grey, the mean of the pixels' range.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from brownid.recognition.embedding import as_network_input
from brownid.runtime.randomness import uniform
from brownid.training.settings import TrainingSettings

DRAWS = 19  # uniform numbers per image and epoch; the columns below
FLIP, CROP, LOW_RESOLUTION, PHOTOMETRIC = range(4)
AREA, ASPECT, LEFT, TOP, RESOLUTION, BRIGHTNESS, CONTRAST, SATURATION, SHIFT_X, SHIFT_Y = range(4, 14)
ERASING, ERASED_AREA, ERASED_ASPECT, ERASED_LEFT, ERASED_TOP = range(14, DRAWS)

SMALLEST_AREA = 0.2  # of the image, for a crop
WIDEST_ASPECT = 4 / 3
LOWEST_RESOLUTION = 0.2  # of the side
PHOTOMETRIC_RANGE = 0.5  # factors from 1 - this to 1 + this
ERASED_SHARE = (0.02, 0.33)  # of the image's area
ERASED_ASPECTS = (0.3, 3.3)  # height by width, even on a log scale
GREY = 0.0  # the mean that networks subtract: (127.5, 127.5, 127.5) of 255
LUMA = (0.299, 0.587, 0.114)  # grey of RGB, ITU-R BT.601


def draws(seed: int, indices: Sequence[int], epoch: int) -> Tensor:
    """The random numbers `[B, DRAWS]` of images in an epoch; a row depends on (seed, image, epoch) alone."""
    return uniform(seed, "training/augmentation", indices, (DRAWS,), iteration=epoch)


def augment(images: Tensor, numbers: Tensor, settings: TrainingSettings) -> Tensor:
    """Network input `[B, 3, S, S]` in [-1, 1] of images uint8 `[B, S, S, 3]`, changed as `numbers` of `draws` say."""
    images = as_network_input(_move(images, numbers, settings))
    steps = (
        (CROP, settings.crop_probability, _crop),
        (LOW_RESOLUTION, settings.low_resolution_probability, _lower_resolution),
        (PHOTOMETRIC, settings.photometric_probability, _change_light),
        (ERASING, settings.erasing_probability, _erase),
    )
    where = _changed_rows if images.device.type == "cpu" else _changed_everywhere
    for column, probability, change in steps:
        if probability:
            images = where(images, numbers, numbers[:, column] < probability, change)
    return images


Change = Callable[[Tensor, Tensor], Tensor]


def _changed_rows(images: Tensor, numbers: Tensor, chosen: Tensor, change: Change) -> Tensor:
    """The images, of which those where `chosen` `[B]` is true are changed, in place."""
    rows = chosen.nonzero().squeeze(1)
    if len(rows):
        images[rows] = change(images[rows], numbers[rows])
    return images


def _changed_everywhere(images: Tensor, numbers: Tensor, chosen: Tensor, change: Change) -> Tensor:
    """The same on a GPU, which changes all images: to ask it which ones are chosen is to wait for it."""
    return torch.where(chosen[:, None, None, None], change(images, numbers), images)


def _move(images: Tensor, numbers: Tensor, settings: TrainingSettings) -> Tensor:
    """Flips, and shifts by whole pixels of at most `settings.shift` of the side; border pixels fill what comes in."""
    flipped = numbers[:, FLIP] < settings.flip_probability
    count, side = images.shape[:2]
    span = round(settings.shift * side)
    if span == 0:
        return torch.where(flipped[:, None, None, None], images.flip(2), images)
    shifts = (numbers[:, SHIFT_X : SHIFT_Y + 1] * (2 * span + 1)).floor().long() - span  # [B, 2]
    pixels = torch.arange(side, device=images.device)
    x = torch.where(flipped[:, None], pixels.flip(0), pixels)
    x = (x + shifts[:, :1]).clamp(0, side - 1)  # [B, S]
    y = (pixels + shifts[:, 1:]).clamp(0, side - 1)
    batch = torch.arange(count, device=images.device)[:, None, None]
    return images[batch, y[:, :, None], x[:, None, :]]


def _crop(images: Tensor, numbers: Tensor) -> Tensor:
    """Black (-1) outside a rectangle of 20 to 100 % of the area, aspect 3:4 to 4:3."""
    area = SMALLEST_AREA + (1 - SMALLEST_AREA) * numbers[:, AREA]
    root = WIDEST_ASPECT ** (numbers[:, ASPECT] - 0.5)  # square root of the aspect, even on a log scale
    width, height = (area.sqrt() * root).clamp(max=1), (area.sqrt() / root).clamp(max=1)
    return torch.where(_rectangle(numbers[:, TOP], height, numbers[:, LEFT], width, images.shape[-1]), images, -1.0)


def _erase(images: Tensor, numbers: Tensor) -> Tensor:
    """Grey inside a rectangle of 2 to 33 % of the area, aspect 0.3 to 3.3, no longer than the image."""
    smallest, largest = ERASED_SHARE
    area = smallest + (largest - smallest) * numbers[:, ERASED_AREA]
    least, most = map(math.log, ERASED_ASPECTS)
    root = torch.exp((least + (most - least) * numbers[:, ERASED_ASPECT]) / 2)  # square root of the aspect
    height, width = (area.sqrt() * root).clamp(max=1), (area.sqrt() / root).clamp(max=1)
    erased = _rectangle(numbers[:, ERASED_TOP], height, numbers[:, ERASED_LEFT], width, images.shape[-1])
    return torch.where(erased, GREY, images)


def _rectangle(top: Tensor, height: Tensor, left: Tensor, width: Tensor, side: int) -> Tensor:
    """Mask `[B, 1, S, S]` of rectangles in shares of the side; `top` and `left` are shares of the room that is left."""
    inside = [_between(place * (1 - extent), extent, side) for place, extent in ((top, height), (left, width))]
    return inside[0][:, None, :, None] & inside[1][:, None, None, :]


def _between(start: Tensor, extent: Tensor, side: int) -> Tensor:
    """Mask `[B, side]` of pixel centres in [start, start + extent], in shares of the side."""
    centres = (torch.arange(side, device=start.device) + 0.5) / side
    return (centres >= start[:, None]) & (centres <= (start + extent)[:, None])


def _lower_resolution(images: Tensor, numbers: Tensor) -> Tensor:
    """Down to 20 to 100 % of the side and up again, as one matrix product along each axis."""
    side = images.shape[-1]
    share = LOWEST_RESOLUTION + (1 - LOWEST_RESOLUTION) * numbers[:, RESOLUTION]
    sizes = (share * side).round().long().clamp(min=1)
    matrices = _resolution_matrices(side, images.device)[sizes][:, None]  # [B, 1, S, S]
    return matrices @ images @ matrices.mT


@lru_cache(maxsize=4)
def _resolution_matrices(side: int, device: torch.device) -> Tensor:
    """`[side + 1, side, side]`: matrix r takes a row of pixels down to r pixels (antialiased) and up again.

    They are kept on the device: 5.7 MB for 112 pixels, which would be copied in each step.
    """
    identity = torch.eye(side)[None, None]  # one image whose columns are the unit rows
    matrices = [torch.zeros(side, side)]
    for size in range(1, side + 1):
        small = F.interpolate(identity, (size, side), mode="bilinear", antialias=True)
        matrices.append(F.interpolate(small, (side, side), mode="bilinear", antialias=True)[0, 0])
    return torch.stack(matrices).to(device)


def _change_light(images: Tensor, numbers: Tensor) -> Tensor:
    """Brightness, then contrast, then saturation, each multiplied by a factor in [0.5, 1.5] and kept in [-1, 1]."""
    factors = 1 + PHOTOMETRIC_RANGE * (2 * numbers[:, BRIGHTNESS : SATURATION + 1] - 1)
    brightness, contrast, saturation = factors[:, :, None, None, None].unbind(1)
    images = ((images + 1) / 2 * brightness).clamp(0, 1)
    mean = _grey(images).mean((2, 3), keepdim=True)
    images = (mean + (images - mean) * contrast).clamp(0, 1)
    grey = _grey(images)
    return (grey + (images - grey) * saturation).clamp(0, 1) * 2 - 1


def _grey(images: Tensor) -> Tensor:
    red, green, blue = images.unbind(1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).unsqueeze(1)
