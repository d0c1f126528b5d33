"""The packing written as plainly as its equations, with autograd, and processes that are threads."""

import threading

import torch


def unit(vectors):
    return torch.nn.functional.normalize(vectors)


def plain_energy(moving, others, gallery, alpha, repulsion, own):
    """U of rows that move; row i of them is row own[i] of the others."""
    unit = torch.nn.functional.normalize(moving)
    distances = 1 - unit @ torch.nn.functional.normalize(others).T
    distances = distances.masked_fill(torch.nn.functional.one_hot(own, len(others)).bool(), torch.inf)
    energy = -distances.min() if repulsion == "closest" else -distances.min(dim=1).values.mean()
    if gallery is not None:
        energy = energy + alpha * (1 - unit @ torch.nn.functional.normalize(gallery).T).min(dim=1).values.mean()
    return energy


class ThreadShare:
    """One of several threads that behave as processes which share a run."""

    def __init__(self, rank, size, slots, barrier):
        self.rank, self.size, self.slots, self.barrier = rank, size, slots, barrier

    def _all(self, values):
        self.slots[self.rank] = values.clone()
        self.barrier.wait(20)
        found = torch.stack(list(self.slots))
        self.barrier.wait(20)
        return found

    def sum(self, values):
        return self._all(values).sum(dim=0)

    def minimum(self, values):
        return self._all(values).amin(dim=0)

    def maximum(self, values):
        return self._all(values).amax(dim=0)


def in_threads(size, work):
    """What `work(group)` returned or raised in each of `size` threads."""
    slots, barrier, found = [None] * size, threading.Barrier(size), [None] * size

    def one(rank):
        try:
            found[rank] = work(ThreadShare(rank, size, slots, barrier))
        except Exception as error:
            barrier.abort()
            found[rank] = error

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def random_vectors(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
