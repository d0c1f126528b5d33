"""The process around the work: environment variables, log file, threads, device, progress."""

import atexit
import gc
import inspect
import json
import logging
import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from functools import cache
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from brownid import __version__
from brownid.runtime import gpus
from brownid.runtime.errors import BrownidError, sentence_of

GIBIBYTE = 1024**3
SENT_WITH_TORCH = "BROWNID_SENT_WITH_TORCH"  # the environment variable with the version where Snakemake runs
DEVICE = "BROWNID_DEVICE"  # the environment variable that keeps a process, and those that it starts, off the GPUs
MEM_MB = "BROWNID_MEM_MB"  # the environment variable that tells the processes of a job the `mem_mb` of its rule
DEVICES = ("auto", "cpu")  # its values; the profile's resource `device` has them too
# As in gpu:2, gpu:h200:2, --gres=gpu, --gpus=2, --gpus-per-node=h200:2; the number is 1 where there is none.
ASKS_FOR_GPUS = re.compile(r"\bgpus?\b(?:-per-\w+)?(?:[:=][A-Za-z_][\w.]*)?(?:[:=](\d+))?")
CHANGES_NO_RESULT = (
    "batch_size",
    "keep",
    "launcher",
    "processes",
    "saving",
    "shard_head_from",
)  # keys of the configuration, see `run`
LOG_SECONDS = 30  # between two lines about how far a loop is

logger = logging.getLogger("brownid")


class Granted(NamedTuple):
    """GPUs and nodes of a job, from its rule and the profile."""

    gpus: int = 0  # on all its nodes together
    nodes: int = 1


_granted = Granted()  # of a command, and of the processes that a job starts, nothing


def set_process_environment() -> None:
    """Set what must be known before a worker process starts; values the user has set are kept.

    glibc keeps big blocks instead of giving them back (page faults cost StyleGAN2-256 a factor of three), and OpenMP's
    waiting threads sleep instead of spinning (next to a busy process, spinning costs a factor of ten).
    """
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(4 * GIBIBYTE))
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(4 * GIBIBYTE))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault(SENT_WITH_TORCH, _version("torch"))  # goes with a job to its node


def prepare_snakemake(project: Path) -> None:
    """Let jobs of the Snakemake in whose process this runs start wherever `project` lies, and import its library.

    Raises `BrownidError` for a path that it cannot have: Snakemake takes braces in that of an environment file for a
    wildcard.
    """
    if set("{}") & set(str(project)):
        raise BrownidError(f"Snakemake cannot run a workflow in {project}: rename it so that no brace is in the path.")
    # Snakemake writes sys.executable into shell commands without quotes, and uses it for nothing else.
    if Path(sys.executable).is_file():  # else quoted already
        sys.executable = shlex.quote(sys.executable)
    # Snakemake appends the library to a job's path: a `brownid` that is installed, of whatever version, would win.
    library, paths = str(project / "workflow" / "scripts"), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join([library, *(path for path in paths if path not in ("", library))])


def start_job(snakemake: Any) -> None:
    """Set up the process of the job that the global `snakemake` of a script describes.

    Everything it prints goes to the rule's log, beginning with the param `settings`. An uncaught `BrownidError`, or a
    full disk, ends the process with a sentence, any other exception with its traceback.

    Of the rule's resources count `gpu` and `nodes`, as numbers, `gres` and `slurm_extra`, where they ask for GPUs, and
    `device` ("auto" or "cpu"). A job that asks for no GPU works on the CPU; one that does takes GPUs here, or raises
    `BrownidError` as `default_device` says.

    A script is at once the job that Snakemake starts (a copy of it, as `__main__`) and a module that tests and other
    processes import. It calls `start_job` before its other imports, since torch reads the number of threads and the
    visible GPUs when it is imported, and so that errors of imports are in the log; it ends with `run`:

        from brownid.runtime.process import run, start_job

        if __name__ == "__main__":
            start_job(snakemake)

        import torch

        def render_images(settings: Mapping[str, Any], *, samples: Path, shard: int, images: Path) -> None: ...

        if __name__ == "__main__":
            run(render_images, snakemake)
    """
    set_process_environment()
    os.environ["OMP_NUM_THREADS"] = str(snakemake.threads)
    sys.excepthook = _report  # the log itself may find a full disk
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    start_process()
    versions = (__version__, platform.python_version(), platform.node(), snakemake.threads)
    logger.info("brownid %s, python %s, %s, %d threads", *versions)
    settings = snakemake.params.get("settings")
    if settings is not None:
        logger.info("settings %s", json.dumps(settings, sort_keys=True, ensure_ascii=False))
    _grant(snakemake.resources)


