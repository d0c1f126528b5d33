"""Checks of a Slurm cluster before a run: jobs of an earlier run, and the names of partitions."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from brownid.runtime.errors import BrownidError
from brownid.runtime.process import check_device

PROFILE = "profiles/slurm/config.yaml"
SECONDS = 60  # to wait for an answer of the controller


def check_start(folder: str | Path, executor: str, partitions: Iterable[str], devices: Iterable[str] = ()) -> None:
    """Raise a `BrownidError` where a run in `folder` must not start.

    Jobs of an earlier run in this folder may still be in the queue after Snakemake itself was killed: two runs would
    write the same files. With the executor "slurm", the controller must answer and know the `partitions` that the
    profile names. The `devices` that it names must be known as well.
    """
    for device in devices:
        check_device(device)
    if shutil.which("squeue") is None:
        if executor == "slurm":
            raise BrownidError("squeue was not found: start Snakemake where Slurm's commands are, on a login node.")
        return
    try:
        jobs = jobs_below(folder)
    except BrownidError:
        if executor == "slurm":
            raise
        return
    if jobs:
        raise BrownidError(
            f"{len(jobs)} jobs of an earlier run in this folder are still in the queue and would write the same files: "
            f"{' '.join(jobs)}. Wait until they have ended (squeue --me), or end them (scancel {' '.join(jobs)}); long "
            "jobs save their state. Then start again."
        )
    if executor == "slurm":
        _check_partitions(partitions)


def jobs_below(folder: str | Path) -> list[str]:
    """The ids of this user's jobs in the queue that Snakemake sent from `folder`, but for the one that runs this."""
    rows = _answer(["squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%A|%k|%Z"])
    place, own = str(Path(folder).resolve()), os.environ.get("SLURM_JOB_ID")
    found = (row.split("|", 2) for row in rows if row.count("|") >= 2)
    return [job for job, comment, below in found if comment.startswith("rule_") and below == place and job != own]


def _check_partitions(partitions: Iterable[str]) -> None:
    known = sorted(set(_answer(["sinfo", "--noheader", "--format=%R"])))
    unknown = sorted(set(map(str, partitions)) - set(known))
    if unknown:
        raise BrownidError(
            f"This cluster has no partition {' and no '.join(unknown)}; it has {', '.join(known)}. "
            f"Set slurm_partition in the first section of {PROFILE}."
        )


def _answer(command: list[str]) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().replace("\n", " ")
        raise BrownidError(
            f"Slurm does not answer ({command[0]}: {said}). Start Snakemake where squeue works, or wait until it does."
        ) from None
    return done.stdout.split("\n")[:-1]
