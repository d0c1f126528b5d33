"""Tasks of one job that share nothing but what they read, on several CPU cores."""

import ctypes
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from brownid.runtime.errors import BrownidError
from brownid.runtime.process import start_process

PR_SET_PDEATHSIG = 1
Task = TypeVar("Task")
Result = TypeVar("Result")
_shared: Any = None  # of a worker process


def in_processes(
    function: Callable[[Any, Task], Result], shared: Any, tasks: Sequence[Task], processes: int
) -> Iterator[Result]:
    """The results of `function(shared, task)`, in the order of the tasks, computed by at most `processes` processes.

    `function` stands on the top level of a module, and what goes to and fro can be pickled; `shared` goes once to each
    process. With one process or one task, all is done in this process. The first error is raised here, and ends the
    other tasks; a process that was killed is a BrownidError.
    """
    processes = min(processes, len(tasks))
    if processes <= 1:
        for task in tasks:
            yield function(shared, task)
        return
    # Not forked: libraries that run threads do not survive that.
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _start, (shared, os.getpid()))
    try:
        waiting = deque(tasks)
        running: deque[Future[Result]] = deque()
        while waiting or running:
            while waiting and len(running) < 2 * processes:
                running.append(pool.submit(_call, function, waiting.popleft()))
            yield running.popleft().result()
    except BrokenProcessPool:
        raise BrownidError(
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
    start_process(rank=1)


def _call(function: Callable[[Any, Task], Result], task: Task) -> Result:
    return function(_shared, task)
