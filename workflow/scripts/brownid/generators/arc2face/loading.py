"""Arc2Face as the configuration describes it: from the published folders, or with weights drawn at random."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from brownid.errors import BrownidError
from brownid.generators.arc2face.encoder import END, PROMPT, START, IdentityEncoder
from brownid.generators.arc2face.generator import Arc2Face
from brownid.generators.arc2face.settings import Arc2FaceSettings, RandomSizes
from brownid.generators.average_face import AverageFace
from brownid.generators.ldm.components import (
    build_network,
    draw_weights,
    fitting,
    frozen,
    in_format,
    library,
    load_network,
    read_json,
    read_weights,
)
from brownid.models.folders import ARC2FACE_PAGE, CONFIG, SCHEDULE, STABLE_DIFFUSION_PAGE, VOCABULARY, text_weights
from brownid.precision import compute_dtype
from brownid.statedict import load_strictly

# Stable Diffusion 1.5, as its scheduler_config.json has them.
NOISE_LEVELS = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
NOISE_LEVELS |= {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}


def arc2face(
    *,
    folder: str | None = None,
    base: str | None = None,
    random: Mapping[str, int] | None = None,
    seed: int | None = None,
    steps: int = 25,
    guidance_scale: float = 3.0,
    scheduler: str = "dpmsolver++",
    side: int | None = None,
    embedding_dim: int = 512,
    template: str = "ffhq",
    eyes: Sequence[Sequence[float]] | None = None,
    landmarks: Sequence[Sequence[float]] | None = None,
    precision: str = "auto",
    device: str | torch.device = "cpu",
) -> Arc2Face:
    """An Arc2Face of the weights in `folder` and those of Stable Diffusion in `base`, or of `random` sizes by `seed`.

    `folder` has the subfolders arc2face and encoder as published, `base` has vae, tokenizer and scheduler. `template`,
    `eyes` and `landmarks` are those of `AverageFace`, the other arguments those of `Arc2FaceSettings`; `precision` is
    "float32", "bfloat16" or "auto". Nothing is fetched, and nothing in the files is executed. Raises `BrownidError`
    where a file is missing or does not fit, or where diffusers or transformers is not installed.
    """
    given = (folder is not None, base is not None)
    if given != ((True, True) if random is None else (False, False)):
        raise BrownidError(
            "A generator of the family 'arc2face' needs either 'folder' (its weights) and 'base' (the folder of Stable "
            "Diffusion 1.5), or 'random' (the sizes of one whose weights are drawn)."
        )
    if (random is None) != (seed is None):
        raise BrownidError(
            "A generator of the family 'arc2face' with 'random' needs a 'seed' that its weights are drawn by, one from "
            "files takes none."
        )
    settings = Arc2FaceSettings(steps, guidance_scale, scheduler, side, embedding_dim)
    face = AverageFace(template, eyes, landmarks)
    dtype = compute_dtype(precision, device)
    if random is None:
        generator = _from_files(Path(folder), Path(base), settings)
    else:
        generator = random_arc2face(RandomSizes.checked(dict(random)), settings, seed)
    generator.landmarks = face.points(generator.resolution)
    return in_format(generator, dtype, ("unet", "vae")).to(device)


def random_arc2face(sizes: RandomSizes, settings: Arc2FaceSettings, seed: int) -> Arc2Face:
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
        "sample_size": sizes.side,
        "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2,
    }
    unet = {
        **common,
        "sample_size": sizes.side // 2,
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


def _load_text(folder: Path) -> nn.Module:
    """The text encoder, which its file may call a CLIPTextModel or a CLIPTextModelWrapper: the weights are the same."""
    path = folder / CONFIG
    described = read_json(path, ARC2FACE_PAGE)
    if described.get("model_type") != "clip_text_model":
        raise BrownidError(f"{path}: describes a {described.get('model_type')}, where a clip_text_model is needed.")
    transformers = library("transformers")
    try:
        text = transformers.CLIPTextModel(transformers.CLIPTextConfig.from_dict(described))
    # Whatever a wrong number in the settings leads to, the file is what the user can mend.
    except Exception as error:
        raise BrownidError(f"{path}: no CLIP text model can be made of it: {error}") from error
    weights = text_weights(folder)
    tensors = read_weights(weights, ARC2FACE_PAGE)
    # transformers 5 dropped the prefix, version 4.31 the positions 0, 1, 2, …
    prefix = "text_model." if any(name.startswith("text_model.") for name in text.state_dict()) else ""
    named = {prefix + name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    load_strictly(text, {n: t for n, t in named.items() if not n.endswith(".position_ids")}, str(weights))
    return frozen(text)