def run(stage: Callable[..., None], snakemake: Any, **more: Any) -> None:
    """Call the function of a stage with what its rule names.

    Each parameter of the function has the name of an input, an output, a param or a wildcard of the rule, or is
    `threads`. Its annotation says what it gets: `Path` one file, `Path | None` one or none, `Sequence[Path]` any number
    of them, `int` a number. An input that no parameter names is one that the job only waits for, or finds by its
    settings.

    What changes no result must not be a param, since the rule would run again: `CHANGES_NO_RESULT` are taken from the
    configuration, of the entry that a wildcard names or of its top level; others are `more`. A test compares the names
    of all rules and functions.
    """
    config = snakemake.config
    sections = [
        (config.get(section), name)
        for wildcard, name in snakemake.wildcards.items()
        for section in (wildcard, f"{wildcard}s")  # {training} and {network}
    ]
    entries = [section.get(name, {}) for section, name in sections if isinstance(section, Mapping)]
    found = {name: place[name] for place in (config, *entries) for name in CHANGES_NO_RESULT if name in place}
    given: dict[str, Any] = {"threads": snakemake.threads, **found}
    for named in (snakemake.wildcards, snakemake.params, snakemake.input, snakemake.output, more):
        given |= dict(named.items())
    parameters = inspect.signature(stage).parameters.values()
    stage(**{wanted.name: _as(wanted.annotation, given[wanted.name]) for wanted in parameters if wanted.name in given})


def _as(annotation: object, value: Any) -> Any:
    """A value of Snakemake (the text of a path, a list of these, the text of a number) in the wanted type."""
    if annotation not in (Path, Path | None, Sequence[Path]):
        return int(value) if annotation is int else value
    paths = [Path(path) for path in ([value] if isinstance(value, str | Path) else value)]
    if annotation == Sequence[Path]:
        return paths
    if annotation == Path | None and not paths:
        return None
    (only,) = paths
    return only


def start_process(rank: int = 0) -> None:
    """Set logging and error reports; of several processes that share a job, only the first tells how far it is."""
    level = logging.INFO if rank == 0 else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    sys.excepthook = _report
    atexit.register(gc.freeze)  # else the interpreter looks for cycles among all that torch has made, for half a second


def check_device(device: object) -> None:
    """Raise `BrownidError` where `device` is no value of the profile's resource `device`."""
    if device not in DEVICES:
        raise BrownidError(
            f"device is {device!r}, but must be one of {', '.join(DEVICES)}: see default-resources and set-resources "
            f"in the profile, and the environment variable {DEVICE}."
        )


def granted() -> Granted:
    """GPUs and nodes of the job of this process."""
    return _granted


def granted_memory() -> int | None:
    """Bytes that the rule of this process's job asks for; None without a rule, or where it does not say."""
    return int(float(os.environ.get(MEM_MB, 0)) * 1e6) or None


def _grant(resources: Mapping) -> None:
    global _granted
    device = resources.get("device", DEVICES[0])
    check_device(device)
    os.environ[MEM_MB] = str(resources.get("mem_mb") or 0)
    nodes = resources.get("nodes", 1)
    _granted = Granted(resources.get("gpu") or nodes * _gpus_of_a_node(resources), nodes)
    if device == "cpu" or not _granted.gpus:
        os.environ[DEVICE] = "cpu"
    else:
        default_device()  # what is wrong with its GPU ends the job before it works


def _gpus_of_a_node(resources: Mapping) -> int:
    """GPUs per node that a profile requests by Slurm's options instead of the resource `gpu`."""
    found = ASKS_FOR_GPUS.search(f"{resources.get('gres', '')} {resources.get('slurm_extra', '')}")
    return int(found[1] or 1) if found else 0


