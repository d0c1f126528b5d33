"""From a generator's description in the config to the generator."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch

from brownid.errors import BrownidError
from brownid.generators.procedural import ProceduralGenerator
from brownid.generators.protocol import Generator

FAMILIES: dict[str, Callable[..., Generator]] = {"procedural": ProceduralGenerator}

_MEMBERS = ("latent_dim", "latent_mean", "resolution", "eyes", "map", "render")


def load_generator(spec: Mapping[str, Any], device: str | torch.device = "cpu") -> Generator:
    """The generator that `spec` describes, on `device`.

    `spec` names either a family of this project, `{family: procedural, latent_dim: 512, side: 56, world_seed: 1}`, or
    a function of the user's own, `{factory: "path.to.module:factory"}`; every other key is passed on as a keyword, and
    so is `device`. Raises `BrownidError` where the spec is wrong or the result is no generator.
    """
    keywords = dict(spec)
    family, factory = keywords.pop("family", None), keywords.pop("factory", None)
    if (family is None) == (factory is None):
        raise BrownidError(
            f"The generator {dict(spec)} needs exactly one of 'family' and 'factory': name a family "
            f"({', '.join(FAMILIES)}) or a function of your own as 'path.to.module:factory'."
        )
    if factory is not None:
        build, name = _import_factory(factory), f"factory {factory!r}"
    elif family in FAMILIES:
        build, name = FAMILIES[family], f"family {family!r}"
    else:
        raise BrownidError(f"The generator family {family!r} is unknown: use one of {', '.join(FAMILIES)}.")
    _check_keywords(build, name, {**keywords, "device": device})
    generator = build(**keywords, device=device)
    missing = [member for member in _MEMBERS if not hasattr(generator, member)]
    if missing:
        raise BrownidError(
            f"The generator of {name} lacks {', '.join(missing)}: see brownid.generators.protocol for what it needs."
        )
    return generator


def _import_factory(path: str) -> Callable[..., Generator]:
    module_name, colon, attribute = str(path).partition(":")
    if not (module_name and colon and attribute):
        raise BrownidError(f"The generator factory {path!r} is not of the form 'path.to.module:factory'.")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise BrownidError(
            f"The module {module_name!r} of the generator factory {path!r} cannot be imported ({error}): "
            "is it installed, or its folder on PYTHONPATH?"
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise BrownidError(f"The module {module_name!r} has no function {attribute!r} (generator factory {path!r}).")
    return factory


def _check_keywords(build: Callable[..., Generator], name: str, keywords: Mapping[str, Any]) -> None:
    try:
        inspect.signature(build).bind(**keywords)
    except TypeError as error:
        raise BrownidError(f"The generator of {name} does not take the settings {dict(keywords)}: {error}.") from error
