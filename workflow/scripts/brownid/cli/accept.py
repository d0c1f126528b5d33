"""`brownid accept`: keep the results of older code under the present one, without making them again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brownid.cli import options

if TYPE_CHECKING:
    from brownid.upgrade.acceptance import Acceptance

COLUMNS = {
    "current": "up to date",
    "code": "other code",
    "settings": "other settings",
    "missing": "missing",
    "incomplete": "incomplete",
}
SHOWN = 10


def accept(
    stages: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STAGE]...", help="Stages (rules) whose results are accepted. Default: none."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Accept the results of all stages.")] = False,
    changed_settings: Annotated[
        bool, typer.Option("--changed-settings", help="Accept results of other settings and inputs too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be accepted, and what would still run.")
    ] = False,
    configfile: options.Configfiles = None,
    config: options.Values = None,
    directory: Annotated[
        Path,
        typer.Option(metavar="FOLDER", file_okay=False, exists=True, help="Working directory. Default: this folder."),
    ] = Path(),
) -> None:
    """Accept existing results under the present code, after an upgrade, without running their stages.

    Without a stage it lists which results differ from what would be made now.
    A result is accepted if only the code that made it differs. Files whose paths
    a version has renamed are moved, states of interrupted jobs are converted, and
    command.yml and results/accepted.yml record it.

    Example:
    brownid accept sample_references vary_references --configfile my.yaml
    """
    from brownid.upgrade.acceptance import accept_results

    done = accept_results(
        options.configuration_files(configfile, directory),
        config or (),
        directory,
        stages=stages or (),
        every=every,
        changed_settings=changed_settings,
        dry_run=dry_run or not (stages or every),
    )
    for line in _table(done):
        typer.echo(line)
    differing = [result for result in done.results if result.differences and result not in done.accepted]
    for result in differing[:SHOWN]:
        why = "; ".join(result.differences[:SHOWN])
        typer.echo(f"Not accepted: {result.job.outputs[0]} ({result.job.rule}): {why}.")
    if len(differing) > SHOWN:
        typer.echo(f"Not accepted: {len(differing) - SHOWN} more.")
    for sentence in done.refused_states:
        typer.echo(sentence)
    would = "would be " if dry_run or not (stages or every) else ""
    typer.echo(
        f"{len(done.accepted)} of {len(done.results)} results {would}accepted, {len(done.states)} interrupted jobs "
        f"{would}continued; {len(done.running)} jobs to run."
    )


def _table(done: Acceptance) -> list[str]:
    """One line per stage: its results by status, those that are accepted, and the jobs to run then."""
    counts: dict[str, Counter[str]] = {}
    for result in done.results:
        counts.setdefault(result.job.rule, Counter())[COLUMNS[result.status]] += 1
    for title, results in (("accepted", done.accepted), ("to run", done.running)):
        for result in results:
            counts[result.job.rule][title] += 1
    titles = [*COLUMNS.values(), "accepted", "to run"]
    width = max(map(len, counts), default=0)
    lines = ["  ".join(["stage".ljust(width), *titles])]
    for stage, found in counts.items():
        lines.append("  ".join([stage.ljust(width), *(str(found[t] or "·").rjust(len(t)) for t in titles)]))
    return lines
