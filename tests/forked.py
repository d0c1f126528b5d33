"""Processes that share a run: forked from the test, joined by gloo."""

import multiprocessing
import socket

import pytest
import torch

from brownid.jobs.distributed import joined
from brownid.runtime import process


def in_processes(size, work):
    """What `work(group)` returned or raised in each of `size` processes, forked from this one; None of one killed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")

    def one(rank, sender):
        environment = {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
        torch.set_num_threads(1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(process.DEVICE, "cpu")  # gloo, wherever this runs
            process.default_device.cache_clear()
            patch.setenv("MASTER_ADDR", "127.0.0.1")
            patch.setenv("MASTER_PORT", str(port))
            try:
                with joined(environment) as group:
                    sender.send(work(group))
            except Exception as error:
                sender.send(error)

    pipes = [context.Pipe(duplex=False) for _ in range(size)]
    workers = [context.Process(target=one, args=(rank, pipe[1])) for rank, pipe in enumerate(pipes)]
    for worker in workers:
        worker.start()
    found = []
    for receiver, sender in pipes:
        sender.close()  # that of the worker is the last one
        try:
            found.append(receiver.recv() if receiver.poll(30) else "nothing in half a minute")
        except EOFError:
            found.append(None)
    for worker in workers:
        worker.join(5)
        worker.kill()
    return found
