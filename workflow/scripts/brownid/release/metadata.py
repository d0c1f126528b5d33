"""The description of a release: metadata.json (JSON-LD in the manner of Croissant) and README."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path, PurePath
from typing import Any, cast

from brownid.release.contents import ReleaseDescription, check_model_name, check_name
from brownid.runtime.errors import BrownidError
from brownid.runtime.text import read_json
from brownid.samples.collection import SampleCollection
from brownid.samples.provenance import ACCEPTED
from brownid.samples.published import W_PLUS
from brownid.weights.unpickler import short_reason

METADATA = "metadata.json"
FORMAT_VERSION = 1
CONTEXT = {"@vocab": "https://schema.org/", "cr": "http://mlcommons.org/croissant/"}


@dataclass(frozen=True)
class DatasetRecord:
    """Statements of a release about one dataset; `verify` holds the files against it."""

    name: str
    samples: int
    identities: int
    side: int  # pixels
    generator: str
    recognition: str
    latent_dimension: int | None
    embedding_dimension: int | None
    statistics: bool  # whether there is a stats.h5
    latent_layers: int | None = None  # of the latents in W+, one per layer of the generator, where there are such

    @classmethod
    def of(cls, name: str, collection: SampleCollection, side: int, statistics: bool) -> "DatasetRecord":
        """The record of a collection with images of this side."""
        return cls(
            name=name,
            samples=len(collection),
            identities=len(set(collection.identities.tolist())),
            side=side,
            generator=collection.generator,
            recognition=collection.recognition,
            latent_dimension=None if collection.latents is None else collection.latents.shape[1],
            embedding_dimension=None if collection.embeddings is None else collection.embeddings.shape[1],
            statistics=statistics,
            latent_layers=collection.extra[W_PLUS].shape[1] if W_PLUS in collection.extra else None,
        )

    @property
    def image_folder(self) -> str:
        """The name of the folder of its images."""
        return f"images_arcface_{self.side}x{self.side}"


def write_metadata(
    root: Path, description: ReleaseDescription, datasets: Sequence[DatasetRecord], models: Sequence[str]
) -> None:
    """Write metadata.json into a release."""
    content = {
        "@context": CONTEXT,
        "@type": "Dataset",
        "name": description.name,
        "description": description.description,
        "license": description.licence,
        "creator": {"@type": "Organization", "name": description.creator},
        "version": description.version,
        "usageInfo": description.intended_use,
        "brownid_release_format": FORMAT_VERSION,
        "distribution": [
            {"@type": "cr:FileObject", "@id": "manifest.csv", "encodingFormat": "text/csv"},
            {"@type": "cr:FileObject", "@id": "checksums.sha256", "encodingFormat": "text/plain"},
        ],
        "recordSet": [_record_set(record) for record in datasets],
        "trained_models": list(models),
    }
    (root / METADATA).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_metadata(root: Path) -> tuple[list[DatasetRecord], list[str]]:
    """The dataset records and model names of a release; a metadata.json that is not ours is a BrownidError."""
    try:
        content = read_json(root / METADATA)
        version = content["brownid_release_format"]
        records = [
            DatasetRecord(**{name: entry[name] for name in DatasetRecord.__dataclass_fields__ if name in entry})
            for entry in content["recordSet"]
        ]
        models = content["trained_models"]
    except (BrownidError, KeyError, TypeError) as error:
        reason = str(error).rstrip(".") if isinstance(error, BrownidError) else short_reason(error)
        raise BrownidError(f"{METADATA}: the file is missing or does not describe a release ({reason}).") from None
    if version != FORMAT_VERSION:
        raise BrownidError(f"{METADATA}: the release format is {version}; this brownid reads {FORMAT_VERSION}.")
    for record in records:
        _check_record(record)
    if not isinstance(models, list) or not all(isinstance(model, str) for model in models):
        raise BrownidError(f"{METADATA}: trained_models is no list of names.")
    for record in records:
        check_name("dataset", record.name)
    for model in models:
        check_model_name(model)
    return records, models


def _check_record(record: DatasetRecord) -> None:
    """Refuse numbers where texts should be, and the like."""
    for field in fields(DatasetRecord):
        value = getattr(record, field.name)
        if isinstance(value, bool) != (field.type is bool) or not isinstance(value, cast(type, field.type)):
            raise BrownidError(f"{METADATA}: {field.name} of the dataset {record.name!r} is {value!r}.")


def _record_set(record: DatasetRecord) -> dict:
    """A dataset as a Croissant record set: one record per sample."""
    numbers = {"w_latent": [record.latent_dimension], "embedding": [record.embedding_dimension]}
    if record.latent_layers is not None:
        numbers[W_PLUS] = [record.latent_layers, record.latent_dimension]
    fields: list[dict[str, Any]] = [
        {"name": "identity", "dataType": "Integer", "description": "the person, counted from 0"},
        {"name": "label", "dataType": "Text", "description": "the image of that person, such as reference"},
        {
            "name": "image",
            "dataType": "ImageObject",
            "description": f"{record.image_folder}/<identity, five digits>/<label>.png, 8-bit RGB",
        },
        *(
            {"name": name, "dataType": "Float", "shape": shape, "description": f"{name} in samples.h5"}
            for name, shape in numbers.items()
            if None not in shape
        ),
    ]
    stated = {name: getattr(record, name) for name in DatasetRecord.__dataclass_fields__}
    if record.latent_layers is None:
        del stated["latent_layers"]
    return {
        "@type": "cr:RecordSet",
        "@id": record.name,
        **stated,
        "images": record.samples,
        "field": [{"@type": "cr:Field", "@id": f"{record.name}/{field['name']}", **field} for field in fields],
    }


FOLDERS = {
    "trained_models": "recognition networks trained on the datasets, `<training>/seed_<seed>`: `<model>.safetensors`"
    " (weights), `<model>.ckpt` (the training's checkpoint), `results/<model>/` (history,"
    " hyper-parameters, scores, and in `pairs.parquet` the similarity of each pair with the numbers of its persons)",
    "databases": "indexes of the genuine databases that were used (SQLite); they hold no images",
    "covariates": "directions of pose, illumination and expression, and within-class covariance, in latent space",
    "hyperface": "of datasets packed by HyperFace: the packed embeddings (`targets.h5`, brownid's own format), how"
    " the packing went, and how near each identity came to its embedding (`inversion.csv`)",
    "scores": "tables of results",
    "figures": "pictures of results",
}


def readme(
    root: Path,
    description: ReleaseDescription,
    datasets: Sequence[DatasetRecord],
    models: Sequence[str],
    score_table: Path | None,
) -> str:
    """The text, in Markdown; `root` is the release so far, of which only the folders that are there are described."""
    example = datasets[0]
    parts = [
        f"# {description.name} {description.version}",
        description.description.strip(),
        "The faces here are made by a computer: no image shows a real person. A *reference* image defines each"
        " synthetic identity; further labels are variations of that identity.",
        "## Datasets",
        _dataset_table(datasets),
        "Each dataset is a folder with `samples.h5` (latents and embeddings), `images_arcface_<side>x<side>/"
        "<identity>/<label>.png` (aligned, 8-bit RGB), `command.yml` (every parameter, the code's revision, seed and"
        " input checksums) and, where a simulation made it, `stats.h5` (what was measured at each iteration).",
    ]
    if score_table is not None:
        parts += ["## Scores", _scores(score_table)]
    folders = [f"- `{name}/`: {text}" for name, text in FOLDERS.items() if (root / name).is_dir()]
    if folders:
        parts += ["## What else is here", "\n".join(folders)]
    if (root / PurePath(ACCEPTED).name).is_file():
        parts.append(
            "`accepted.yml` lists results that older code made and that were accepted under newer code without being"
            " made again: under which, and when."
        )
    if models:
        parts.append("Trained models: " + ", ".join(f"`{model}`" for model in models) + ".")
    if description.readme_context.strip():
        parts.append(description.readme_context.strip())
    parts += [
        "## How to load it",
        _loading_example(example),
        "## How to verify it",
        "`sha256sum -c checksums.sha256` checks every file. `brownid verify .` also opens every collection, decodes"
        " every image and compares both with `metadata.json`, and says in a sentence what is wrong; it passes"
        " over what file managers leave in folders (`.DS_Store`, `Thumbs.db`).",
        "## Licence and intended use",
        f"Licence of the data: {description.licence}. Published by {description.creator}.",
        description.intended_use.strip(),
    ]
    return "\n\n".join(parts) + "\n"


def _scores(path: Path) -> str:
    """A Markdown file as it is, a CSV file as a table."""
    if path.suffix != ".md":
        return f"{markdown_table(path)}\n\nRounded; in full in `scores/{path.name}`."
    try:
        return f"{path.read_text(encoding='utf-8').strip()}\n\nIn full in the tables in `scores/`."
    except (OSError, UnicodeDecodeError) as error:
        raise BrownidError(f"{path}: the score table cannot be read as Markdown ({error}).") from None


def markdown_table(path: Path) -> str:
    """A CSV file as a Markdown table; numbers with many digits are rounded to four after the point."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BrownidError(f"{path}: the score table cannot be read as CSV ({error}).") from None
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise BrownidError(f"{path}: the score table needs a header and rows of the same length.")
    return _table(rows[0], [[_rounded(cell) for cell in row] for row in rows[1:]])


