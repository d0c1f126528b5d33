"""The catalogue of published files: what each is, where it comes from, where it belongs, and its checksum."""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path, PurePath
from typing import Any

from brownid.runtime.errors import BrownidError, suggestion
from brownid.runtime.text import read_yaml
from brownid.weights import hub

OWN_CATALOGUE = resources.files("brownid.weights") / "catalogue.yaml"
SCHEMES = ("https://", f"{hub.SCHEME}://", "file://")


@dataclass(frozen=True)
class Model:
    """A file (or, as `folder`, a database) that this project may not ship.

    `path` is where configurations look for it, relative to the working directory. `url` is its address where a program
    may fetch it: https://, file:// or hf://, which `weights.hub` explains; for a folder, a repository at hf:// alone.
    `sha256` is its checksum, `size` its bytes; what is not known is None.
    """

    name: str
    path: str
    what: str
    source: str  # the page that publishes it
    licence: str
    url: str | None = None
    sha256: str | None = None
    size: int | None = None
    images: int | None = None  # of a database
    identities: int | None = None  # of a database
    folder: bool = False
    note: str | None = None


def read_catalogue(path: str | Path | None = None) -> dict[str, Model]:
    """The models of a catalogue file by name; None means the project's own.

    BrownidError for a file that is missing, no YAML, or has an entry with a wrong or missing key.
    """
    return dict(_read(None if path is None else Path(path)))


def model_at(catalogue: Mapping[str, Model], path: str | Path) -> Model | None:
    """The model that belongs at a path, in whatever way the path is written; a folder's, for what is in that folder."""
    wanted = PurePath(same_path(path))
    at = {PurePath(same_path(model.path)): model for model in catalogue.values()}
    folders = (at[parent] for parent in wanted.parents if parent in at and at[parent].folder)
    return at.get(wanted) or next(folders, None)


def same_path(path: str | Path) -> str:
    """The one way to write a path: ./models//net is models/net, and so is its absolute path."""
    return os.path.normpath(path).removeprefix(os.path.join(os.getcwd(), ""))


def fetched_paths(config: Mapping) -> list[str]:
    """The paths (as `same_path` writes them) that the workflow may fetch: none unless the configuration asks for it."""
    settings = config.get("models", {})
    if not settings.get("fetch"):
        return []
    models = read_catalogue(settings.get("catalogue")).values()
    return [same_path(model.path) for model in models if model.url and not model.folder]


def fetch_command(model: Model, own: str | None = None) -> str:
    """Command that fetches a model of the project's catalogue or of the user's `own`, for the folder of its paths."""
    return shlex.join(["brownid", "models", "fetch", model.name, *(["--catalogue", own] if own else [])])


def advice(catalogue: Mapping[str, Model], path: str | Path, own: str | None = None) -> str:
    """Advice about a missing file, as the end of a sentence; `own` is the path of the user's own catalogue."""
    model = model_at(catalogue, path)
    if model is None:
        return ""
    put = f"put it there from {model.source} ({model.licence})"
    there = "" if PurePath(path).is_absolute() else " there"
    return f"; run `{fetch_command(model, own)}`{there}, or {put}" if model.url else f"; {put}"


@cache
def _read(own: Path | None) -> dict[str, Model]:
    path = OWN_CATALOGUE if own is None else own
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise BrownidError(f"{path}: a catalogue of models is a section for each model, by name.")
    models = {str(name): _model(str(path), str(name), entry) for name, entry in content.items()}
    places: dict[str, str] = {}
    for model in models.values():
        first = places.setdefault(same_path(model.path), model.name)
        if first != model.name:
            raise BrownidError(f"{path}: {first} and {model.name} have the same path {model.path}: change one of them.")
    return models


def _model(path: str, name: str, entry: object) -> Model:
    place = f"{path}: {name}"
    if not isinstance(entry, dict):
        raise BrownidError(f"{place}: a model is a section with path, what, source and licence.")
    known = [field.name for field in fields(Model) if field.name != "name"]
    unknown = [str(key) for key in entry if key not in known]
    if unknown:
        raise BrownidError(f"{place}: there is no key {unknown[0]!r}; {suggestion(unknown[0], known)}")
    missing = [key for key in ("path", "what", "source", "licence") if not entry.get(key)]
    if missing:
        raise BrownidError(f"{place}: the key {missing[0]!r} is missing.")
    for key in ("path", "what", "source", "licence", "url", "note"):
        if not isinstance(entry.get(key), str | None):
            raise BrownidError(f"{place}.{key}: {entry[key]!r} is no text.")
    if not isinstance(entry.get("folder", False), bool):
        raise BrownidError(f"{place}.folder: {entry['folder']!r} is neither true nor false.")
    model = Model(name=name, **entry)
    if model.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", str(model.sha256)):
        raise BrownidError(f"{place}.sha256: {model.sha256!r} is no SHA-256, 64 small hexadecimal digits in quotes.")
    if model.url is not None and not str(model.url).startswith(SCHEMES):
        raise BrownidError(f"{place}.url: {model.url!r} must begin with {' or '.join(SCHEMES)}.")
    if model.url is not None:
        _check_address(place, model)
    for key in ("size", "images", "identities"):
        value = getattr(model, key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise BrownidError(f"{place}.{key}: {value!r} is no positive whole number.")
    return model


def _check_address(place: str, model: Model) -> None:
    """Raise a `BrownidError` unless the address is of a file, or of a whole repository of the Hub for a folder."""
    url, on_hub = str(model.url), str(model.url).startswith(f"{hub.SCHEME}://")
    try:
        whole = on_hub and not hub.parse(url).file
    except ValueError as error:
        raise BrownidError(f"{place}.url: {error}.") from None
    if whole != model.folder:
        of = "a folder has the address of a whole repository" if model.folder else "a file has the address of a file"
        raise BrownidError(f"{place}.url: {model.url!r} does not fit: {of}, or none.")


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
