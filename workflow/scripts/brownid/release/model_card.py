"""Cards of the trained networks of a release: README.md next to their weights, model cards of the Hugging Face Hub."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from brownid.release import findings, licences
from brownid.release.citation import bibtex
from brownid.release.contents import ReleaseDescription
from brownid.release.making import database, licence_section, papers
from brownid.release.markup import code, plain, python, table, yaml_header
from brownid.release.origins import Origins
from brownid.runtime.text import read_json
from brownid.samples.provenance import read_command

ACCURACIES = "scores/accuracies.csv"
ADAFACE = """import net, torch

network = net.build_model("{architecture}")
state = torch.load("{file}.ckpt", weights_only=True)["state_dict"]
network.load_state_dict({{name[6:]: tensor for name, tensor in state.items() if name.startswith("model.")}})"""


def write_model_cards(root: Path, description: ReleaseDescription, models: Sequence[str], origins: Origins) -> None:
    """Write trained_models/ENTRY/README.md for each entry of networks, which differ in the seed alone."""
    entries: dict[str, list[str]] = {}
    for name in models:
        entries.setdefault(name.partition("/")[0], []).append(name)
    for entry, networks in entries.items():
        folder = root / "trained_models" / entry
        folder.mkdir(exist_ok=True)
        (folder / "README.md").write_text(_card(root, description, entry, networks, origins), encoding="utf-8")


def _card(root: Path, description: ReleaseDescription, entry: str, networks: Sequence[str], origins: Origins) -> str:
    results = {name: root / "trained_models" / "results" / name for name in networks}
    made = {name: read_command(folder / "hyperparameters.yml") for name, folder in results.items()}
    scores = {name: _accuracies(folder / "scores.json") for name, folder in results.items()}
    first = next(iter(made.values()))["settings"]
    datasets = origins.training.get(entry, ())
    own = origins.restricted(datasets)
    parts = [
        yaml_header(_header(description, entry, scores, origins)),
        f"# {entry}",
        _summary(description, first["network"], datasets, origins),
        _files(networks, made),
        _loading(networks[0], first["network"]),
        _scores(root, entry, scores, origins),
        "## Recipe\n\n" + _recipe(first),
        _terms(description, own),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _header(
    description: ReleaseDescription, entry: str, scores: Mapping[str, Mapping[str, float]], origins: Origins
) -> dict[str, Any]:
    results = []
    for benchmark in _benchmarks(scores):
        mean = fmean(found[benchmark] for found in scores.values())
        what = f"mean accuracy over ten folds, per cent, of {len(scores)} networks"
        results.append(
            {
                "task": {"type": "face-verification", "name": "Face verification"},
                "dataset": {"type": benchmark, "name": _benchmark_name(benchmark, origins)},
                "metrics": [{"type": "accuracy", "name": what, "value": round(100 * mean, 2)}],
            }
        )
    return {
        **licences.card_keys(description.licence),
        "library_name": "brownid",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["face-recognition", "synthetic", "brownid"],
        **({"model-index": [{"name": entry, "results": results}]} if results else {}),
    }


def _benchmark_name(benchmark: str, origins: Origins) -> str:
    return (
        f"{benchmark} (rendering of brownid's embedded world)"
        if benchmark in origins.rendered_benchmarks
        else benchmark
    )


def _benchmarks(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    return sorted(set.intersection(*(set(found) for found in scores.values())))


def _accuracies(path: Path) -> dict[str, float]:
    """The mean accuracy over folds on each benchmark, of 1."""
    return {name: float(found["accuracy"]) for name, found in read_json(path)["benchmarks"].items()}


def _summary(
    description: ReleaseDescription, network: Mapping[str, Any], datasets: Sequence[str], origins: Origins
) -> str:
    design = " ".join(plain(str(network[key])) for key in ("family", "architecture") if network.get(key))
    on = " + ".join(database(origins, name) if name in origins.databases else code(name) for name in datasets)
    return (
        f"FR network ({design or code(str(network.get('factory')))}, crops of {network['image_size']} pixels),"
        f" trained on {on or 'datasets that are not recorded'}. The card of the release {plain(description.name)}"
        f" {plain(description.version)} says how their images were made, how they are cropped, and what their limits"
        " are."
    )


def _files(networks: Sequence[str], made: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [[f"`{_short(name)}`", str(made[name]["seed"]), plain(str(made[name]["revision"]))] for name in networks]
    entry = networks[0].partition("/")[0]
    alone = "" if len(networks) == 1 else "They differ in the seed alone. "
    words = (
        f"{alone}Of each there are the weights of the last epoch (`.safetensors`) and a checkpoint (`.ckpt`:"
        " `state_dict`"
        f" with the margin head, hyperparameters, history). In the release, `trained_models/results/{entry}/` has"
        " history, scores and the similarity of each benchmark pair."
    )
    return "\n\n".join(["## Networks", words, table(["network", "seed", "code revision"], rows)])


def _short(network: str) -> str:
    """The name of a network within its entry."""
    return network.partition("/")[2] or network


def _loading(network: str, settings: Mapping[str, Any]) -> str:
    file = _short(network)
    own = python(f'from brownid import load_backbone\n\nnetwork = load_backbone("{file}.safetensors")')
    parts = ["## Loading", own]
    if settings.get("family") == "adaface" and settings["image_size"] == 112:  # net.py knows no other size
        words = (
            "AdaFace's own `net.py` loads the checkpoint; it reads BGR images, −1 … 1, and returns embedding and norm:"
        )
        parts += [words, python(ADAFACE.format(architecture=settings["architecture"], file=file))]
    return "\n\n".join(parts)


def _scores(root: Path, entry: str, scores: Mapping[str, Mapping[str, float]], origins: Origins) -> str:
    benchmarks = _benchmarks(scores)
    if not benchmarks:
        return ""
    intervals, over = {}, ""
    if (root / ACCURACIES).is_file():
        rows = [row for row in findings.read_table(root / ACCURACIES) if row["entry"] == entry]
        intervals = {row["benchmark"]: f"{_percent(row['low'])} to {_percent(row['high'])}" for row in rows}
        resampled = sorted({row["interval_over"] for row in rows})
        over = f"; the 95 % interval is for the mean of the networks, over {plain(', '.join(resampled))}"
    names = [_short(name) for name in scores]
    lines = [
        [code(name), *(f"{100 * found[name]:.2f}" for found in scores.values()), intervals.get(name, "—")]
        for name in benchmarks
    ]
    note = (
        "These benchmarks are renderings of the embedded world: the accuracies cannot be compared with published ones."
        if set(benchmarks) <= set(origins.rendered_benchmarks)
        else ""
    )
    header = ["benchmark", *names, "95 % interval"]
    shown = table(header, lines, right=range(1, len(header)))
    return "\n\n".join(filter(None, ["## Scores", f"Mean accuracy over ten folds, per cent{over}.", shown, note]))


def _percent(cell: str) -> str:
    return f"{100 * float(cell):.2f}" if cell else "—"


def _recipe(settings: Mapping[str, Any]) -> str:
    rows = [
        [code(str(key)), code(str(value))]
        for section in ("network", "training")
        for key, value in sorted(settings[section].items())
    ]
    return table(["setting", "value"], rows)


def _terms(description: ReleaseDescription, origins: Origins) -> str:
    licence = licence_section(description.creator, description.licence, origins)
    return f"{licence}\n\n## Citation\n\n```bibtex\n{bibtex(description, papers(origins))}\n```"
