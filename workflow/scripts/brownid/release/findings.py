"""What the cards of a release say about measurements: leak audits, scores, quality, from the tables in the release."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brownid.databases.index import DatabaseIndex
from brownid.release.making import database
from brownid.release.markup import code, plain, table
from brownid.release.origins import Origins
from brownid.runtime.errors import BrownidError

QUALITY = "scores/quality.csv"
QUALITY_COLUMNS = (  # of the table, heading, format
    ("identity_consistency", "consistency", ".1%"),
    ("genuine_q50", "genuine angle", ".2f"),
    ("median_ratio", "of genuine images'", ".0%"),
    ("near_duplicates", "near-duplicates", ".1%"),
    ("nearest_impostor_q05", "nearest other identity, 5 %", ".2f"),
)


@dataclass(frozen=True)
class LeakAudit:
    """References compared with a database, by the embeddings of the network that steered them."""

    references: str
    database: str
    images: int  # in the database's index
    guard_angle: float | None  # radians below which the leak guard repelled
    nearest: float  # radians, of the nearest pair


def leak_audits(root: Path, origins: Origins) -> list[LeakAudit]:
    """The audits whose tables are in the release."""
    audits = []
    for name, origin in origins.datasets.items():
        path = root / "scores" / "leaks" / f"{name}.csv"
        if origin.leak_guard is None or not path.is_file():
            continue
        with DatabaseIndex.open(root / "databases" / f"{origin.leak_guard}.sqlite") as index:
            images, _ = index.counts()
        nearest = min(float(row["angle"]) for row in read_table(path))
        audits.append(LeakAudit(name, origin.leak_guard, images, origin.guard_angle, nearest))
    return audits


def quality(root: Path) -> dict[str, dict[str, float]]:
    """The table of the datasets' quality: dataset -> column -> number, without the cells that are empty."""
    if not (root / QUALITY).is_file():
        return {}
    return {
        row["dataset"]: {name: float(cell) for name, cell in row.items() if name != "dataset" and cell}
        for row in read_table(root / QUALITY)
    }


def audit_section(root: Path, datasets: Sequence[str], origins: Origins) -> str:
    """The section about leaks: what was compared with what, and what was found; or that nothing was."""
    parts = ["## Leak audit"]
    known = [origins.datasets[name] for name in datasets if name in origins.datasets]
    if not known:
        return "\n\n".join([*parts, "Whether an audit ran is not recorded."])
    references = list(dict.fromkeys(origin.references for origin in known))
    audits = [audit for audit in leak_audits(root, origins) if audit.references in references]
    if origins.is_rendered:
        parts.append(
            "No photograph took part in making these data: the generator has no training images, and all databases are"
            " renderings of the embedded world."
        )
    if audits:
        parts += [_audited(root, audits, origins), _scale(root, origins)]
    missing = [name for name in references if name not in {audit.references for audit in audits}]
    if missing:
        shown = ", ".join(map(code, missing))
        parts.append(
            f"No leak audit ran for {shown}."
            if origins.all_procedural(missing)
            else f"**No leak audit ran for {shown}**: how near these identities come to images that their generator was"
            " trained on is not known."
        )
    return "\n\n".join(filter(None, parts))


def _audited(root: Path, audits: Sequence[LeakAudit], origins: Origins) -> str:
    judged = quality(root)
    header = ["references", "compared with", "guard", "nearest"]
    by_judge = any("leak_minimum" in judged.get(audit.references, {}) for audit in audits)
    if by_judge:
        header += ["nearest, by the judge", "5 %, by the judge"]
    rows = []
    for audit in audits:
        angles = [audit.guard_angle, audit.nearest]
        if by_judge:
            angles += [judged.get(audit.references, {}).get(name) for name in ("leak_minimum", "leak_q05")]
        compared = f"{audit.images:,} images of {database(origins, audit.database)}"
        rows.append([code(audit.references), compared, *("—" if angle is None else f"{angle:.3f}" for angle in angles)])
    names = [audit.references for audit in audits]
    pictures = [f"figures/leaks/{name}.png" for name in names]
    there = [f"[{name}]({path})" for name, path in zip(names, pictures, strict=True) if (root / path).is_file()]
    shown = f" The nearest pairs side by side: {', '.join(there)}." if there else ""
    twentieth = "; one reference in twenty lies below *5 %*" if by_judge else ""
    text = (
        "Each reference was compared with each of these images; variations were not. Angles are between embeddings, in"
        f" radians: *nearest* is the smallest of all, by the steering network{twentieth}; sampling pushed references"
        f" away from images nearer than *guard*.{shown}"
    )
    return f"{text}\n\n{table(header, rows, right=range(2, len(header)))}"


