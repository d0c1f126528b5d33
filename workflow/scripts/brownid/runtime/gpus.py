"""GPUs for a job: those of the machine that no other job of the same user holds.

A GPU is held by an abstract Unix socket that is named after it: one process can have a name at a time, and the kernel
frees it when the process ends, however it ends. No file is involved, hence no file system and nothing to clean up.
"""

import errno
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

VISIBLE = "CUDA_VISIBLE_DEVICES"
NO_GPUS = {"", "-1", "NoDevFiles"}  # what users and Slurm write there for none
IN_MIG = "MIG-"  # how names of parts of a GPU begin
SECONDS = 60  # to wait for an answer of nvidia-smi

logger = logging.getLogger("brownid")
_held: list[socket.socket] = []


def visible_gpus() -> list[str]:
    """The GPUs that torch would see in this process, as CUDA_VISIBLE_DEVICES names them; CUDA is not started for it."""
    import torch

    if not torch.backends.cuda.is_built():
        return []
    given = os.environ.get(VISIBLE)
    names = [] if given is None else [name.strip() for name in given.split(",")]
    if names and names[0].startswith(IN_MIG):
        return names  # CUDA shows a process one of them only
    count = torch.cuda.device_count()
    return names[:count] if names else [str(number) for number in range(count)]


def take_gpus(visible: Sequence[str], count: int) -> list[str]:
    """`count` of the `visible` GPUs (all where there are fewer), which this process then holds until it ends.

    Waits until `count` are free, and logs that once. Holds none meanwhile, so that no two jobs wait for each other.
    Where there are no abstract sockets (elsewhere than on Linux, or forbidden) they are the first ones.
    """
    count = min(count, len(visible))
    if sys.platform != "linux":
        return list(visible[:count])
    places = _places(visible)
    told = False
    while True:
        try:
            taken = _attempt(places, count)
        except OSError as error:
            logger.warning("GPUs cannot be held here (%s): other jobs may take the same ones", error)
            return list(visible[:count])
        if len(taken) == count:
            _held.extend(taken.values())
            return list(taken)
        for held in taken.values():
            held.close()
        if not told:
            told = True
            logger.info("waiting for %d of the GPUs %s: other jobs hold them", count, ",".join(visible))
        time.sleep(1 + os.getpid() % 100 / 100)  # jobs that began together do not look together again


def held_descriptors() -> list[int]:
    """The file descriptors that hold the GPUs of this process: a child that has them holds them too."""
    return [held.fileno() for held in _held]


def given_by_slurm() -> str:
    """Slurm's description of the GPUs of this job or step, and the visible ones; empty if there are none."""
    if "SLURM_JOB_ID" not in os.environ:
        return ""
    numbers = os.environ.get("SLURM_JOB_GPUS") or os.environ.get("SLURM_STEP_GPUS")
    count = os.environ.get("SLURM_GPUS_ON_NODE", "0")
    visible = os.environ.get(VISIBLE, "")
    if numbers or count != "0" or visible not in NO_GPUS:
        return f"GPUs {numbers or '?'}, visible {visible or 'none'}"
    return ""


def _attempt(places: dict[str, str], count: int) -> dict[str, socket.socket]:
    taken: dict[str, socket.socket] = {}
    for name, place in places.items():
        if len(taken) == count:
            break
        holding = socket.socket(socket.AF_UNIX)
        try:
            holding.bind(place)
        except OSError as error:
            holding.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            taken[name] = holding
    return taken


def _places(visible: Sequence[str]) -> dict[str, str]:
    """The socket's name for each GPU: by UUID, since inside containers and Slurm jobs the numbers begin at 0 again."""
    uuids = _uuids()
    places = {}
    for name in visible:
        same = [uuid for uuid in uuids.values() if name.startswith("GPU-") and uuid.startswith(name)]
        own = uuids.get(name) or (same[0] if same else f"{os.environ.get('SLURM_JOB_ID', '')}:{name}")
        places[name] = f"\0brownid gpu {os.getuid()} {own}"
    return places


def _uuids() -> dict[str, str]:
    """The UUIDs of this machine's GPUs by number; empty where nvidia-smi does not tell them."""
    command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = (line.split(",") for line in done.stdout.splitlines())
    return {row[0].strip(): row[1].strip() for row in rows if len(row) == 2}
