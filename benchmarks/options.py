"""What the options of the dynamics do to where a run ends, and to the time it takes.

    python benchmarks/options.py neighbours [--identities 100] [--batches 64] [--threads 1] [--device cpu]
    python benchmarks/options.py arithmetic
    python benchmarks/options.py precision --identities 32 [--seeds 1 2 3]

The run is the default one (embedded world, 20 iterations, the default run's weights where there are some). `neighbours`
compares the others' embeddings of this pass and of the pass before, at several timesteps; `arithmetic` compares number
format, memory layout and compilation of the FR network; `precision` compares number formats of a StyleGAN2 of 64 pixels
and an iResNet18 with random weights, at the published step. Each end is judged by the same model in float32.
"""

import argparse
import dataclasses
import itertools
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

from dynamics import SEED, stylegan2, taken, world


def judge(model, result, settings) -> str:
    """Energy and nearest neighbours of where a run ended, measured by `model`."""
    from brownid.embeddings.pairwise import pairwise_forces
    from brownid.facemodel.batched import BatchedFaceModel

    embeddings = BatchedFaceModel(model, 64).embed(result.latents)
    pairs = pairwise_forces(embeddings, settings.repulsion_coefficient, settings.repulsion_radius, settings.ict)
    nearest = float(pairs.angles.nearest.mean())
    return f"energy {0.5 * float(pairs.energies.sum()):8.1f}, nearest neighbour {nearest:.4f} rad"


def effects(changes: dict[str, tuple], options: argparse.Namespace, judge_model) -> None:
    """Print where the default run's Langevin ends under each change of model or settings, and how long it takes."""
    from brownid.dynamics.langevin import langevin
    from brownid.dynamics.settings import LangevinSettings
    from brownid.facemodel.loading import random_latents

    default = LangevinSettings(iterations=20, repulsion_coefficient=30.0)
    for count, seed, batch in itertools.product(options.identities, options.seeds, options.batches):
        start = random_latents(judge_model.generator, range(count), 0.7, seed)
        for name, (model, change) in changes.items():
            settings = dataclasses.replace(default, **change)
            ends = []

            def run(model, settings, batch, start=start, seed=seed, ends=ends) -> None:
                ends.append(langevin(model, start, settings, seed=seed, batch_size=batch))

            seconds, _ = taken(options.device, run, model, settings, batch)
            found = judge(judge_model, ends[0], settings)
            print(f"{count} identities, seed {seed}, batch {batch}, {name:28} {found}, {seconds:6.1f} s", flush=True)


def neighbours(options: argparse.Namespace) -> None:
    """The neighbours' embeddings of this pass and of the one before."""
    model = world("float32", options.device)
    changes = {}
    for step in (-0.1, -0.3, -1.0):
        for name in ("current", "previous"):
            changes[f"timestep {step}, {name}"] = (model, {"timestep": step, "neighbours": name})
    effects(changes, options, model)


def arithmetic(options: argparse.Namespace) -> None:
    """Number format, memory layout and compilation of the FR network."""
    import torch

    models = {
        "float32, channels-last": world("float32", options.device),
        "bfloat16, channels-last": world("bfloat16", options.device),
        "float32, contiguous": world("float32", options.device),
        "float32, compiled": world("float32", options.device),
    }
    models["float32, contiguous"].network.to(memory_format=torch.contiguous_format)
    models["float32, compiled"].network.compile(dynamic=True)
    effects({name: (model, {}) for name, model in models.items()}, options, world("float32", options.device))


def precision(options: argparse.Namespace) -> None:
    """Number format of generator and FR network."""
    models = {name: stylegan2(name, options.device, 64, "iresnet18") for name in ("float32", "bfloat16")}
    effects({name: (model, {}) for name, model in models.items()}, options, models["float32"])


PARTS = {"neighbours": neighbours, "arithmetic": arithmetic, "precision": precision}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--identities", type=int, nargs="+", default=[100])
    parser.add_argument("--batches", type=int, nargs="+", default=[64])
    parser.add_argument("--seeds", type=int, nargs="+", default=[SEED], help="of starts and runs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    torch.set_num_threads(options.threads)
    PARTS[options.part](options)


if __name__ == "__main__":
    main()
