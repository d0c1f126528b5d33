"""One iteration of our dynamics against a loop over single identities, on the same networks, side by side in one run.

    python benchmarks/dynamics.py world [--identities 100 400] [--batches 16 64] [--threads 1] [--device cpu]
    python benchmarks/dynamics.py stylegan2 [--identities 8 32] [--batches 8] [--precisions float32 bfloat16]

`world` is the embedded world at 56 pixels with the slim network; `stylegan2` a StyleGAN2 of the published 256-pixel
size with an iResNet50, both randomly initialised: identities that fit in one batch, and many batches, of which Langevin
embeds all but the last twice. Two loops, in float32, are measured on a few identities, since each
identity costs the same: "plain" embeds one identity at a time for all to see and takes its gradient by autograd, with
frozen parameters; "published" does what the published code does besides: gradients of all parameters, and in StyleGAN2
kernels for each picture (grouped convolution). Times are medians over rounds in which all forms take turns; believe the
ratios. Peak memory is what the process (on a GPU: its tensors) grows to. On a GPU the last column is the share of the
measured peak of matrix products in the same number format.
"""

import argparse
import copy
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

SEED, MEBIBYTE = 1, 2**20
LOOPED = 3  # identities of a loop that are measured
VARIATIONS = 8
WEIGHTS = "results/networks/steering/weights.safetensors"


def world(precision: str, device: str, weights: str = WEIGHTS):
    """The default face model, with the default run's weights where there are some, else with random ones."""
    import torch

    from brownid.facemodel.loading import crop_for, load_generator
    from brownid.facemodel.model import GeneratorFaceModel
    from brownid.recognition.backbones import backbone
    from brownid.recognition.loading import load_backbone

    torch.manual_seed(SEED)
    generator = load_generator({"family": "procedural", "image_size": 56}, device)
    if Path(weights).exists():
        network = load_backbone(weights, "slim", "slim_iresnet", 56, device=device)
    else:
        network = backbone("slim", "slim_iresnet", 56).to(device)
    return GeneratorFaceModel(generator, crop_for(generator, "two_eye", 56), network, precision)


def stylegan2(precision: str, device: str, resolution: int = 256, architecture: str = "iresnet50"):
    """A face model, by default of the published size, with random weights, in the memory layout that suits the
    precision."""
    import torch

    from brownid.facemodel.loading import crop_for
    from brownid.facemodel.model import GeneratorFaceModel
    from brownid.generators.stylegan2.generator import random_stylegan2
    from brownid.generators.stylegan2.settings import StyleGAN2Settings
    from brownid.recognition.backbones import backbone

    torch.manual_seed(SEED)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    settings = StyleGAN2Settings(resolution=resolution, channel_base=64 * resolution)
    generator = random_stylegan2(settings, SEED, compute_dtype=dtype, channels_last=True).to(device)
    network = backbone("insightface", architecture, 112).to(device)
    return GeneratorFaceModel(generator, crop_for(generator, "two_eye", 112), network, precision)


def published(model):
    """A copy of a face model as the published code uses it: kernels for each picture, gradients of all parameters."""
    import torch
    from modulation import grouped

    model = copy.deepcopy(model)
    parts = [part for part in (model.generator, model.network) if isinstance(part, torch.nn.Module)]
    for part in parts:
        grouped(part).to(memory_format=torch.contiguous_format).requires_grad_(True)
    model.steering = model.network  # with its batch-norms
    return model


def angles(embedding, others):
    import torch

    return torch.acos(0.999999 * (embedding @ others.T))


def langevin_loop(model, latents, others) -> None:
    """The forces on a few of many identities, one at a time; `others` are the embeddings of all."""
    import torch

    for latent in latents.split(1):
        with torch.no_grad():
            model.embed(latent)  # what the others see of it
        leaf = latent.clone().requires_grad_(True)
        (0.5 * torch.relu(1.4 - angles(model.embed(leaf), others)).square()).sum().backward()


def dispersion_loop(model, latents, others) -> None:
    """The forces on a few variations, one at a time, towards the embedding of their reference."""
    for latent in latents.split(1):
        leaf = latent.clone().requires_grad_(True)
        (5.0 * angles(model.embed(leaf), others[:1]).square()).sum().backward()


def langevin_run(model, latents, batch: int, iterations: int) -> None:
    from brownid.dynamics.langevin import langevin
    from brownid.dynamics.settings import LangevinSettings

    langevin(model, latents, LangevinSettings(iterations=iterations), seed=SEED, batch_size=batch)


