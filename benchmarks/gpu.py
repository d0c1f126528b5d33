"""What we modelled for a GPU, measured on yours: the open cells of docs/gpu.md as a table in Markdown, in ten minutes.

    python benchmarks/gpu.py [--only NAME...] [--seconds 3] [--output gpu.md]
    python benchmarks/gpu.py --small        toy sizes on any device, to see that it runs

Random weights of the published sizes, nothing is read or downloaded: StyleGAN2 of 256 pixels with an iResNet50, packing
of 10 000, FR training of an iResNet50 in batches of 256. Each row is a rate over `--seconds` after a warm-up;
a row that fails says why. "modelled" is counted and divided by the rates of an H200 in the first rows.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

Cell = tuple[float, str]  # a number and its unit


@dataclass
class Sizes:
    """What is measured, and how long."""

    device: str
    seconds: float
    small: bool
    cores: int
    work: Any = None  # MeasuredWork
    identities: int = 256
    images: int = 4096
    classes: int = 10_000
    training_batch: int = 256
    crowd: int = 30_000
    side: int = 8192  # of matrices
    elements: int = 2**30  # of the copy
    models: dict = field(default_factory=dict)

    def model(self, precision: str, noise: str = "fixed", compile: bool | str = False):
        """The face model, made once. Where one compiles ("auto"), all do after it: such rows come last."""
        from brownid.planning.device import face_model

        key = precision, noise, compile
        if key not in self.models:
            self.models.clear()  # the memory is for one
            self.models[key] = face_model(self.device, self.work, noise=noise, precision=precision, compile=compile)
        return self.models[key]

    def rate(self, step: Callable[[], object]) -> float:
        """Calls of a step per second."""
        from brownid.planning.device import rate

        return rate(step, self.device, self.seconds)


@dataclass
class Row:
    """A row of the table."""

    name: str
    what: str
    modelled: str
    measure: Callable[[Sizes], Cell]
    compiles: bool = False


ROWS: list[Row] = []


def row(name: str, what: str, modelled: str = "", **given: Any):
    """Enter a function in `ROWS`, with arguments of its own."""

    def enter(measure: Callable[..., Cell]) -> Callable[..., Cell]:
        ROWS.append(Row(name, what, modelled, lambda sizes: measure(sizes, **given), "compile" in given))
        return measure

    return enter


@row("products-bfloat16", "matrix products in bfloat16", "790 TFLOP/s, assumed", dtype="bfloat16", tf32=False)
@row("products-tf32", "matrix products in TF32", "380 TFLOP/s, assumed", dtype="float32", tf32=True)
def products(sizes: Sizes, dtype: str, tf32: bool) -> Cell:
    import torch

    matrix = torch.randn(sizes.side, sizes.side, device=sizes.device).to(getattr(torch, dtype))
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        return 2 * sizes.side**3 * sizes.rate(lambda: matrix @ matrix) / 1e12, "TFLOP/s"
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@row("bandwidth", "memory, read and written by a copy", "4.8 TB/s, assumed")
def bandwidth(sizes: Sizes) -> Cell:
    import torch

    source = torch.zeros(sizes.elements, device=sizes.device)
    target = torch.empty_like(source)
    return 2 * source.nbytes * sizes.rate(lambda: target.copy_(source)) / 1e12, "TB/s"


@row("depthwise", "depthwise filter 4 × 4 of 64 × 64 × 256², bfloat16, as a convolution", "open", form="depthwise")
@row("slices", "the same as a sum of slices", "open", form="slices")
def low_pass(sizes: Sizes, form: str) -> Cell:
    import torch

    from brownid.generators.stylegan2.lowpass import FORMS

    work = sizes.work
    images = torch.zeros(work.batch, work.channels, work.resolution, work.resolution, device=sizes.device)
    images = images.to(torch.bfloat16).to(memory_format=torch.channels_last)
    kernel = torch.ones(4, 4, device=sizes.device, dtype=torch.bfloat16)
    return 1e3 / sizes.rate(lambda: FORMS[form](images, kernel, 1)), "ms"


@row("noise", "random noise maps, per image", "0.016 ms uncompiled, 0.0002 ms compiled")
def noise(sizes: Sizes) -> Cell:
    from brownid.runtime.randomness import NoiseKey

    numbers = sum(map_.numel() for map_ in sizes.model("bfloat16").generator.noise_maps().values())
    key = NoiseKey(1, range(sizes.work.batch), 0)
    per_batch = 1 / sizes.rate(lambda: key.normal("benchmark/noise", (numbers,), sizes.device))
    return 1e3 * per_batch / sizes.work.batch, "ms"


FORCE = "force pass of 64"


@row("force-bfloat16", f"{FORCE}, bfloat16", "2 720 images/s", precision="bfloat16", compile="auto")
@row("force-float32", f"{FORCE}, float32 (TF32)", "1 420 images/s", precision="float32", compile="auto")
@row("force-bfloat16-steps", f"{FORCE}, bfloat16, not compiled", "1 900 images/s", precision="bfloat16")
@row("force-float32-steps", f"{FORCE}, float32 (TF32), not compiled", "980 images/s", precision="float32")
def force(sizes: Sizes, precision: str, compile: bool | str = False) -> Cell:
    from brownid.facemodel.batched import BatchedFaceModel
    from brownid.planning.scenarios import starting_latents

    model = sizes.model(precision, compile=compile)
    latents = starting_latents(model.generator, sizes.work.batch)
    batched = BatchedFaceModel(model, sizes.work.batch)
    step = sizes.rate(lambda: batched.embed_and_differentiate(latents, lambda _, embeddings: embeddings))
    return sizes.work.batch * step, "images/s"


LANGEVIN = "Langevin with random noise, many batches"


@row("langevin-bfloat16", f"{LANGEVIN}, bfloat16", "1 850 identities/s", precision="bfloat16", compile="auto")
@row("langevin-float32", f"{LANGEVIN}, float32 (TF32)", "965 identities/s", precision="float32", compile="auto")
@row("langevin-bfloat16-steps", f"{LANGEVIN}, bfloat16, not compiled", "1 340 identities/s", precision="bfloat16")
@row("langevin-float32-steps", f"{LANGEVIN}, float32 (TF32), not compiled", "690 identities/s", precision="float32")
def langevin_identities(sizes: Sizes, precision: str, compile: bool | str = False) -> Cell:
    from brownid.dynamics.langevin import langevin
    from brownid.dynamics.settings import LangevinSettings
    from brownid.planning.scenarios import starting_latents

    model = sizes.model(precision, "random", compile)
    latents = starting_latents(model.generator, sizes.identities)
    settings = LangevinSettings(iterations=2)
    one = LangevinSettings(iterations=1)

    def seconds(given) -> float:
        began = time.perf_counter()
        langevin(model, latents, given, seed=1, batch_size=sizes.work.batch).embeddings.sum().item()
        return time.perf_counter() - began

    seconds(one)
    return sizes.identities / max(seconds(settings) - seconds(one), 1e-9), "identities/s"


@row("pairs", "pairs of 30 000 identities with statistics, an iteration", "open")
def pairs(sizes: Sizes) -> Cell:
    from brownid.embeddings.pairwise import pairwise_forces
    from brownid.planning.scenarios import vectors

    crowd = vectors(sizes.device, sizes.crowd, "crowd", sizes.work.width)
    return 1 / sizes.rate(lambda: pairwise_forces(crowd, 1.0, 1.4, 1.4).energies.sum().item()), "s"


@row("packing", "100 000 iterations of packing 10 000 near a gallery of 10 000", "1.6 to 3.5 min")
def packing(sizes: Sizes) -> Cell:
    from brownid.planning.device import packing_step

    return 100_000 / sizes.rate(packing_step(sizes.device, sizes.work)) / 60, "min"


@row(
    "rendering-bfloat16",
    "rendering alone in bfloat16",
    "7 460 images/s",
    precision="bfloat16",
    compile="auto",
    threads=0,
)
@row(
    "rendering-float32",
    "rendering alone in float32 (TF32)",
    "3 960 images/s",
    precision="float32",
    compile="auto",
    threads=0,
)
@row(
    "shard-bfloat16",
    "rendering and encoding a shard, all cores",
    "8 800 images/s encoded by 8 cores; at least 2 500 wanted",
    precision="bfloat16",
    compile="auto",
)
def rendering(sizes: Sizes, precision: str, compile: str, threads: int | None = None) -> Cell:
    import numpy as np

    from brownid.facemodel.loading import random_latents, render_in_batches
    from brownid.runtime.randomness import NoiseKey
    from brownid.samples.images import write_image_shard

    model, numbers = sizes.model(precision, compile=compile), list(range(sizes.images))
    latents = random_latents(model.generator, numbers, 0.7, 1)

    def images() -> Iterator[np.ndarray]:
        return render_in_batches(model.generator, model.crop, latents, NoiseKey(1, numbers, None))

    next(images())
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        if threads is None:
            labels = ["reference"] * len(numbers)
            given = {"image_size": sizes.work.crop, "threads": sizes.cores}
            write_image_shard(Path(folder) / "shard.arrow", "people", numbers, labels, images(), **given)
        else:
            for _ in images():
                pass
        return len(numbers) / (time.perf_counter() - began), "images/s"


@row("training", "FR training, iResNet50, batches of 256, bfloat16, images on the GPU", "7 000 images/s (36 ms a step)")
def training(sizes: Sizes) -> Cell:
    import torch

    from brownid.runtime.randomness import uniform
    from brownid.training.augmentation import draws
    from brownid.training.data import Batch
    from brownid.training.module import Optimiser, RecognitionModule
    from brownid.training.settings import TrainingSettings

    work, count = sizes.work, sizes.training_batch
    named = {"family": "insightface", "architecture": work.architecture, "embedding_dim": work.width}
    settings = TrainingSettings(**named, precision="bfloat16")
    given = {"classes": sizes.classes, "image_size": work.crop, "seed": 1, "precision": "bfloat16"}
    module = RecognitionModule(settings, **given).to(sizes.device)
    optimiser = Optimiser(module, settings)
    pixels = (255 * uniform(1, "benchmark", range(count), (work.crop, work.crop, 3))).to(torch.uint8)
    labels = torch.arange(count) % sizes.classes
    batch = Batch(pixels, labels, draws(1, range(count), 0), slice(0, count), 0).to(sizes.device)

    def step() -> None:
        module(batch).objective.backward()
        optimiser.step(0, 0.01)

    return count * sizes.rate(step), "images/s"


@row("encode", "PNG encoding of 112 pixels, per core", "1 100 images/s, measured on a CPU")
@row("decode", "PNG decoding of 112 pixels, per core", "2 900 images/s, measured on a CPU", decode=True)
def encode(sizes: Sizes, decode: bool = False) -> Cell:
    from brownid.planning.device import faces
    from brownid.samples import png

    images = faces(sizes.work)
    encoded = [png.encode(image) for image in images]
    work = (lambda: [png.decode(one) for one in encoded]) if decode else (lambda: [png.encode(one) for one in images])
    return len(images) * sizes.rate(work), "images/s"


def measured(chosen: Row, sizes: Sizes) -> str:
    """The cell of a row: a number with its unit, or why there is none."""
    try:
        number, unit = chosen.measure(sizes)
    except Exception as error:
        return f"failed: {type(error).__name__}: {' '.join(str(error).split())[:120]}"
    return f"{number:.3g} {unit}" if number < 1000 else f"{number:,.0f} {unit}".replace(",", " ")


def table(sizes: Sizes, names: list[str] | None = None) -> Iterator[str]:
    """The lines of the table, as they are measured."""
    import torch

    name = torch.cuda.get_device_name() if sizes.device == "cuda" else platform.machine()
    toy = ", TOY SIZES" if sizes.small else ""
    yield f"{name}, {sizes.cores} cores, torch {torch.__version__}, CUDA {torch.version.cuda}{toy}"
    yield ""
    yield "| row | what | modelled (H200) | measured here |"
    yield "|---|---|---|---|"
    for chosen in sorted(ROWS, key=lambda one: one.compiles):
        if not names or chosen.name in names:
            yield f"| {chosen.name} | {chosen.what} | {chosen.modelled} | {measured(chosen, sizes)} |"


def prepared(small: bool, seconds: float) -> Sizes:
    """The sizes for this machine; a GPU computes in TF32 where the project does."""
    from brownid.jobs.workers import available_processors
    from brownid.planning.timings import MEASURED, MeasuredWork
    from brownid.runtime.process import default_device

    sizes = Sizes(default_device(), seconds, small, available_processors(), MEASURED)
    if small:
        sizes.work = MeasuredWork(32, "iresnet18", batch=2, channels=4, packed=50, width=16, crop=32)
        sizes.identities, sizes.images, sizes.classes, sizes.training_batch = 3, 4, 10, 4
        sizes.crowd, sizes.side, sizes.elements = 50, 64, 2**10
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[one.name for one in ROWS], metavar="NAME")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sizes = prepared(given.small, 0.0 if given.small else given.seconds)
    if sizes.device == "cpu" and not given.small:
        sys.exit("No GPU is visible here: run it where there is one, or with --small to see that it runs.")
    lines = []
    for line in table(sizes, given.only):
        print(line, flush=True)
        lines.append(line)
    if given.output:
        given.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
