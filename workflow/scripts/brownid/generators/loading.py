"""From a generator's description in the config to the generator."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from brownid.errors import BrownidError
from brownid.factories import check_keywords, import_factory
from brownid.generators.arc2face.loading import arc2face
from brownid.generators.ldm.loading import ldm
from brownid.generators.procedural.generator import ProceduralGenerator
from brownid.generators.protocol import EmbeddingConditionedGenerator, Generator, with_defaults
from brownid.generators.stylegans import stylegan2, stylegan3

FAMILIES: dict[str, Callable[..., Generator | EmbeddingConditionedGenerator]] = {
    "procedural": ProceduralGenerator,
    "stylegan2": stylegan2,
    "stylegan3": stylegan3,
    "ldm": ldm,
    "arc2face": arc2face,
}

_MEMBERS = ("latent_dim", "latent_mean", "resolution", "eyes", "map", "render")
_CONDITIONED_MEMBERS = ("embedding_dim", "resolution", "eyes", "device", "render_embeddings")


def load_generator(
    spec: Mapping[str, Any], device: str | torch.device = "cpu"
) -> Generator | EmbeddingConditionedGenerator:
    """The generator that `spec` describes, on `device`.

    `spec` names either a family of this project, `{family: procedural, latent_dim: 512, side: 56, world_seed: 1}` or
    `{family: stylegan2, file: ffhq.pkl}`, or a function of the user's own, `{factory: "path.to.module:factory"}`. Every
    other key is passed on as a keyword, and so is `device`. Raises `BrownidError` where the spec, or the file that it
    names, is wrong, or the result is no generator.
    """
    keywords = dict(spec)
    family, factory = keywords.pop("family", None), keywords.pop("factory", None)
    if (family is None) == (factory is None):
        raise BrownidError(
            f"The generator {dict(spec)} needs exactly one of 'family' and 'factory': name a family "
            f"({', '.join(FAMILIES)}) or a function of your own as 'path.to.module:factory'."
        )
    if factory is not None:
        build, name = import_factory(factory, "generator"), f"generator of factory {factory!r}"
    elif family in FAMILIES:
        build, name = FAMILIES[family], f"generator of family {family!r}"
    else:
        raise BrownidError(f"The generator family {family!r} is unknown: use one of {', '.join(FAMILIES)}.")
    check_keywords(build, f"The {name}", {**keywords, "device": device})
    generator = build(**keywords, device=device)
    members = _CONDITIONED_MEMBERS if getattr(generator, "embedding_conditioned", False) else _MEMBERS
    missing = [member for member in members if not hasattr(generator, member)]
    if missing:
        raise BrownidError(f"The {name} lacks {', '.join(missing)}: see brownid.generators.protocol for what it needs.")
    return with_defaults(generator)