def dispersion_run(model, latents, batch: int, iterations: int) -> None:
    from brownid.dynamics.dispersion import dispersion
    from brownid.dynamics.settings import DispersionSettings

    settings = DispersionSettings(iterations=iterations, variations=VARIATIONS)
    references = latents[: len(latents) // VARIATIONS]
    embeddings = references.new_zeros(len(references), model.embed(references[:1]).shape[1]) + 1.0
    dispersion(model, references, embeddings, settings, seed=SEED, batch_size=batch)


def taken(device: str, work: Callable, *arguments: object) -> tuple[float, float]:
    """Seconds and peak MiB of `work(*arguments)`; of one CPU thread processor seconds, which others do not disturb."""
    import torch

    on_gpu = device.startswith("cuda")
    clock = time.process_time if not on_gpu and torch.get_num_threads() == 1 else time.perf_counter
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
    begin = clock()
    work(*arguments)
    if on_gpu:
        torch.cuda.synchronize()
    seconds = clock() - begin
    if on_gpu:
        return seconds, torch.cuda.max_memory_allocated() / MEBIBYTE
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return seconds, int(peak.split()[1]) / 1024


def operations(work: Callable, *arguments: object) -> float:
    """Floating-point operations of matrix products and convolutions in `work(*arguments)`."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work(*arguments)
    return counter.get_total_flops()


def matrix_peak(precision: str, device: str) -> float:
    """Operations a second of large matrix products."""
    import torch

    side = 8192 if device.startswith("cuda") else 2048
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    first = torch.randn(side, side, device=device).to(dtype)
    rates = []
    for _ in range(6):
        seconds, _ = taken(device, torch.mm, first, first)
        rates.append(2 * side**3 / seconds)
    return statistics.median(rates[1:])


def measure(works: dict, loop: Callable, run: Callable, latents, others, options) -> dict[tuple, list]:
    """By form: (rate a second, peak MiB) of every round; of ours, of an iteration without the final embedding."""
    found = {key: [] for key in works}
    for number in range(options.rounds + 1):
        for key, (model, batch) in works.items():
            if batch is None:
                seconds, peak = taken(options.device, loop, model, latents[:LOOPED], others)
                rate = LOOPED / seconds
            else:
                once, peak = taken(options.device, run, model, latents, batch, 1)
                last, _ = taken(options.device, run, model, latents, batch, 0)
                moved = len(latents) if run is langevin_run else len(latents) // VARIATIONS * VARIATIONS
                rate = moved / max(once - last, 1e-9)
            if number:  # the first round warms up
                found[key].append((rate, peak))
    return found


def compare(build: Callable, options: argparse.Namespace) -> None:
    """Print identities a second of both loops and of our runs, for every size, batch and precision."""
    import torch

    from brownid.facemodel.batched import BatchedFaceModel
    from brownid.runtime.randomness import normal

    models = {precision: build(precision, options.device) for precision in options.precisions}
    plain = models.get("float32") or build("float32", options.device)
    loops = {"loop, plain": plain, "loop, published": published(plain)}
    peaks = {precision: matrix_peak(precision, options.device) for precision in options.precisions}
    works = {(form, 1, "float32"): (model, None) for form, model in loops.items()}
    works |= {("ours", batch, name): (model, batch) for name, model in models.items() for batch in options.batches}
    for count in options.identities:
        latents = plain.generator.map(normal(SEED, "start", range(count), (512,)).to(options.device), 0.7)
        others = BatchedFaceModel(plain, 4).embed(latents)
        for name, loop, run in (
            ("langevin", langevin_loop, langevin_run),
            ("dispersion", dispersion_loop, dispersion_run),
        ):
            found = measure(works, loop, run, latents, others, options)
            rates = {key: statistics.median(rate for rate, _ in values) for key, values in found.items()}
            print(f"\n{name}, {count} {'identities' if name == 'langevin' else 'variations'}")
            for key, values in found.items():
                form, batch, precision = key
                against = [rates[key] / rates[(other, 1, "float32")] for other in loops]
                line = f"  {form:16} batch {batch:3} {precision:9} {rates[key]:9.2f}/s  x{against[0]:6.2f} plain"
                line += f"  x{against[1]:6.2f} published  {max(peak for _, peak in values):7.0f} MiB"
                if options.device.startswith("cuda") and form == "ours":
                    model, _ = works[key]
                    work = operations(run, model, latents, batch, 1) - operations(run, model, latents, batch, 0)
                    line += f"  {work * rates[key] / count / peaks[precision]:6.1%} of peak"
                print(line, flush=True)
    print("matrix products:", ", ".join(f"{name} {peak / 1e9:.0f} GFLOP/s" for name, peak in peaks.items()))
    print("threads", torch.get_num_threads(), "load average", os.getloadavg()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("world", "stylegan2"))
    parser.add_argument("--identities", type=int, nargs="+")
    parser.add_argument("--batches", type=int, nargs="+")
    parser.add_argument("--precisions", nargs="+", default=("float32", "bfloat16"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    small = options.part == "stylegan2"
    options.identities = options.identities or ([8, 32] if small else [100])
    options.batches = options.batches or ([8] if small else [64])
    import torch

    torch.set_num_threads(options.threads)
    compare(world if options.part == "world" else stylegan2, options)


if __name__ == "__main__":
    from brownid.runtime.process import set_process_environment

    if "MALLOC_TRIM_THRESHOLD_" not in os.environ:  # must be known before the process starts
        set_process_environment()
        os.execv(sys.executable, [sys.executable, *sys.argv])
    main()
