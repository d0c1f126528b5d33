"""Timings of one machine in a YAML file: `brownid doctor --device` writes it, `brownid estimate --device` reads it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from brownid.runtime.errors import BrownidError
from brownid.runtime.settings import REQUIRED, Settings, setting, settings_of
from brownid.runtime.text import read_yaml, write_text


class MeasuredWork(NamedTuple):
    """What the timings are of: whoever measures does this much, so that whoever reads knows what a rate stands for."""

    resolution: int = 256  # pixels of the StyleGAN2 of a force pass, and of the maps of noise
    architecture: str = "iresnet50"
    batch: int = 64  # images of a force pass, of the maps of noise, and of the depthwise filter
    channels: int = 64  # of the images of `resolution` pixels that the depthwise filter of 4 × 4 taps goes over
    packed: int = 10_000  # references, and members of the gallery
    width: int = 512  # numbers of an embedding
    crop: int = 112  # pixels of an image that is encoded or decoded


MEASURED = MeasuredWork()


@dataclass(frozen=True)
class DeviceTimings(Settings):
    """Measured timings of one GPU (or of the CPU where there is none) and of one processor core.

    The work behind each is `MEASURED`; all are positive.
    """

    device: str = setting(REQUIRED, "Name of the GPU, or of the processor where there is none.")
    force_pass_images_per_second: float = setting(
        REQUIRED,
        "Images per second of StyleGAN2-256 and iResNet50, forward and backward by the latents, in batches of 64, with "
        "noise maps that are fixed.",
        above=0,
    )
    noise_images_per_second: float = setting(
        REQUIRED, "Images per second whose random noise maps (StyleGAN2-256, 174 736 numbers) are drawn.", above=0
    )
    packing_iterations_per_second: float = setting(
        REQUIRED,
        "Iterations per second of packing 10 000 references near a gallery of 10 000, in 512 dimensions.",
        above=0,
    )
    depthwise_milliseconds: float = setting(
        REQUIRED,
        "The depthwise filter of 4 × 4 taps over a batch of 64 images of 64 channels and 256 pixels, forward.",
        unit="milliseconds",
        above=0,
    )
    encode_images_per_second_per_core: float = setting(
        REQUIRED, "Images of 112 pixels per second that one core encodes as PNG.", above=0
    )
    decode_images_per_second_per_core: float = setting(
        REQUIRED, "Images of 112 pixels per second that one core decodes from PNG.", above=0
    )


def write_timings(path: str | Path, timings: DeviceTimings) -> None:
    """Write the timings as YAML; the file appears whole or not at all."""
    write_text(path, yaml.safe_dump(dataclasses.asdict(timings), sort_keys=False, allow_unicode=True))


def read_timings(path: str | Path) -> DeviceTimings:
    """The timings in a file; BrownidError where it is unreadable, or a value is missing, unknown or out of bounds."""
    content: Any = read_yaml(path)
    if not isinstance(content, Mapping):
        raise BrownidError(f"{path}: these are no timings: it holds no mapping; write it by `brownid doctor --device`.")
    missing = [name for name in settings_of(DeviceTimings) if name not in content]
    if missing:
        raise BrownidError(f"{path}: {', '.join(missing)} is missing; write it by `brownid doctor --device`.")
    try:
        return DeviceTimings.of(content, str(path))
    except BrownidError as error:
        said = str(error)
        raise BrownidError(said if said.startswith(str(path)) else f"{path}: {said}") from None
