"""From noise to a clean latent image: the deterministic schedulers of diffusers, and the loop around them.

Every call makes a scheduler of its own, which holds the state of one batch: nothing is left of a batch that failed.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from brownid.errors import BrownidError
from brownid.generators.ldm.components import library

# name in the config -> class of diffusers, and what must not be left to the file's settings
SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "dpmsolver++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
# Where a file is silent, diffusers would take numbers of its own, and images would be spoilt without a word.
NOISE_LEVELS = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule")
PREDICTIONS = ("epsilon", "sample", "v_prediction")
_DRAWING = ("ancestral", "ddpm", "lcm", "sde", "tcd")  # what the names of schedulers say that add noise on the way
_DECODED_AT_ONCE = 4  # images: a decoder takes more memory for an image than the denoising network does


def check_scheduler(name: str) -> str:
    """The name of a scheduler, if it is one of `SCHEDULERS`."""
    if name in SCHEDULERS:
        return name
    known = ", ".join(SCHEDULERS)
    if any(word in str(name).lower() for word in _DRAWING):
        raise BrownidError(
            f"The scheduler {name!r} draws noise at every step, which would make an image depend on its batch: "
            f"use one that draws none: {known}."
        )
    raise BrownidError(f"There is no scheduler {name!r} here: use one of {known}.")


def make_scheduler(name: str, config: Mapping[str, Any], steps: int, device: torch.device) -> Any:
    """A scheduler with the noise levels of `config`, as a scheduler_config.json has them, set to `steps` steps."""
    kind, settings = SCHEDULERS[name]
    try:
        missing = [key for key in NOISE_LEVELS if key not in config]
        if missing:
            raise ValueError(f"{missing[0]} is missing in its scheduler_config.json")
        if config.get("prediction_type", PREDICTIONS[0]) not in PREDICTIONS:
            raise ValueError(f"prediction_type {config['prediction_type']!r} is none of {', '.join(PREDICTIONS)}")
        scheduler = getattr(library("diffusers"), kind).from_config(dict(config), **settings)
        if not 1 <= steps <= scheduler.config.num_train_timesteps:
            raise ValueError(f"{steps} steps where 1 to {scheduler.config.num_train_timesteps} are possible")
        scheduler.set_timesteps(steps, device=device)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise BrownidError(f"The scheduler {name} cannot be made of the settings of the weights: {error}.") from error
    return scheduler


def denoise(predict: Callable[[Tensor, Tensor], Tensor], noise: Tensor, scheduler: Any) -> Tensor:
    """The clean latent images `[B, C, h, w]` that standard normal `noise` of the same shape leads to, float32.

    `predict` takes noisy latent images and the time of a step, and returns what the network sees in them. The numbers
    between the steps stay float32, whatever it computes in.
    """
    latents = noise * scheduler.init_noise_sigma
    for time in scheduler.timesteps:
        predicted = predict(scheduler.scale_model_input(latents, time), time)
        latents = scheduler.step(predicted.float(), time, latents).prev_sample
    return latents


def decode(vae: nn.Module, latents: Tensor) -> Tensor:
    """RGB images `[B, 3, H, W]` in [-1, 1], float32, of latents in the decoder's own scale; a few at a time."""
    dtype = next(vae.parameters()).dtype
    parts = [vae.decode(part.to(dtype)).sample.float() for part in latents.split(_DECODED_AT_ONCE)]
    return torch.cat(parts).clamp(-1, 1)
