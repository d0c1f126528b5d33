"""What precision and the allocator do to speed and result in the embedded world, side by side in one run.

    python benchmarks/face_world.py [--threads 1] [--rounds 5] [--weights FILE]

Speed is images a second, forward and backward through generator and network, median over alternating rounds;
believe the ratios. What precision does to the result: see options.py.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

BATCH, SEED = 64, 1
SPEC = {"generator": {"family": "procedural", "image_size": 56}}
NETWORK = {"family": "slim", "architecture": "slim_iresnet", "image_size": 56, "template": "two_eye"}


def face_models(weights: str) -> dict:
    """The default face model in both precisions."""
    from brownid.facemodel.loading import load_face_model

    return {
        p: load_face_model({**SPEC, "network": {**NETWORK, "precision": p}}, weights) for p in ("float32", "bfloat16")
    }


def speeds(models: dict, rounds: int) -> dict[str, float]:
    """Median images a second of each model, taken in turns."""
    import torch

    from brownid.facemodel.loading import random_latents

    latents = random_latents(next(iter(models.values())).generator, range(BATCH), 0.7, SEED)
    taken = {name: [] for name in models}
    for number in range(rounds + 1):
        for name, model in models.items():
            leaf = latents.clone().requires_grad_(True)
            begin = time.perf_counter()
            torch.autograd.grad(model.embed(leaf).sum(), leaf)
            if number:  # the first round warms up
                taken[name].append(BATCH / (time.perf_counter() - begin))
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", default="results/networks/steering/weights.safetensors")
    parser.add_argument("--speed-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    torch.set_num_threads(options.threads)
    models = face_models(options.weights)
    found = speeds(models, options.rounds)
    line = ", ".join(f"{name} {rate:.0f} images/s" for name, rate in found.items())
    print(f"{line}, ratio {found['bfloat16'] / found['float32']:.2f}", flush=True)
    if options.speed_only:
        return
    from brownid.runtime.process import GIBIBYTE

    thresholds = {name: str(4 * GIBIBYTE) for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")}
    for name, extra in {"default allocator": {}, "big blocks kept": thresholds}.items():
        environment = {**{k: v for k, v in os.environ.items() if k not in thresholds}, **extra}
        print(f"{name}: ", end="", flush=True)
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--speed-only"], env=environment, check=True)


if __name__ == "__main__":
    main()
