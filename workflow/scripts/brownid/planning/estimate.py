"""The estimate of a run as lines of text."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from brownid.configuration import products
from brownid.configuration.loading import load_configuration, merged
from brownid.planning.resources import amount, expected, gpu_memory
from brownid.planning.sizes import image_count
from brownid.planning.work import Machine, Stage, machine, recorded, stages
from brownid.weights.catalogue import Model, read_catalogue

SUBMISSIONS_A_MINUTE = 60  # profiles/slurm: max-jobs-per-timespan
HOUR = 3600


def estimate_run(
    configfiles: Sequence[str | Path],
    values: Sequence[str] = (),
    *,
    machine_name: str,
    gpus: int,
    recorded_in: str | Path | None = None,
    recorded_with: Sequence[str | Path] | None = None,
) -> Iterator[str]:
    """The lines for configuration files and values of --config.

    `recorded_in` is the logs/benchmarks of a run of `recorded_with` (None: this configuration).
    """
    config, catalogue = _loaded(configfiles, values)
    named = machine(machine_name)
    rates: Mapping[str, float] = {}
    if recorded_in is not None:
        other = _loaded(recorded_with) if recorded_with else (config, catalogue)
        rates = recorded(recorded_in, stages(*other))
    jobs = products.job_counts(config)
    work = [stage for stage in stages(config, catalogue) if stage.gflop]
    hours = {stage: stage.gflop / _rate(stage, named, rates) / HOUR for stage in work}
    yield f"Jobs {sum(jobs.values())}, of which {sum(stage.jobs for stage in work)} with a GPU"
    yield "  " + ", ".join(f"{rule} {count}" for rule, count in sorted(jobs.items(), key=lambda item: -item[1]))
    minutes = sum(jobs.values()) / SUBMISSIONS_A_MINUTE
    yield f"  all are sent in {minutes:.0f} min, at {SUBMISSIONS_A_MINUTE} a minute"
    yield ""
    total = sum(hours.values())
    best, longest = _hours(total / gpus), _hours(_longest(hours))
    yield f"GPU-hours {_hours(total)}; on {gpus} GPUs at best {best} h, the longest job alone {longest} h"
    for stage in sorted(work, key=lambda stage: -hours[stage]):
        each = f", {_hours(hours[stage] / stage.jobs)} h each of {stage.jobs} jobs" if stage.jobs > 1 else ""
        yield f"  {_hours(hours[stage]):>7} {stage.rule} {stage.entry}{each}"
    yield ""
    needs = sorted(((need.total, need.job) for need in gpu_memory(config, catalogue)), reverse=True)
    if needs:
        yield f"GPU memory up to {amount(needs[0][0])} ({needs[0][1]}); batches become smaller where less is there"
    room, uncounted = expected(config, catalogue)
    yield f"Disk {amount(sum(room.values()))}: " + ", ".join(f"{k} {amount(v)}" for k, v in room.most_common())
    images = {name: image_count(config, name, catalogue) for name in products.databases_in_use(config)}
    unknown = sorted({*uncounted, *(name for name, count in images.items() if count is None)})
    if unknown:
        yield f"Not in any of this: what the images of {', '.join(unknown)} take, whose number is unknown"
    yield ""
    if rates:
        yield f"Rates of {', '.join(sorted(rates))}: recorded in {recorded_in}, on the machine of that run"
    if any(stage.rule not in rates for stage in work):
        others = "Rates of the others" if rates else "Rates"
        yield f"{others}: {named.source}"


def _loaded(configfiles: Sequence[str | Path], values: Sequence[str] = ()) -> tuple[dict, Mapping[str, Model]]:
    config = load_configuration(merged(configfiles, values), files=False)
    return config, read_catalogue(config["models"]["catalogue"])


def _rate(stage: Stage, named: Machine, rates: Mapping[str, float]) -> float:
    return rates.get(stage.rule) or (named.training if stage.training else named.steering)


def _longest(hours: Mapping[Stage, float]) -> float:
    return max((taken / stage.jobs for stage, taken in hours.items()), default=0.0)


def _hours(hours: float) -> str:
    return f"{hours:.0f}" if hours >= 100 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2g}"
