"""Networks of latent diffusion models, and deterministic sampling with them."""

import importlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from brownid.runtime import text
from brownid.runtime.errors import BrownidError, pip_install
from brownid.runtime.randomness import normal
from brownid.weights import state_dict
from brownid.weights.catalogue import CONFIG, network_weights
from brownid.weights.state_dict import load_strictly

Module = TypeVar("Module", bound=nn.Module)

# Before diffusers 0.13 its attention blocks had other names for the same tensors; published files keep them.
_OLD_ATTENTION = re.compile(r"(.*attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)")
_NEW_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def library(name: str) -> ModuleType:
    """diffusers or transformers; `BrownidError` that says how to install it where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BrownidError(
            f"Generators of the families arc2face and ldm need {name}, which cannot be imported ({error}): "
            f"run `make diffusion` in the clone, or `{pip_install('diffusers', 'transformers')}`."
        ) from error


@contextmanager
def fitting(folders: str, page: str) -> Iterator[None]:
    """Within the block, numbers and words in the JSON files of `folders` that do not fit are a `BrownidError`."""
    try:
        yield
    except BrownidError as error:
        raise BrownidError(f"{folders}: {error}") from error
    except (ArithmeticError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise BrownidError(
            f"{folders}: something in the .json files makes no generator ({error}); fetch them again from {page}."
        ) from error


def positive_scale(number: Any) -> float:
    """Divisor of latent images; `ValueError` if it is no positive number."""
    scale = float(number)
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scaling_factor is {number!r}")
    return scale


def read_json(path: Path, page: str) -> dict[str, Any]:
    """The settings in a JSON file; `BrownidError` that names the file, and the `page` that publishes it if missing."""
    try:
        content = text.read_json(path)
    except BrownidError as error:
        raise BrownidError(f"{str(error).removesuffix('.')}; {page} publishes it.") from None
    if not isinstance(content, dict):
        raise BrownidError(f"{path}: holds no named settings; fetch the file again from {page}.")
    return content


def read_weights(path: Path, page: str) -> dict[str, Tensor]:
    """The named tensors of a safetensors or torch file, on the CPU; a `BrownidError` names the file and the `page`."""
    try:
        return state_dict.read_weights(path)
    except BrownidError as error:
        raise BrownidError(f"{str(error).removesuffix('.')}; {page} publishes it.") from None


class LibraryNetwork(nn.Module):
    """The type of the networks of diffusers and transformers, which are imported only where they are used."""

    config: Any  # the settings of its config.json, as attributes
    decode: Callable[[Tensor], Any]  # of an autoencoder
    get_input_embeddings: Callable[[], nn.Module]  # of a text model


def load_network(folder: Path, kinds: tuple[str, ...], page: str) -> LibraryNetwork:
    """The network of diffusers in `folder`, of one of the classes `kinds`, every tensor from the file; float32."""
    config = read_json(folder / CONFIG, page)
    kind = config.get("_class_name")
    if kind not in kinds:
        raise BrownidError(f"{folder / CONFIG}: describes a {kind}, where a {' or '.join(kinds)} is needed.")
    try:
        network = build_network(kind, config)
    # Whatever a wrong number in the settings leads to, the file is what the user can correct.
    except Exception as error:
        raise BrownidError(f"{folder / CONFIG}: no {kind} can be made of it: {error}") from error
    path = network_weights(folder)
    load_strictly(network, with_new_names(read_weights(path, page)), str(path))
    return frozen(network)


def build_network(kind: str, config: Mapping[str, Any]) -> LibraryNetwork:
    """A network of a class of diffusers, with the weights that it begins its training with."""
    return getattr(library("diffusers"), kind).from_config(dict(config))


def with_new_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, those of attention blocks under the names that diffusers has given them since version 0.13."""
    return {_OLD_ATTENTION.sub(lambda m: f"{m[1]}.{_NEW_NAMES[m[2]]}.{m[3]}", name): t for name, t in tensors.items()}


def draw_weights(network: Module, seed: int, name: str) -> Module:
    """The network with every matrix and kernel drawn from (seed, `name` and its own name), of variance 1 / inputs.

    Biases are zero: as torch made them, they would be other ones in every process. Norms keep their factors of 1.
    """
    for own, parameter in network.named_parameters():
        if parameter.ndim > 1:
            drawn = normal(seed, f"{name}/{own}", [0], tuple(parameter.shape))[0]
            parameter.data.copy_(drawn / math.sqrt(parameter[0].numel()))
        elif own.endswith("bias"):
            parameter.data.zero_()
    return frozen(network)


def frozen(network: Module) -> Module:
    """The network for rendering only: no gradients, no dropout."""
    return network.requires_grad_(False).eval()


def in_format(generator: Module, dtype: torch.dtype, names: tuple[str, ...]) -> Module:
    """The generator, its networks of these names in a number format."""
    for name in names:
        nn.Module.to(generator.get_submodule(name), dtype)  # their own `to` warns of a case that none of them is
    return generator


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
_DECODED_AT_ONCE = 4  # images: a decoder takes more memory for an image than the denoising network does


def make_scheduler(name: str, config: Mapping[str, Any], steps: int) -> Any:
    """A scheduler with the noise levels of `config`, as a scheduler_config.json has them, set to `steps` steps.

    It stays on the CPU: a scheduler looks its numbers up by the time of the step, for which a GPU would be waited for.
    """
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
        scheduler.set_timesteps(steps)
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
        predicted = predict(scheduler.scale_model_input(latents, time), time.to(latents.device))
        latents = scheduler.step(predicted.float(), time, latents).prev_sample
    return latents


def decode(vae: LibraryNetwork, latents: Tensor) -> Tensor:
    """RGB images `[B, 3, H, W]` in [-1, 1], float32, of latents in the decoder's own scale; a few at a time."""
    dtype = next(vae.parameters()).dtype
    parts = [vae.decode(part.to(dtype)).sample.float() for part in latents.split(_DECODED_AT_ONCE)]
    return torch.cat(parts).clamp(-1, 1)
