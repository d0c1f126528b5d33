"""The process around the work: environment variables, log file, threads, device, progress."""

import logging
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path

from brownid import __version__
from brownid.errors import BrownidError

GIBIBYTE = 1024**3

logger = logging.getLogger("brownid")


def set_process_environment() -> None:
    """Set what must be known before a worker process starts; values the user has set are kept.

    glibc keeps big blocks instead of giving them back (page faults cost StyleGAN2-256 a factor of three), and OpenMP's
    waiting threads sleep instead of spinning (beside a busy process, spinning costs a factor of ten).
    """
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(4 * GIBIBYTE))
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(4 * GIBIBYTE))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def start_job(log: str | Path, threads: int) -> None:
    """Send everything this process prints to `log`, and let it use `threads` CPU threads.

    Call it first in a job script, before torch is imported: then import errors are in the log too. An uncaught
    `BrownidError` ends the process with its sentence, any other exception with its traceback.
    """
    set_process_environment()
    os.environ["OMP_NUM_THREADS"] = str(threads)
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    sys.excepthook = _report
    logger.info(
        "brownid %s, python %s, %s, %d threads", __version__, platform.python_version(), platform.node(), threads
    )


def default_device() -> str:
    """ "cuda" where torch sees a GPU, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def progress(items: Iterable, description: str, unit: str = "it", total: int | None = None) -> Iterable:
    """`items` with a progress bar on a terminal; nothing is drawn into a log file."""
    from tqdm import tqdm

    return tqdm(items, desc=description, unit=unit, total=total, disable=None, leave=False)


def _report(kind: type[BaseException], error: BaseException, trace) -> None:
    if issubclass(kind, BrownidError):
        logger.error("error: %s", error)
    else:
        logger.error("unexpected error", exc_info=(kind, error, trace))
