"""StyleGAN generators as the configuration describes them: from a published file, or with weights drawn at random."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import nn

from brownid.generators.protocol import AverageFace
from brownid.generators.stylegan2.generator import StyleGAN2, random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.generators.stylegan3.generator import StyleGAN3, random_stylegan3
from brownid.generators.stylegan3.settings import StyleGAN3Settings
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import compute_dtype
from brownid.weights.generator_files import GeneratorFile, read_generator_file
from brownid.weights.state_dict import load_strictly, made_within

Network = TypeVar("Network", bound=nn.Module)
Settings = TypeVar("Settings", StyleGAN2Settings, StyleGAN3Settings)

# The sizes of a generator with random weights, and the fields of its settings that each sets.
STYLEGAN2_SIZES = {
    "resolution": ("resolution",),
    "latent_dim": ("z_dim", "w_dim"),
    "mapping_layers": ("mapping_layers",),
    "channel_base": ("channel_base",),
    "channel_max": ("channel_max",),
}
STYLEGAN3_SIZES = {**STYLEGAN2_SIZES, "resolution": ("img_resolution",), "layers": ("num_layers",)}


def stylegan2(
    *,
    file: str | None = None,
    random: Mapping[str, int] | None = None,
    seed: int | None = None,
    noise: str = "off",
    template: str = "ffhq",
    eyes: Sequence[Sequence[float]] | None = None,
    landmarks: Sequence[Sequence[float]] | None = None,
    precision: str = "float32",
    channels_last: bool = True,
    device: str | torch.device = "cpu",
) -> StyleGAN2:
    """A StyleGAN2 of the weights in `file`, or of sizes `random` (see `STYLEGAN2_SIZES`) and weights drawn by `seed`.

    `noise` is "off", "fixed", "item" or "random" (see `StyleGAN2`); `precision` is "float32", "bfloat16" or "auto";
    `template`, `eyes` and `landmarks` are those of `AverageFace`. Raises `BrownidError` where the file holds anything
    but an unconditional StyleGAN2, whole.
    """
    face = AverageFace(template, eyes, landmarks)
    options = {"noise": noise, "compute_dtype": compute_dtype(precision, device), "channels_last": channels_last}
    _check_source("stylegan2", file, random, seed)
    if file is None:
        settings = _random_settings(StyleGAN2Settings, random, STYLEGAN2_SIZES)
        generator = random_stylegan2(settings, seed, **options)
    else:
        content, settings = _read(file, "stylegan2", StyleGAN2Settings)
        generator = _loaded(lambda: StyleGAN2(settings, **options), content, file)
    generator.landmarks = face.points(generator.resolution)
    return generator.to(device)


def stylegan3(
    *,
    file: str | None = None,
    random: Mapping[str, int] | None = None,
    seed: int | None = None,
    anchored: bool = False,
    template: str = "ffhq",
    eyes: Sequence[Sequence[float]] | None = None,
    landmarks: Sequence[Sequence[float]] | None = None,
    precision: str = "float32",
    device: str | torch.device = "cpu",
) -> StyleGAN3:
    """A StyleGAN3 of the weights in `file`, or of sizes `random` (see `STYLEGAN3_SIZES`) and weights drawn by `seed`.

    `anchored` holds the pose of the mean latent (see `StyleGAN3.anchor`); `template`, `eyes` and `landmarks` are those
    of `AverageFace`. Raises `BrownidError` as `stylegan2` does.
    """
    face = AverageFace(template, eyes, landmarks)
    _check_source("stylegan3", file, random, seed)
    if file is None:
        generator = random_stylegan3(_random_settings(StyleGAN3Settings, random, STYLEGAN3_SIZES), seed)
    else:
        content, settings = _read(file, "stylegan3", StyleGAN3Settings)
        generator = _loaded(lambda: StyleGAN3(settings), content, file)
    generator.compute_dtype = compute_dtype(precision, device)
    generator.landmarks = face.points(generator.resolution)
    generator = generator.to(device)
    return generator.anchor() if anchored else generator


def _check_source(family: str, file: str | None, random: Mapping[str, int] | None, seed: int | None) -> None:
    if (file is None) == (random is None):
        raise BrownidError(
            f"A generator of the family {family!r} needs exactly one of 'file' (its weights) and 'random' (the sizes "
            "of one whose weights are drawn)."
        )
    if (random is None) != (seed is None):
        raise BrownidError(
            f"A generator of the family {family!r} with 'random' needs a 'seed' that its weights are drawn by, one "
            "from a file takes none."
        )


def _random_settings(settings_class: type[Settings], random: Mapping, sizes: Mapping[str, tuple[str, ...]]) -> Settings:
    unknown = [name for name in random if name not in sizes]
    if unknown:
        raise BrownidError(f"A random generator has no size {unknown[0]!r}: known are {', '.join(sizes)}.")
    return settings_class(**{field: value for name, value in random.items() for field in sizes[name]})


def _read(file: str, family: str, settings_class: type[Settings]) -> tuple[GeneratorFile, Settings]:
    content = read_generator_file(file)
    if content.family != family:
        raise BrownidError(f"{file}: the file holds a {content.family}, not a {family}: set family: {content.family}.")
    try:
        settings = settings_class.from_nvidia(content.constructor)
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
