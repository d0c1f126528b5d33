"""Generators by family, the face model that settings describe, random latents, and rendered images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from brownid.alignment.crop import FixedCrop
from brownid.alignment.templates import template
from brownid.facemodel.model import GeneratorFaceModel, needs_noise_key
from brownid.generators.diffusion.arc2face import arc2face
from brownid.generators.diffusion.ldm import ldm
from brownid.generators.protocol import (
    EmbeddingConditionedGenerator,
    Generator,
    device_of,
    is_embedding_conditioned,
    with_defaults,
)
from brownid.generators.settings import (
    Arc2FaceSettings,
    LatentDiffusionSettings,
    StyleGAN2GeneratorSettings,
    StyleGAN3GeneratorSettings,
)
from brownid.generators.stylegans import stylegan2, stylegan3
from brownid.recognition.embedding import as_bytes
from brownid.recognition.loading import load_network
from brownid.runtime.errors import BrownidError
from brownid.runtime.factories import check_keywords, import_factory
from brownid.runtime.files import sha256
from brownid.runtime.precision import Batching
from brownid.runtime.process import default_device
from brownid.runtime.randomness import NoiseKey, normal
from brownid.runtime.settings import Settings
from brownid.weights.catalogue import generator_files
from brownid.world.generator import procedural
from brownid.world.settings import ProceduralSettings

FAMILIES: dict[str, tuple[type[Settings], Callable[..., Generator | EmbeddingConditionedGenerator]]] = {
    "procedural": (ProceduralSettings, procedural),
    "stylegan2": (StyleGAN2GeneratorSettings, stylegan2),
    "stylegan3": (StyleGAN3GeneratorSettings, stylegan3),
    "ldm": (LatentDiffusionSettings, ldm),
    "arc2face": (Arc2FaceSettings, arc2face),
}

_MEMBERS = ("latent_dim", "latent_mean", "resolution", "eyes", "map", "render")
_CONDITIONED_MEMBERS = ("embedding_dim", "resolution", "eyes", "device", "render_embeddings")


def load_generator(
    spec: Mapping[str, Any], device: str | torch.device = "cpu"
) -> Generator | EmbeddingConditionedGenerator:
    """The generator that `spec` describes, on `device`.

    `spec` names either a family of this project, `{family: procedural, image_size: 56, world_seed: 1}` or
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
        check_keywords(build, f"The {name}", {**keywords, "device": device})
        generator = build(**keywords, device=device)
    elif family in FAMILIES:
        settings, build = FAMILIES[family]
        name = f"generator of family {family!r}"
        generator = build(settings.of(keywords, f"The {name}"), device)
    else:
        raise BrownidError(f"The generator family {family!r} is unknown: use one of {', '.join(FAMILIES)}.")
    members = _CONDITIONED_MEMBERS if getattr(generator, "embedding_conditioned", False) else _MEMBERS
    missing = [member for member in members if not hasattr(generator, member)]
    if missing:
        raise BrownidError(f"The {name} lacks {', '.join(missing)}: see brownid.generators.protocol for what it needs.")
    return with_defaults(generator)


def crop_for(generator: Generator | EmbeddingConditionedGenerator, template_name: str, image_size: int) -> FixedCrop:
    """The crop that brings the generator's faces to an alignment template, in images of `image_size` pixels.

    All five landmarks are matched where generator and template know them, else the eyes, as in `realign`.
    """
    source, target = getattr(generator, "landmarks", generator.eyes), template(template_name, image_size)
    shared = min(len(source), len(target))
    return FixedCrop(source[:shared], target[:shared], generator.resolution, image_size).to(device_of(generator))


def load_face_model(settings: Mapping[str, Any], weights: str | Path, frame: str = "network") -> GeneratorFaceModel:
    """The face model E = F(A(G(w))) that the sections `generator` and `network` of `settings` describe.

    Of `network` only `template` and `precision` are needed where the file of `weights` says the rest.
    """
    device = default_device()
    # One that is conditioned on embeddings is refused by what needs latents or gradients.
    generator = cast(Generator, load_generator(settings["generator"], device))
    described = settings["network"]
    network = load_network(described, weights, device)
    return GeneratorFaceModel(
        generator,
        crop_for(generator, described["template"], network.description.image_size),
        network,
        described["precision"],
        frame=frame,
        channels_last=described.get("channels_last", True),
        compile=described.get("compile", "auto"),
    )


def generator_checksums(settings: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file that the generator of a stage is read from, by path: none for one without a file."""
    return {file: sha256(file) for file in generator_files(settings["generator"])}


STD_SAMPLES = 1000  # random latents that the standard deviation is measured on


@torch.no_grad()
def random_latents(
    generator: Generator,
    items: Sequence[int],
    truncation: float,
    seed: int,
    *,
    purpose: str = "references/start",
    count: int = 1,
) -> torch.Tensor:
    """Random latents `[n · count, D]`, `count` of each item: z ~ N(0, I) of the item's own address, mapped with
    truncation.

    More of an item only add to those before; the purpose "references/start" is that of the start of identities.
    """
    z = normal(seed, purpose, items, (count, generator.latent_dim)).flatten(0, 1)
    return generator.map(z.to(generator.latent_mean), truncation)


def generator_latent_std(generator: Generator, seed: int) -> float:
    """`latent_std` of a generator's random latents: the unit of latent noise and of latent weights."""
    return latent_std(random_latents(generator, range(STD_SAMPLES), 1.0, seed))


def latent_std(latents: torch.Tensor) -> float:
    """The "std(w)" of the StyleGAN2 projector: root mean square distance of latents `[n, D]` from their mean."""
    return float((latents - latents.mean(dim=0)).square().flatten(1).sum(dim=1).mean().sqrt())


BATCH_SIZE = 64


def render_in_batches(
    generator: Generator | EmbeddingConditionedGenerator,
    crop: Callable[[Tensor], Tensor],
    latents: Tensor,
    noise_key: NoiseKey,
) -> Iterator[np.ndarray]:
    """Output of `render` for latents `[n, D]` or embeddings `[n, E]`, batch by batch, smaller where memory runs out."""
    return (
        Batching(BATCH_SIZE)
        .limited(generator)
        .each(len(latents), lambda rows: render(generator, crop, latents[rows], noise_key.rows(rows)))
    )


@torch.inference_mode()
def render(
    generator: Generator | EmbeddingConditionedGenerator,
    crop: Callable[[Tensor], Tensor],
    latents: Tensor,
    noise_key: NoiseKey | None = None,
) -> np.ndarray:
    """Aligned images uint8 RGB `[n, S, S, 3]` of latents `[n, D]`, or of embeddings `[n, E]` where the generator is
    conditioned on those.

    `noise_key` is for a generator whose noise maps are random.
    """
    if is_embedding_conditioned(generator):
        images = crop(generator.render_embeddings(latents, cast(NoiseKey, noise_key)))
    else:
        draw: Callable[..., Tensor] = generator.render
        images = crop(draw(latents, noise_key) if needs_noise_key(generator) else draw(latents))
    broken = (~images.isfinite().flatten(1).all(dim=1)).nonzero()
    if len(broken):
        raise BrownidError(
            f"{len(broken)} of {len(images)} images of a batch hold NaN or infinite numbers and would be black: look "
            "for bad numbers in the generator's files, or take precision float32."
        )
    return as_bytes(images)