def _dataset_table(datasets: Sequence[DatasetRecord]) -> str:
    header = ["dataset", "identities", "samples", "images", "generator", "recognition"]
    rows = [
        [
            f"`{record.name}`",
            str(record.identities),
            str(record.samples),
            f"{record.samples} of {record.side}×{record.side}",
            record.generator or "—",
            record.recognition or "—",
        ]
        for record in datasets
    ]
    return _table(header, rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _rounded(cell: str) -> str:
    try:
        number = float(cell)
    except ValueError:
        return cell
    return f"{number:.4f}" if len(cell.partition(".")[2]) > 4 else cell


def _loading_example(record: DatasetRecord) -> str:
    layered = f"[{record.latent_layers}, {record.latent_dimension}], one per layer of the generator"
    w_plus = f'            w_plus = sample["{W_PLUS}"][0]  # {layered}\n' if record.latent_layers else ""
    return f"""```python
import h5py
from PIL import Image

with h5py.File("{record.name}/samples.h5") as file:
    for identity in file:                       # "00000", "00001", ...
        for label, sample in file[identity].items():
            latent = sample["w_latent"][0]      # [{record.latent_dimension}]
{w_plus}            embedding = sample["embedding"][0]  # [{record.embedding_dimension}], unit length
            image = Image.open(f"{record.name}/{record.image_folder}/{{identity}}/{{label}}.png")
```

With the `brownid` package, `brownid.samples.SampleCollection.load("{record.name}/samples.h5")` gives the same as
columns."""
