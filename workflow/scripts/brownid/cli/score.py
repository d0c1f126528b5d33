"""`brownid score`: what an FR network is worth on verification benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brownid.cli import files, networks, options, settings
from brownid.runtime.errors import BrownidError

if TYPE_CHECKING:
    from brownid.figures.tables import Table
    from brownid.verification.pair_scores import PairScores
    from brownid.verification.uncertainty import Estimate

SETTINGS = {"network": settings.network}
SEED, RESAMPLES, CONFIDENCE = 1, 1000, 0.95  # of the intervals


def score(
    network: Annotated[
        Path,
        typer.Argument(
            metavar="NETWORK",
            help="Weights: .safetensors of ours, .pt state dict or checkpoint, .onnx. What the file does not say: "
            "--set network.family=...",
        ),
    ],
    benchmarks: Annotated[
        list[Path], typer.Argument(metavar="BENCHMARK", help="Benchmarks: insightface's .bin files.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            rich_help_panel=options.OUTPUT,
            help="Also write scores.json, with folds and ROC curves, and pairs.parquet, the similarity of each pair.",
        ),
    ] = None,
    failed_share: Annotated[
        float,
        typer.Option(
            metavar="SHARE", min=0, max=1, help="Share of images that may be unreadable; their pairs are left out."
        ),
    ] = 0.0,
    setting: settings.Given = None,
    batch_size: options.BatchSize = 256,
) -> None:
    """Score a network on benchmarks: accuracy over ten folds, intervals, error rates.

    As the workflow scores: embeddings of an image and its mirror image are added,
    the threshold of a fold is chosen on the nine others, and the interval of 95 %
    is over the persons (docs/uncertainty.md). In per cent.

    Examples:
    brownid score weights.safetensors lfw.bin cfp_fp.bin agedb_30.bin
    brownid score backbone.pth lfw.bin --set network.family=insightface \\
        --set network.architecture=iresnet50 -o scores
    """
    from brownid.figures.tables import markdown
    from brownid.runtime.files import sha256
    from brownid.runtime.text import write_checked_json
    from brownid.verification.pair_scores import write_pair_scores
    from brownid.verification.score import score_network

    files.check_new_folder(output)
    names = _names(benchmarks)
    given = settings.read(setting, SETTINGS)["network"]
    loaded, described = networks.load(network, given)
    for path in benchmarks:
        _check_side(path, network, loaded.description.image_size)
    bins = dict(zip(names, benchmarks, strict=True))
    results, pairs = score_network(
        loaded,
        bins,
        image_size=loaded.description.image_size,
        batch_size=batch_size,
        maximum_failed_share=failed_share,
    )
    typer.echo(markdown([_table(network, results, _estimates(pairs))]))
    if output is not None:
        inputs = {str(path): sha256(path) for path in (network, *benchmarks)}
        provenance = {"model": given.get("name") or network.stem, "settings": {"network": described}, "inputs": inputs}
        with files.new_folder(output) as folder:
            write_checked_json(folder / "scores.json", {**provenance, "benchmarks": results})
            write_pair_scores(folder / "pairs.parquet", pairs, provenance)
        files.wrote(output)


def _names(benchmarks: list[Path]) -> list[str]:
    """The names of benchmarks, those of their files; each once."""
    names = [path.stem for path in benchmarks]
    for name in names:
        if names.count(name) > 1:
            raise BrownidError(f"Two benchmarks have the name {name}: rename one of the files.")
    return names


def _check_side(path: Path, network: Path, side: int) -> None:
    """Refuse a benchmark whose first image the network cannot read; single images of another side fail later."""
    from brownid.databases.decoding import decode_rgb
    from brownid.verification.bins import read_bin

    encoded, _ = read_bin(path)
    try:
        height, width, _ = decode_rgb(encoded[0]).shape
    except (BrownidError, IndexError):
        return
    if (height, width) != (side, side):
        raise BrownidError(
            f"{path}: its images have {width} x {height} pixels, and {network} reads {side} x {side}: name a network "
            "that reads them, or score by a configuration, where `alignment.template` of the benchmark makes the crops."
        )


def _estimates(pairs: Mapping[str, PairScores]) -> Mapping[str, Estimate]:
    """The accuracy of each benchmark and their mean, with its interval over persons."""
    from brownid.verification.uncertainty import resample_persons

    resamples = resample_persons({"network": pairs}, seed=SEED, resamples=RESAMPLES)
    return resamples.by_benchmark({"network": ["network"]}, list(pairs), CONFIDENCE)["network"]


def _table(network: Path, results: Mapping[str, Mapping[str, Any]], estimates: Mapping[str, Estimate]) -> Table:
    from brownid.figures.tables import Table

    rates = list(next(iter(results.values()))["tar_at_far"])
    header = ["benchmark", "accuracy", "95 % interval", "folds ±", "EER"]
    header += [*(f"FNMR at FMR {100 * float(rate):g} %" for rate in rates), "AUC", "d′", "pairs"]
    rows = []
    for name, row in results.items():
        at = [_percent(row["tar_at_far"][rate]["fnmr"]) for rate in rates]
        own = estimates[name]
        cells = [_percent(row["accuracy"]), _interval(own), _percent(row["std"]), _percent(row["eer"]), *at]
        distance = "–" if row["d_prime"] is None else f"{row['d_prime']:.2f}"
        rows.append([name, *cells, _percent(row["auc"]), distance, str(row["pairs"])])
    if len(results) > 1:
        mean = estimates["mean"]
        blank = [""] * (len(header) - 3)
        rows.append(["mean", _percent(mean.value), _interval(mean), *blank])
    return Table(header, rows, f"{network}")


def _interval(estimate: Estimate) -> str:
    return f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"