def _scale(root: Path, origins: Origins) -> str:
    """How far apart two images of one person are, by the judge: without it an angle says little."""
    genuine = quality(root).get(origins.genuine or "", {})
    if origins.genuine is None or not {"genuine_q05", "genuine_q50", "genuine_q95"} <= set(genuine):
        return ""
    return (
        f"For scale, by the judge: two images of one person in {code(origins.genuine)} are"
        f" {genuine['genuine_q50']:.2f} radians apart in the median, and {genuine['genuine_q05']:.2f} to"
        f" {genuine['genuine_q95']:.2f} in 90 % of pairs."
    )


def score_section(score_table: Path, models: Sequence[str], origins: Origins) -> str:
    """The section with the scores of FR networks, and what those of the release were trained on."""
    parts = ["## Scores"]
    if origins.rendered_benchmarks:
        parts.append(
            f"{', '.join(map(code, origins.rendered_benchmarks))} are **renderings of the embedded world** with the"
            " difficulty of their namesakes, not the public benchmarks: these accuracies cannot be compared with"
            " published ones."
        )
    rows = [
        [f"[{entry}](trained_models/{entry}/README.md)", " + ".join(map(code, origins.training.get(entry, ()))) or "—"]
        for entry in dict.fromkeys(name.partition("/")[0] for name in models)
    ]
    if rows:
        parts += [table(["networks of this release", "trained on"], rows), "Further entries are for comparison."]
    return "\n\n".join([*parts, _score_text(score_table)])


def _score_text(path: Path) -> str:
    """A Markdown file of scores as it is, a CSV file as a table."""
    if path.suffix != ".md":
        rows = read_table(path)
        header = list(rows[0]) if rows else []
        cells = [[plain(_rounded(cell)) for cell in row.values()] for row in rows]
        return f"{table(list(map(plain, header)), cells)}\n\nRounded; in full in `scores/{path.name}`."
    try:
        return f"{path.read_text(encoding='utf-8').strip()}\n\nIn full in the tables in `scores/`."
    except (OSError, UnicodeDecodeError) as error:
        raise BrownidError(f"{path}: the score table cannot be read as Markdown ({error}).") from None


def quality_section(root: Path, datasets: Sequence[str], origins: Origins) -> str:
    """The section with the judge's measurements; empty where there are none."""
    judged = quality(root)
    rows = [
        [code(name), *(_number(judged[name], column, layout) for column, _, layout in QUALITY_COLUMNS)]
        for name in [*datasets, *([origins.genuine] if origins.genuine else [])]
        if name in judged
    ]
    if not rows:
        return ""
    judge = f" {code(origins.judge)}" if origins.judge else ""
    genuine = f" The last row is {code(origins.genuine)}, for comparison." if origins.genuine in judged else ""
    text = (
        f"Measured by the judge{judge}, an FR network that steered none of the datasets; angles are in radians."
        " *Consistency* is the share of variations nearest to their own reference, *genuine angle* the median angle"
        f" between two images of one identity.{genuine} All columns: [{QUALITY}]({QUALITY})."
    )
    header = ["dataset", *(heading for _, heading, _ in QUALITY_COLUMNS)]
    return "\n\n".join(["## Quality", text, table(header, rows, right=range(1, len(header)))])


def _number(row: dict[str, float], column: str, layout: str) -> str:
    return format(row[column], layout) if column in row else "—"


def _rounded(cell: str) -> str:
    try:
        number = float(cell)
    except ValueError:
        return cell
    return f"{number:.4f}" if len(cell.partition(".")[2]) > 4 else cell


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; one that is none is a BrownidError."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BrownidError(f"{path}: the score table cannot be read as CSV ({error}).") from None
    if not reader.fieldnames or any(None in row or None in row.values() for row in rows):
        raise BrownidError(f"{path}: the score table needs a header and rows of the same length.")
    return rows
