"""README.md of a release: the card that introduces its datasets."""

import csv
from collections.abc import Sequence
from pathlib import Path, PurePath

from brownid.release.contents import ReleaseDescription
from brownid.release.metadata import DatasetRecord
from brownid.runtime.errors import BrownidError
from brownid.samples.provenance import ACCEPTED
from brownid.samples.published import W_PLUS

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
        _loading_example(example)
        if example.published
        else '`datasets.load_dataset("parquet", data_files="data/*/*.parquet")`',
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
            f"{record.samples} of {record.image_size}×{record.image_size}",
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
