"""StyleGAN generators as the configuration describes them: from a published file, or with weights drawn at random."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from brownid.generators.protocol import AverageFace
from brownid.generators.settings import (
    StyleGAN2GeneratorSettings,
    StyleGAN2Sizes,
    StyleGAN3GeneratorSettings,
    StyleGAN3Sizes,
)
from brownid.generators.stylegan2.generator import StyleGAN2, random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.generators.stylegan3.generator import StyleGAN3, random_stylegan3
from brownid.generators.stylegan3.settings import StyleGAN3Settings
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import compute_dtype
from brownid.weights.generator_files import GeneratorFile, read_generator_file
from brownid.weights.state_dict import load_strictly, made_within

Network = TypeVar("Network", bound=nn.Module)
Shape = TypeVar("Shape", StyleGAN2Settings, StyleGAN3Settings)


def stylegan2(settings: StyleGAN2GeneratorSettings, device: str | torch.device = "cpu") -> StyleGAN2:
    """A StyleGAN2 of the weights in a file, or of sizes and weights drawn by the seed.

    Raises `BrownidError` where the file holds anything but an unconditional StyleGAN2, whole.
    """
    face = AverageFace(settings.template, settings.eyes, settings.landmarks)
    dtype = compute_dtype(settings.precision, device)
    options: dict[str, Any] = {
        "noise": settings.noise,
        "compute_dtype": dtype,
        "channels_last": settings.channels_last,
    }
    if settings.random is not None:
        generator = random_stylegan2(stylegan2_shape(settings.random), settings.seed, **options)
    else:
        content, shape = _read(settings.file, "stylegan2", StyleGAN2Settings)
        generator = _loaded(lambda: StyleGAN2(shape, **options), content, settings.file)
    generator.landmarks = face.points(generator.resolution)
    return generator.to(device)


def stylegan3(settings: StyleGAN3GeneratorSettings, device: str | torch.device = "cpu") -> StyleGAN3:
    """A StyleGAN3 of the weights in a file, or of sizes and weights drawn by the seed; errors as of `stylegan2`."""
    face = AverageFace(settings.template, settings.eyes, settings.landmarks)
    if settings.random is not None:
        generator = random_stylegan3(stylegan3_shape(settings.random), settings.seed)
    else:
        content, shape = _read(settings.file, "stylegan3", StyleGAN3Settings)
        generator = _loaded(lambda: StyleGAN3(shape), content, settings.file)
    generator.compute_dtype = compute_dtype(settings.precision, device)
    generator.landmarks = face.points(generator.resolution)
    generator = generator.to(device)
    return generator.anchor() if settings.anchored else generator


def stylegan2_shape(sizes: StyleGAN2Sizes) -> StyleGAN2Settings:
    """The architecture of these sizes."""
    return StyleGAN2Settings(
        resolution=sizes.resolution,
        z_dim=sizes.latent_dim,
        w_dim=sizes.latent_dim,
        mapping_layers=sizes.mapping_layers,
        channel_base=sizes.channel_base,
        channel_max=sizes.channel_max,
    )


def stylegan3_shape(sizes: StyleGAN3Sizes) -> StyleGAN3Settings:
    """The architecture of these sizes."""
    return StyleGAN3Settings(
        img_resolution=sizes.resolution,
        z_dim=sizes.latent_dim,
        w_dim=sizes.latent_dim,
        mapping_layers=sizes.mapping_layers,
        channel_base=sizes.channel_base,
        channel_max=sizes.channel_max,
        num_layers=sizes.layers,
    )


def _read(file: str, family: str, shape: type[Shape]) -> tuple[GeneratorFile, Shape]:
    content = read_generator_file(file)
    if content.family != family:
        raise BrownidError(f"{file}: the file holds a {content.family}, not a {family}: set family: {content.family}.")
    try:
        settings = shape.from_nvidia(content.constructor)
    except BrownidError as error:
        raise BrownidError(f"{file}: {error}") from None
    except (TypeError, ValueError, OverflowError) as error:  # texts where numbers should be, for example
        raise BrownidError(f"{file}: what it says of the generator's sizes cannot be ({error}).") from None
    if getattr(settings, "c_dim", 0):
        raise BrownidError(f"{file}: the generator takes class labels; only generators without can be used.")
    if settings.z_dim != settings.w_dim:
        raise BrownidError(
            f"{file}: latents of {settings.w_dim} numbers are mapped from {settings.z_dim}; only generators where both "
            "are equal can be used."
        )
    return content, settings


def _loaded(make: Callable[[], Network], content: GeneratorFile, file: str) -> Network:
    generator = made_within(make, content.state, file)
    load_strictly(generator, content.state, f"{file} (as {content.family})")
    return generator
