"""Tasks of one job that share nothing but what they read, on several CPU cores."""

import ctypes
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from brownid.runtime.errors import BrownidError
from brownid.runtime.process import start_process

PR_SET_PDEATHSIG = 1
BESIDE_A_GPU = 8  # cores that feed one GPU
Task = TypeVar("Task")
Result = TypeVar("Result")
_shared: Any = None  # of a worker process


class WorkerKilledError(BrownidError):
    """A process of `in_processes` was killed."""


def available_processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes of memory that this process may still take, of the machine and of its control groups; None if unknown.

    Two processes that ask at the same time are both told of the same bytes.
    """
    try:
        lines = dict(line.split(":") for line in (proc / "meminfo").read_text().splitlines())
        found = [1024 * int(lines["MemAvailable"].split()[0])]
        places = [line.split(":", 2) for line in (proc / "self" / "cgroup").read_text().splitlines()]
    except (OSError, ValueError, KeyError):
        return None
    for number, controllers, place in places:
        if number == "0":
            found += _left(groups, place, "memory.max", "anon")
        elif "memory" in controllers.split(","):
            found += _left(groups / "memory", place, "memory.limit_in_bytes", "total_rss")
    return min(found)


def _left(root: Path, place: str, limit: str, used: str) -> Iterator[int]:
    """Bytes that a control group, and each of those that it is in, may still take."""
    group = root / place.strip("/")
    for folder in (group, *group.parents):
        with suppress(OSError, ValueError, KeyError):  # there is no limit
            most = int((folder / limit).read_text())
            statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            yield max(0, most - int(statistics[used]))  # files are given back
        if folder == root:
            return


def threads_beside(device: str, threads: int, processes: int = 1) -> int:
    """Threads that encode or decode images for one of the `processes` on this machine: `threads`, at least one.

    Where a GPU ("cuda") computes meanwhile, its share of the cores if those are more, up to what feeds a fast one.
    """
    share = min(BESIDE_A_GPU, available_processors() // processes) if device == "cuda" else 1
    return max(1, threads, share)


def in_processes(
    function: Callable[[Any, Task], Result], shared: Any, tasks: Iterable[Task], processes: int
) -> Iterator[Result]:
    """The results of `function(shared, task)`, in the order of the tasks, computed by at most `processes` processes.

    `function` stands on the top level of a module, and what goes to and fro can be pickled; `shared` goes once to each
    process. With one process or one task, all is done in this process. Tasks are taken when their turn comes, so that
    they may be made while others are computed. The first error is raised here, and ends the other tasks; a process that
    was killed is a WorkerKilledError.
    """
    processes = min(processes, len(tasks)) if isinstance(tasks, Sized) else processes
    if processes <= 1:
        for task in tasks:
            yield function(shared, task)
        return
    # Not forked: libraries that run threads do not survive that.
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _start, (shared, os.getpid()))
    try:
        running: deque[Future[Result]] = deque()
        for task in tasks:
            running.append(pool.submit(_call, function, task))
            if len(running) >= 2 * processes:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    except BrokenProcessPool:
        raise WorkerKilledError(
            f"One of the {processes} processes of this job was killed, most likely for want of memory: give the job "
            "more memory or fewer threads, and run again."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start(shared: Any, parent: int) -> None:
    global _shared
    _shared = shared
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # or it would wait for ever where the job is killed
        if os.getppid() != parent:
            sys.exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    start_process(rank=1)


def _call(function: Callable[[Any, Task], Result], task: Task) -> Result:
    return function(_shared, task)
