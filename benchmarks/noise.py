"""What the noise maps of a StyleGAN2 cost to draw: by counter on the device, and as before on the host.

    python benchmarks/noise.py [--resolution 256] [--batch 8] [--rounds 7] [--device cpu]

One thread; medians over rounds in which all forms take turns; believe the ratios. "torch.randn" draws as many numbers
from one stream, without addresses. "host" is NumPy's Philox4x64 with one stream per map and image, as until version
0.3.0. "torch" is the form of a GPU, without compilation. On a GPU the first is compiled, where that works.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

SEED = 1


def sides(resolution: int) -> list[int]:
    """The sides of the noise maps: one of the smallest block, two of every other."""
    found = [4]
    while found[-1] < resolution:
        found += [2 * found[-1]] * 2
    return found


def forms(maps: list[int], batch: int, device: str) -> dict[str, Callable[[], object]]:
    """What draws the maps of a batch, by name."""
    import torch

    from brownid.runtime import philox
    from brownid.runtime.randomness import NoiseKey, normal

    count = sum(side**2 for side in maps)
    keys, rows = philox.round_keys((1, 2)), philox.counters(range(batch), 0)
    there = torch.device(device)
    return {
        "by counter": lambda: NoiseKey(SEED, range(batch), 0).normal("noise", (count,), device),
        "torch": lambda: philox.draw_with_torch(rows, -(-count // 4), keys, there, compiled=False),
        "host": lambda: [normal(SEED, f"noise/{n}", range(batch), (s, s)).to(device) for n, s in enumerate(maps)],
        "torch.randn": lambda: torch.randn(batch, count, device=device),
    }


def seconds(work: Callable[[], object], device: str) -> float:
    """The time of one draw; on a CPU processor seconds, which others do not disturb."""
    import torch

    on_gpu = device.startswith("cuda")
    wait, clock = (torch.cuda.synchronize, time.perf_counter) if on_gpu else ((lambda: None), time.process_time)
    wait()
    begin = clock()
    work()
    wait()
    return clock() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    maps = sides(options.resolution)
    works = forms(maps, options.batch, options.device)
    taken = {name: [] for name in works}
    for number in range(options.rounds + 1):
        for name, work in works.items():
            duration = seconds(work, options.device)
            if number:  # the first round warms up
                taken[name].append(duration)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    print(f"{sum(side**2 for side in maps)} numbers per image, batch {options.batch}, load {os.getloadavg()[0]:.1f}")
    for name, median in medians.items():
        rate = 1e3 * median / options.batch
        print(f"  {name:12} {rate:7.3f} ms per image, {median / medians['torch.randn']:5.2f} times torch.randn")


if __name__ == "__main__":
    main()
