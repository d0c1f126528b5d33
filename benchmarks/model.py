"""What rendering, an embedding pass, a force pass and Langevin should take on an H200: counted, then divided.

    python benchmarks/model.py [--batch 64]

Operations are counted as in force_pass.py, for a StyleGAN2 of 256 pixels and an iResNet50. Each kernel takes the longer
of its arithmetic and its memory traffic, and 2.5 µs at least. Assumed, nothing of it measured: 790 TFLOP/s in bfloat16
and 380 in TF32, of which convolutions reach 55 % and products 70 %; 42 in float32 products; 4.8 TB/s, of which kernels
reach 75 % and depthwise convolutions 35 %. Noise maps, work on the host, and pairs of identities are not in it.
benchmarks/gpu.py measures the same on a GPU.
"""

import argparse
from collections.abc import Callable
from typing import Any
from unittest import mock

from force_pass import face_model  # and finds the packages

BFLOAT16, TF32, FLOAT32 = 790e12, 380e12, 42e12
CONVOLUTION, BANDWIDTH, DEPTHWISE = 0.55, 0.75, 0.35  # shares that are reached
BYTES = 4.8e12
LAUNCH = 2.5e-6  # seconds of the smallest kernel


def seconds(kind: str, size: int, operations: int, bfloat16: bool) -> float:
    """The time of one kernel that moves `size` bytes."""
    if kind == "convolution":
        arithmetic = operations / (CONVOLUTION * (BFLOAT16 if bfloat16 else TF32))
    else:
        arithmetic = operations / (0.7 * BFLOAT16 if bfloat16 else FLOAT32) if kind == "product" else 0.0
    memory = size / (BYTES * (DEPTHWISE if kind == "depthwise" else BANDWIDTH))
    return max(arithmetic, memory, LAUNCH)


def taken(work: Callable[[], Any], compiled_chains: bool) -> float:
    """Seconds of the kernels of `work`, called inside `shapes_only`."""
    import torch
    from counting import Counter, _bytes, _distinct

    from brownid.runtime import fusing

    class Clock(Counter):
        passed = 0.0

        def add(self, kind: str, read: list, written: list, operations: int = 0) -> None:
            tensors = [*_distinct(read), *_distinct(written)]
            bfloat16 = any(x.dtype == torch.bfloat16 for x in tensors)
            self.passed += seconds(kind, sum(map(_bytes, tensors)), operations, bfloat16)

    with Clock() as clock, mock.patch.object(fusing, "run", clock.run if compiled_chains else fusing.run):
        work()
    return clock.passed


def rates(precision: str, compiled_chains: bool, batch: int) -> dict[str, float]:
    """Images, or identities, per second."""
    import torch
    from counting import shapes_only

    from brownid.facemodel.batched import _vjp

    model = face_model(precision)
    with shapes_only():
        latents = torch.zeros(batch, 512)
        leaf = torch.zeros(batch, 512, requires_grad=True)

        def force() -> None:
            embeddings = model.embed(leaf)
            _vjp(leaf, embeddings, torch.zeros_like(embeddings))

        with torch.no_grad():
            render = taken(lambda: model.render(latents), compiled_chains)
            embed = taken(lambda: model.embed(latents), compiled_chains)
        forced = taken(force, compiled_chains)
    passes = {"rendering": render, "embedding pass": embed, "force pass": forced, "Langevin": embed + forced}
    return {name: batch / passed for name, passed in passes.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    batch = parser.parse_args().batch
    for precision in ("float32", "bfloat16"):
        for chains in ("steps", "compiled"):
            found = rates(precision, chains == "compiled", batch)
            print(f"{precision}, {chains}: " + ", ".join(f"{name} {rate:.0f}/s" for name, rate in found.items()))


if __name__ == "__main__":
    main()
