"""Saves what the host has where SIGTERM arrives while the main thread waits for a GPU that never answers."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from brownid.jobs.resume import TERMINATED
from brownid.runtime.process import logger

PATIENCE = 10.0  # seconds; Slurm ends a job 30 seconds after SIGTERM, unless its KillWait says otherwise


@contextmanager
def rescuing(
    save: Callable[[], None], *, patience: float = PATIENCE, end: Callable[[int], None] = os._exit
) -> Iterator[threading.Event]:
    """Within the block, `save` and end the process where SIGTERM has found no answer after `patience` seconds.

    The block sets the event as its answer. Python's own handler of SIGTERM runs in the main thread, and never where
    that waits inside NCCL for a process that was lost; a thread watches here, which the interpreter's C handler wakes.
    """
    answered = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield answered  # only the main thread receives signals
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        while numbers := reader.recv(64):
            if signal.SIGTERM in numbers and not answered.wait(patience):
                logger.warning("SIGTERM: no answer for %g s; saving the last copy on the host", patience)
                try:
                    save()
                finally:
                    end(TERMINATED)
                return

    thread = threading.Thread(target=watch, name="rescue", daemon=True)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread.start()
    try:
        yield answered
    finally:
        answered.set()
        signal.set_wakeup_fd(before)
        writer.close()
        thread.join()
        reader.close()
