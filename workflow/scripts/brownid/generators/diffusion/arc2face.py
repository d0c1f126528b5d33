"""Arc2Face behind the protocol of embedding-conditioned generators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from brownid.generators.diffusion.components import (
    LibraryNetwork,
    build_network,
    decode,
    denoise,
    draw_weights,
    fitting,
    frozen,
    in_format,
    library,
    load_network,
    make_scheduler,
    positive_scale,
    read_json,
    read_weights,
)
from brownid.generators.diffusion.text_encoder import END, PROMPT, START, IdentityEncoder
from brownid.generators.protocol import AverageFace, GeneratorDefaults
from brownid.generators.settings import Arc2FaceSettings, Arc2FaceSizes
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import compute_dtype
from brownid.weights.catalogue import (
    ARC2FACE_PAGE,
    CONFIG,
    SCHEDULE,
    STABLE_DIFFUSION_PAGE,
    VOCABULARY,
    text_weights,
)
from brownid.weights.state_dict import load_strictly

if TYPE_CHECKING:
    from brownid.runtime.randomness import NoiseKey

UNIT = 1e-3  # how far from 1 the length of an embedding may be, for rounding


class Arc2Face(GeneratorDefaults, nn.Module):
    """Face pictures from face embeddings by latent diffusion with classifier-free guidance; not differentiable.

    `unet`, `vae` are a UNet2DConditionModel and an AutoencoderKL of diffusers, `encoder` the text encoder,
    `noise_levels` the settings in a scheduler_config.json. The unet and vae compute in the number format of their
    parameters, the encoder and what lies between two steps in float32. A picture depends on its embedding and on the
    noise of its noise key, on its batch only by rounding.
    """

    embedding_conditioned = True
    needs_noise_key = True
    differentiable = False
    compiles = False

    def __init__(
        self,
        unet: LibraryNetwork,
        vae: LibraryNetwork,
        encoder: IdentityEncoder,
        noise_levels: Mapping[str, Any],
        settings: Arc2FaceSettings,
    ) -> None:
        super().__init__()
        self.unet, self.vae, self.encoder = unet, vae, encoder
        self.noise_levels = dict(noise_levels)
        self.settings = settings
        channels = vae.config.latent_channels
        seen = (unet.config.in_channels, unet.config.out_channels)
        if seen != (channels, channels):
            raise BrownidError(
                f"Arc2Face's unet turns {seen[0]} channels into {seen[1]}, the vae decodes {channels}: is the base "
                "Stable Diffusion 1.5?"
            )
        if unet.config.cross_attention_dim != encoder.width:
            raise BrownidError(
                f"Arc2Face's unet listens to {unet.config.cross_attention_dim} numbers a word, its text encoder says "
                f"{encoder.width}: they do not belong together."
            )
        self._scale = positive_scale(vae.config.scaling_factor)
        self._shrinks = _halvings(vae)
        self.resolution: int = settings.image_size or unet.config.sample_size * self._shrinks
        multiple = self._shrinks * _halvings(unet)
        if self.resolution % multiple:
            raise BrownidError(f"image_size is {self.resolution}, but Arc2Face's images have a multiple of {multiple}.")
        self.landmarks = AverageFace().points(self.resolution)
        make_scheduler(settings.scheduler, noise_levels, settings.steps)  # refuses wrong steps now

    @property
    def embedding_dim(self) -> int:
        """Components E of an embedding."""
        return self.settings.embedding_dim

    @property
    def device(self) -> torch.device:
        """The device of the generator."""
        return next(self.unet.parameters()).device

    @torch.inference_mode()
    def render_embeddings(self, embeddings: Tensor, noise_key: NoiseKey) -> Tensor:
        """RGB images `[B, 3, R, R]` in [-1, 1], float32, of unit embeddings `[B, E]`.

        `noise_key` decides the noise that each image begins with. Raises `BrownidError` for embeddings of another
        dimension, or not of unit length.
        """
        self._check(embeddings)
        latent_size = self.resolution // self._shrinks
        shape = (self.vae.config.latent_channels, latent_size, latent_size)
        noise = noise_key.normal("arc2face/noise", shape, self.device)
        prompts = self.encoder(embeddings.to(self.device))
        guided = self.settings.guidance_scale != 1
        if guided:
            prompts = torch.cat([self.encoder.unconditional().expand_as(prompts), prompts])
        dtype = next(self.unet.parameters()).dtype
        prompts = prompts.to(dtype)

        def predict(latents: Tensor, time: Tensor) -> Tensor:
            doubled = torch.cat([latents, latents]) if guided else latents
            predicted = self.unet(doubled.to(dtype), time, encoder_hidden_states=prompts).sample
            if not guided:
                return predicted
            without, with_identity = predicted.float().chunk(2)
            # Ho and Salimans, "Classifier-free diffusion guidance", 2022, in the form of diffusers
            return torch.lerp(without, with_identity, self.settings.guidance_scale)

        scheduler = make_scheduler(self.settings.scheduler, self.noise_levels, self.settings.steps)
        latents = denoise(predict, noise, scheduler)
        return decode(self.vae, latents / self._scale)

    def _check(self, embeddings: Tensor) -> None:
        if embeddings.ndim != 2 or embeddings.shape[1] != self.embedding_dim:
            raise BrownidError(
                f"Embeddings of the shape {list(embeddings.shape)} do not fit this Arc2Face: it takes "
                f"[batch, {self.embedding_dim}], of the network that it was trained with."
            )
        lengths = embeddings.float().norm(dim=1)
        wrong = ((lengths - 1).abs() <= UNIT).logical_not()  # true for NaN
        if wrong.any():
            row = int(wrong.nonzero()[0])
            raise BrownidError(
                f"Row {row} of the embeddings has the length {lengths[row]:.4g}, but Arc2Face takes unit vectors: "
                "divide each embedding by its length."
            )


def _halvings(network: LibraryNetwork) -> int:
    """By how much a network of diffusers makes an image smaller on its way in: half at every block but the last."""
    return 2 ** (len(network.config.block_out_channels) - 1)


# Stable Diffusion 1.5, as its scheduler_config.json has them.
NOISE_LEVELS = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
NOISE_LEVELS |= {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}


def arc2face(settings: Arc2FaceSettings, device: str | torch.device = "cpu") -> Arc2Face:
    """An Arc2Face of the weights in two folders, or of sizes and weights drawn by the seed.

    Nothing is fetched, and nothing in the files is executed. Raises `BrownidError` where a file is missing or does not
    fit, or where diffusers or transformers is not installed.
    """
    face = AverageFace(settings.template, settings.eyes, settings.landmarks)
    dtype = compute_dtype(settings.precision, device)
    if settings.random is None:
        generator = _from_files(Path(settings.folder), Path(settings.base), settings)
    else:
        generator = random_arc2face(settings.random, settings, settings.seed)
    generator.landmarks = face.points(generator.resolution)
    return in_format(generator, dtype, ("unet", "vae")).to(device)


def random_arc2face(sizes: Arc2FaceSizes, settings: Arc2FaceSettings, seed: int) -> Arc2Face:
    """An Arc2Face of the published layout in small, each matrix and kernel drawn from (seed, its name)."""
    width = sizes.width or settings.embedding_dim
    words = [*dict.fromkeys(f"{word}</w>" for word in PROMPT.split()), START, END]
    config = library("transformers").CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=sizes.layers,
        num_attention_heads=1,
        max_position_embeddings=len(words) + 1,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
        pad_token_id=len(words) - 1,
    )
    blocks = [sizes.channels, 2 * sizes.channels]
    common = {"block_out_channels": blocks, "layers_per_block": 1, "norm_num_groups": 4}
    vae = {
        **common,
        "sample_size": sizes.image_size,
        "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2,
    }
    unet = {
        **common,
        "sample_size": sizes.image_size // 2,
        "cross_attention_dim": width,
        "attention_head_dim": 2,
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    }
    text = draw_weights(library("transformers").CLIPTextModel(config), seed, "arc2face/encoder")
    return Arc2Face(
        draw_weights(build_network("UNet2DConditionModel", unet), seed, "arc2face/unet"),
        draw_weights(build_network("AutoencoderKL", vae), seed, "arc2face/vae"),
        IdentityEncoder(text, {word: number for number, word in enumerate(words)}, settings.embedding_dim),
        NOISE_LEVELS,
        settings,
    )


def _from_files(folder: Path, base: Path, settings: Arc2FaceSettings) -> Arc2Face:
    vocabulary = read_json(base / "tokenizer" / VOCABULARY, STABLE_DIFFUSION_PAGE)
    noise_levels = read_json(base / "scheduler" / SCHEDULE, STABLE_DIFFUSION_PAGE)
    unet = load_network(folder / "arc2face", ("UNet2DConditionModel",), ARC2FACE_PAGE)
    vae = load_network(base / "vae", ("AutoencoderKL",), STABLE_DIFFUSION_PAGE)
    text = _load_text(folder / "encoder")
    with fitting(f"{folder} and {base}", f"{ARC2FACE_PAGE} and {STABLE_DIFFUSION_PAGE}"):
        encoder = IdentityEncoder(text, vocabulary, settings.embedding_dim)
        return Arc2Face(unet, vae, encoder, noise_levels, settings)


def _load_text(folder: Path) -> LibraryNetwork:
    """The text encoder, which its file may call a CLIPTextModel or a CLIPTextModelWrapper: the weights are the same."""
    path = folder / CONFIG
    described = read_json(path, ARC2FACE_PAGE)
    if described.get("model_type") != "clip_text_model":
        raise BrownidError(f"{path}: describes a {described.get('model_type')}, where a clip_text_model is needed.")
    transformers = library("transformers")
    try:
        text = transformers.CLIPTextModel(transformers.CLIPTextConfig.from_dict(described))
    # Whatever a wrong number in the settings leads to, the file is what the user can correct.
    except Exception as error:
        raise BrownidError(f"{path}: no CLIP text model can be made of it: {error}") from error
    weights = text_weights(folder)
    tensors = read_weights(weights, ARC2FACE_PAGE)
    # transformers 5 dropped the prefix, version 4.31 the positions 0, 1, 2, …
    prefix = "text_model." if any(name.startswith("text_model.") for name in text.state_dict()) else ""
    named = {prefix + name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    load_strictly(text, {n: t for n, t in named.items() if not n.endswith(".position_ids")}, str(weights))
    return frozen(text)
