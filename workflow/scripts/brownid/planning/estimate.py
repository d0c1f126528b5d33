"""The estimate of a run, before it starts, as lines of text; and rates of a finished one."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from brownid.configuration import products
from brownid.configuration.loading import load_configuration, merged
from brownid.planning.machines import HOUR, Machine, machine, measured_machine
from brownid.planning.resources import amount, expected, gpu_memory
from brownid.planning.sizes import image_count
from brownid.planning.timings import MEASURED
from brownid.planning.work import Stage, stages
from brownid.runtime.errors import BrownidError
from brownid.weights.catalogue import Model, read_catalogue


def recorded(folder: str | Path, work: Iterable[Stage]) -> dict[str, float]:
    """GFLOP a second and GPU by rule, of a finished run: its `logs/benchmarks` and the work of its configuration.

    Raises `BrownidError` where nothing is recorded of any of its rules.
    """
    seconds = benchmark_seconds(folder)
    done: dict[str, float] = defaultdict(float)
    for stage in work:
        done[stage.rule] += stage.gflop / stage.processes
    rates = {rule: done[rule] / seconds[rule] for rule in done if seconds.get(rule) and done[rule]}
    if not rates:
        raise BrownidError(
            f"{folder}: no benchmark of a stage with a GPU (RULE/*.tsv); is it logs/benchmarks of a run?"
        )
    return rates


def benchmark_seconds(folder: str | Path) -> Mapping[str, float]:
    """Seconds of all jobs of each rule, from the tables that Snakemake's `benchmark:` wrote."""
    seconds: dict[str, float] = defaultdict(float)
    for path in sorted(Path(folder).glob("*/**/*.tsv")):
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                try:
                    seconds[path.relative_to(folder).parts[0]] += float(row["s"])
                except (KeyError, TypeError, ValueError):
                    raise BrownidError(f"{path}: this is no benchmark table of Snakemake.") from None
    return seconds


SUBMISSIONS_A_MINUTE = 60  # profiles/slurm: max-jobs-per-timespan
DEFAULT_MACHINE, DEFAULT_CORES = "h100", 8


def estimate_run(
    configfiles: Sequence[str | Path],
    values: Sequence[str] = (),
    *,
    gpus: int,
    machine_name: str | None = None,
    timings: str | Path | None = None,
    cores: int = DEFAULT_CORES,
    recorded_in: str | Path | None = None,
    recorded_with: Sequence[str | Path] | None = None,
) -> Iterator[str]:
    """The lines for configuration files and values of --config.

    Rates are those of a named machine, of the file `timings`, or of a run; each GPU has so many processor `cores`.
    `recorded_in` is the logs/benchmarks of a run of `recorded_with` (None: this configuration).
    """
    if machine_name and timings:
        raise BrownidError(f"Name a machine ({machine_name}) or its timings ({timings}), not both.")
    config, catalogue = _loaded(configfiles, values)
    named = measured_machine(timings) if timings else machine(machine_name or DEFAULT_MACHINE)
    rates: Mapping[str, float] = {}
    if recorded_in is not None:
        other = _loaded(recorded_with) if recorded_with else (config, catalogue)
        rates = recorded(recorded_in, stages(*other))
    jobs = products.job_counts(config)
    work = [stage for stage in stages(config, catalogue) if stage.gflop]
    hours = {stage: _hours_of(stage, named, rates, cores) for stage in work}
    yield f"Jobs {sum(jobs.values())}, of which {sum(stage.jobs for stage in work)} with a GPU"
    yield "  " + ", ".join(f"{rule} {count}" for rule, count in sorted(jobs.items(), key=lambda item: -item[1]))
    minutes = sum(jobs.values()) / SUBMISSIONS_A_MINUTE
    yield f"  all are sent in {minutes:.0f} min, at {SUBMISSIONS_A_MINUTE} a minute"
    yield ""
    total = sum(hours.values())
    best, longest = (
        _hours(total / gpus),
        _hours(max((_hours_each(*item, named) for item in hours.items()), default=0.0)),
    )
    yield f"GPU-hours {_hours(total)}; on {gpus} GPUs at best {best} h, the longest job alone {longest} h"
    for stage in sorted(work, key=lambda stage: -hours[stage]):
        several = f" on {stage.processes} GPUs" if stage.processes > 1 and not named.cores else ""
        one = f", {_hours(_hours_each(stage, hours[stage], named))} h each of {stage.jobs} jobs{several}"
        each = one if stage.jobs > 1 or several else ""
        slow = ", by the cores" if stage.rule not in rates and _waits_for_cores(stage, named, cores) else ""
        yield f"  {_hours(hours[stage]):>7} {stage.rule} {stage.entry}{each}{slow}"
    yield from _host_work(work, named, cores)
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
        yield f"Encoding and decoding: {named.host_source}"


def _loaded(configfiles: Sequence[str | Path], values: Sequence[str] = ()) -> tuple[dict, Mapping[str, Model]]:
    config = load_configuration(merged(configfiles, values), files=False)
    return config, read_catalogue(config["models"]["catalogue"])


def _hours_of(stage: Stage, named: Machine, rates: Mapping[str, float], cores: int) -> float:
    """Hours of all jobs of a stage; where its rule was recorded, the work of the cores is in the rate."""
    return stage.gflop / rates[stage.rule] / HOUR if stage.rule in rates else named.hours(stage, cores)


def _waits_for_cores(stage: Stage, named: Machine, cores: int) -> bool:
    """Whether a GPU waits for those who encode or decode for it."""
    return not named.cores and named.core_hours(stage) / cores >= named.hours(stage, cores) > 0


def _host_work(work: Sequence[Stage], named: Machine, cores: int) -> Iterator[str]:
    """What the cores do for the GPUs: noise is drawn on the GPU, and is in its hours."""
    encoded, decoded = sum(stage.encoded for stage in work), sum(stage.decoded for stage in work)
    if encoded or decoded:
        taken = sum(named.core_hours(stage) for stage in work)
        where = f"{named.cores} cores in all" if named.cores else f"{cores} cores next to each GPU"
        yield (
            f"Core-hours {_hours(taken)}, on {where}: {encoded / 1e6:.3g} million images to encode, "
            f"{decoded / 1e6:.3g} million to decode (of {MEASURED.crop} pixels)"
        )
    drawn = sum(stage.drawn / named.noise for stage in work) / HOUR
    if drawn:
        yield f"Noise maps {_hours(drawn)} h, in the hours above"


def _hours_each(stage: Stage, hours: float, named: Machine) -> float:
    """Hours of each job of a stage, whose processes have a GPU each, or share the cores where there is none."""
    return hours / stage.jobs / (1 if named.cores else stage.processes)


def _hours(hours: float) -> str:
    return f"{hours:.0f}" if hours >= 100 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2g}"