@cache
def default_device() -> str:
    """ "cuda" where torch sees a GPU, else "cpu"; the first call logs it.

    A job is kept to as many GPUs as it was given, none of which another job of the same user on this machine has (see
    `brownid.runtime.gpus`). In float32 a GPU convolves in TF32, and multiplies matrices in float32 itself. Raises
    `BrownidError` where Slurm gave this process a GPU and torch sees none; "cpu" without question where the environment
    variable BROWNID_DEVICE, or the profile's resource `device`, is "cpu".
    """
    import torch

    wanted, given = os.environ.get(DEVICE, DEVICES[0]), gpus.given_by_slurm()
    check_device(wanted)
    if wanted == "cpu":
        os.environ[gpus.VISIBLE] = ""  # some ask torch themselves
    else:
        _take_gpus(given)
    device = "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    logger.info("device %s (%s), torch %s", device, name, torch.__version__)
    if device == "cuda":  # torch's defaults, stated: networks stand TF32's 11 bits, angles between embeddings do not
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False
    if given:
        logger.info("Slurm job %s on %s, %s", *_job_and_node(), given)
    if device == "cpu" != wanted:
        _check_no_gpu_was_given(given, torch.version.cuda)
    there, here = os.environ.get(SENT_WITH_TORCH), _version("torch")
    if there and there != here:
        logger.warning("torch is %s here, but %s where Snakemake runs: results may differ by rounding", here, there)
    return device


def _take_gpus(given: str) -> None:
    """Keep a job to GPUs of its own; those that Slurm gave to it alone are its own already."""
    visible = gpus.visible_gpus() if _granted.gpus else []
    if visible and not (given and len(visible) <= _granted.gpus):
        taken = gpus.take_gpus(visible, _granted.gpus)
        os.environ[gpus.VISIBLE] = ",".join(taken)
        logger.info("GPUs %s of %s", ",".join(taken), ",".join(visible))


def _check_no_gpu_was_given(given: str, cuda: str | None) -> None:
    """Refuse to work on the CPU where Slurm gave this process a GPU, which torch (built for `cuda`) does not see."""
    job, node = _job_and_node()
    if not given and not (job and _granted.gpus):
        return
    reason = (
        "this torch is built without CUDA: install a CUDA build into this environment (docs/cluster.md)"
        if cuda is None
        else f"the driver of {node} is missing or too old for CUDA {cuda}, or its GPU is hidden: see nvidia-smi there"
    )
    raise BrownidError(
        f"Slurm job {job} on {node} was given a GPU ({given or 'by its rule'}), but torch sees none: {reason}. To "
        f"work on the CPU all the same, set device: cpu in the profile (default-resources), or {DEVICE}=cpu."
    )


def _job_and_node() -> tuple[str | None, str]:
    return os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURMD_NODENAME", platform.node())


def _version(package: str) -> str:
    """The version of an installed package, without importing it; empty where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def progress(
    items: Iterable,
    description: str,
    unit: str = "it",
    total: int | None = None,
    status: Callable[[], str] = str,
) -> Iterable:
    """`items` with a progress bar on a terminal, and elsewhere (a log file) a line about every half minute.

    Both end with the `status` of the moment. Without a terminal, nothing where the log level is above INFO, as for
    commands and all processes but the first.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        from tqdm import tqdm

        return _with_status(tqdm(items, desc=description, unit=unit, total=total, leave=False), status)
    return _logged(items, description, unit, total, status) if logger.isEnabledFor(logging.INFO) else items


def _with_status(bar: Any, status: Callable[[], str]) -> Iterator:
    for item in bar:
        bar.set_postfix_str(status(), refresh=False)
        yield item


def _logged(items: Iterable, description: str, unit: str, total: int | None, status: Callable[[], str]) -> Iterator:
    started = reported = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - reported >= LOG_SECONDS and done:
            reported = now
            seconds_each = (now - started) / done
            left = "" if total is None else f" of {total}, {_duration((total - done) * seconds_each)} left"
            more = f", {said}" if (said := status()) else ""
            logger.info("%s: %d %s%s, %.3g s each%s", description, done, unit, left, seconds_each, more)
        yield item


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sentence = sentence_of(error)
    if sentence is not None:
        logger.error("error: %s", sentence)
    else:
        logger.error("unexpected error", exc_info=(kind, error, trace))


def check_failures(failures: Sequence[tuple[str, str]], total: int, maximum_failed_share: float, images: str) -> None:
    """Log the name and reason of every failure; BrownidError where they exceed the share (0 to 1) of all `images`."""
    for name, reason in failures:
        logger.warning("%s: %s", name, reason)
    if failures:
        logger.warning("%d of %d %s failed", len(failures), total, images)
    if len(failures) > maximum_failed_share * total:
        name, reason = failures[0]
        raise BrownidError(
            f"{len(failures)} of {total} {images} failed, more than the share of {maximum_failed_share} that "
            f"`maximum_failed_share` allows; the first is {name}: {reason.removesuffix('.')}."
        )
