"""Generators that are published as folders: which of their files are read, and where they come from.

Free of torch, so that Snakemake can ask which files a stage depends on.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

ARC2FACE_PAGE = "https://huggingface.co/FoivosPar/Arc2Face"
STABLE_DIFFUSION_PAGE = "https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5"
LDM_PAGE = "https://huggingface.co/CompVis/ldm-celebahq-256"

CONFIG = "config.json"
VOCABULARY = "vocab.json"
SCHEDULE = "scheduler_config.json"

_SAFE, _OLD = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"
_TEXT_SAFE, _TEXT_OLD = "model.safetensors", "pytorch_model.bin"


def generator_files(spec: Mapping[str, Any]) -> list[str]:
    """The files that a generator of any family is read from, by its description in the config."""
    families = {"arc2face": arc2face_files, "ldm": ldm_files}
    if spec.get("family") in families:
        return families[spec["family"]](spec)
    return [spec["file"]] if spec.get("file") else []


def arc2face_files(spec: Mapping[str, Any]) -> list[str]:
    """The files that a generator of the family arc2face is read from; none where its weights are drawn at random."""
    if not (spec.get("folder") and spec.get("base")):
        return []
    folder, base = Path(spec["folder"]), Path(spec["base"])
    files = [
        folder / "arc2face" / CONFIG,
        network_weights(folder / "arc2face"),
        folder / "encoder" / CONFIG,
        text_weights(folder / "encoder"),
        base / "vae" / CONFIG,
        network_weights(base / "vae"),
        base / "tokenizer" / VOCABULARY,
        base / "scheduler" / SCHEDULE,
    ]
    return [str(file) for file in files]


def ldm_files(spec: Mapping[str, Any]) -> list[str]:
    """The files that a generator of the family ldm is read from; none where its weights are drawn at random."""
    if not spec.get("folder"):
        return []
    folder = Path(spec["folder"])
    networks = [file for name in ("unet", "vqvae") for file in (folder / name / CONFIG, network_weights(folder / name))]
    return [str(file) for file in (*networks, folder / "scheduler" / SCHEDULE)]


def network_weights(folder: Path) -> Path:
    """The weights in the folder of a network of diffusers: safetensors, or a torch file where only that is there."""
    return folder / (_OLD if (folder / _OLD).is_file() and not (folder / _SAFE).is_file() else _SAFE)


def text_weights(folder: Path) -> Path:
    """The weights in the folder of a text encoder: the torch file as published, or safetensors where these are."""
    return folder / (_TEXT_SAFE if (folder / _TEXT_SAFE).is_file() else _TEXT_OLD)
