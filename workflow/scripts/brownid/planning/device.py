"""What `brownid doctor --device` finds: whether a GPU computes what the CPU computes, how fast, and what is wrong."""

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from brownid.configuration.loading import load_configuration, merged
from brownid.embeddings.neighbours import NeighbourSearch, Panel
from brownid.facemodel.batched import BatchedFaceModel
from brownid.facemodel.loading import crop_for, load_generator
from brownid.facemodel.model import GeneratorFaceModel
from brownid.generators.protocol import Generator
from brownid.hyperface.packing import SphereOptimizer
from brownid.hyperface.settings import PackingSettings
from brownid.jobs.workers import available_processors
from brownid.planning.collectives import examine_group
from brownid.planning.doctor import Machine, examine_machine, this_machine
from brownid.planning.resources import Finding, amount, examine_memory
from brownid.planning.scenarios import SCENARIOS, Scenario, starting_latents, vectors
from brownid.planning.timings import MEASURED, DeviceTimings, MeasuredWork, write_timings
from brownid.recognition.backbones import backbone
from brownid.recognition.embedding import as_bytes
from brownid.runtime.errors import BrownidError, one_line
from brownid.runtime.fusing import compile_chains
from brownid.runtime.precision import compute_dtype, resolve_precision
from brownid.runtime.process import default_device
from brownid.runtime.randomness import NoiseKey
from brownid.samples import png
from brownid.weights.catalogue import read_catalogue

AGREEMENT, TIMINGS, DEVICE = "The device against the CPU", "Timings", "This device"
# The largest difference, as a share of the largest number of a result: rounding, with TF32 off.
TOLERANCE, TOLERANCE_BFLOAT16 = 1e-3, 0.05
SECONDS = 2.0  # that a timing takes on a GPU at least
# On a CPU less is measured, and scaled: images of a batch, and packed references.
ON_CPU = MEASURED._replace(batch=2, packed=1000)
HERE = "run this command where jobs get a GPU: srun --gpus=1 brownid doctor --device"
SLOW_FILTER = 8  # times a copy of the same images
GPU_FREE = 0.9  # of its memory, when nobody else uses it


def examine_device(
    timings: str | Path | None = None,
    configfiles: Sequence[str | Path] = (),
    values: Sequence[str] = (),
    *,
    scenarios: Mapping[str, Scenario] = SCENARIOS,
    work: MeasuredWork | None = None,
    machine: Machine | None = None,
    seconds: float = SECONDS,
) -> Iterator[Finding]:
    """All findings, one by one as they are made; `timings` is the file that the timings are written to.

    With configuration files, also whether their batches fit the memory of the GPU.
    """
    try:
        device = default_device()
    except BrownidError as error:
        yield Finding("blocks", DEVICE, str(error))
        return
    machine = machine or this_machine()
    for finding in examine_machine(machine):
        yield finding._replace(remedy=finding.remedy and HERE)
    if device == "cuda":
        yield from examine_gpus()
    if configfiles:
        config = load_configuration(merged(configfiles, values), files=False)
        yield from examine_memory(config, read_catalogue(config["models"]["catalogue"]), machine.gpu_bytes)
    yield from compared(device, scenarios)
    work = work or (MEASURED if device == "cuda" else ON_CPU)
    found, rendered, copied = measure(device, work, seconds)
    yield from judged(found, rendered, copied, available_processors())
    if work != MEASURED:
        yield Finding("note", TIMINGS, "there is no GPU: less was measured, and scaled to what a GPU would be given")
    if timings is not None:
        write_timings(timings, found)
        yield Finding("fine", TIMINGS, f"written to {timings}", f"brownid estimate --device {timings}")
    yield examine_group(max(2, torch.cuda.device_count()), device)


def examine_gpus() -> Iterator[Finding]:
    """What each GPU that torch sees cannot do, or what takes part of it."""
    # Of CUDA; ROCm's names (gfx90a) have no order.
    kernels = sorted(name for name in torch.cuda.get_arch_list() if name.startswith(("sm_", "compute_")))
    capabilities = [int(name.partition("_")[2].rstrip("af")) for name in kernels]
    for number in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(number)
        name = f"GPU {number} ({torch.cuda.get_device_name(number)}, compute capability {major}.{minor})"
        too_old = bool(kernels) and 10 * major + minor < min(capabilities)
        if kernels and (too_old or max(capabilities) < 10 * major):
            yield Finding(
                "blocks",
                DEVICE,
                f"{name}: torch {torch.__version__} has no kernels for it ({', '.join(kernels)})",
                "install a torch for an older CUDA (https://pytorch.org/get-started/previous-versions)"
                if too_old
                else "install a torch for a newer CUDA (https://pytorch.org/get-started)",
            )
        free, total = torch.cuda.mem_get_info(number)
        if free < GPU_FREE * total:
            what = f"{name}: {amount(total - free)} of {amount(total)} are taken by other processes"
            yield Finding("note", DEVICE, what, "see nvidia-smi; batches will be smaller, and timings are not its own")
        if major < 8:
            yield Finding(
                "note",
                DEVICE,
                f"{name} has neither TF32 nor bfloat16: networks run in float32, and precision: auto means float32",
                "expect a quarter of the speed or less; take a GPU of compute capability 8.0 or newer",
            )
    if os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
        what = "NVIDIA_TF32_OVERRIDE=0 turns TF32 off: convolutions in float32 run on the slow units"
        yield Finding("note", DEVICE, what, "unset it, or take precision: bfloat16")


def compared(device: str, scenarios: Mapping[str, Scenario]) -> Iterator[Finding]:
    """A finding for each scenario that fails on the device or differs from the CPU there, one for those that agree.

    On a GPU elementwise steps are compiled, as in jobs, once the CPU's results are there.
    """
    agreeing, largest, of = 0, 0.0, ""
    wanted: dict[str, Sequence[Tensor]] = {}
    tf32 = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        for name, scenario in scenarios.items():
            try:
                wanted[name] = scenario("cpu")
            except Exception as error:
                yield _failure(f"{name} on the CPU", error)
        compile_chains(torch.device(device))
        for name, reference in wanted.items():
            try:
                apart = difference(scenarios[name](device), reference)
            except Exception as error:  # whatever it is, it is what this is for
                yield _failure(name, error)
                continue
            if apart > (TOLERANCE_BFLOAT16 if "bfloat16" in name else TOLERANCE):
                what = f"{name}: the results are {apart:.1e} from those of the CPU, as a share of the largest number"
                yield Finding("blocks", AGREEMENT, what, "do not use this device; report it with the versions above")
                continue
            agreeing += 1
            if apart >= largest:
                largest, of = apart, name
    finally:
        torch.backends.cudnn.allow_tf32 = tf32
    if agreeing:
        what = f"{agreeing} of {len(scenarios)} scenarios agree with the CPU"
        against = "" if device == "cuda" else ", which is the device itself: nothing is shown by it"
        yield Finding("fine", AGREEMENT, f"{what}, up to {largest:.0e} ({of}){against}")


def _failure(name: str, error: Exception) -> Finding:
    return Finding("blocks", AGREEMENT, f"{name} fails: {type(error).__name__}: {one_line(error)}")


def difference(results: Iterable[Tensor], wanted: Iterable[Tensor]) -> float:
    """The largest difference, as a share of the largest number of its result; infinite where one alone is NaN."""
    worst = 0.0
    for one, other in zip(results, wanted, strict=True):
        of_pixels = other.dtype == torch.uint8
        one, other = one.detach().cpu().double(), other.detach().double()
        if one.shape != other.shape or not torch.equal(one.isnan(), other.isnan()):
            return float("inf")
        apart = (one - other).nan_to_num(posinf=0.0, neginf=0.0).abs().max()
        if of_pixels:
            apart = (apart - 1).clamp_min(0)  # rounding may carry a pixel over
        worst = max(worst, float(apart) / (float(other.nan_to_num().abs().max()) or 1.0))
    return worst


def measure(device: str, work: MeasuredWork, seconds: float = SECONDS) -> tuple[DeviceTimings, float, float]:
    """The timings, scaled to `MEASURED`; images per second that a StyleGAN2 renders; and milliseconds of a copy of the
    images that the depthwise filter goes over."""
    model = face_model(device, work)
    latents = starting_latents(model.generator, work.batch)
    batched, size = BatchedFaceModel(model, work.batch), MEASURED.batch / work.batch
    compile_chains(model.device)  # as rendering does, and compile: auto
    rendered = rate(lambda: torch.no_grad()(model.render)(latents), device, seconds)
    force = rate(lambda: batched.embed_and_differentiate(latents, lambda _, embeddings: embeddings), device, seconds)
    numbers = sum(map_.numel() for map_ in model.generator.noise_maps().values())
    key = NoiseKey(1, range(work.batch), 0)
    noise = rate(lambda: key.normal("doctor/noise", (numbers,), device), device, seconds)
    dtype = compute_dtype("auto", device)
    images = torch.zeros(work.batch, work.channels, work.resolution, work.resolution, device=device, dtype=dtype)
    images = images.to(memory_format=torch.channels_last)
    taps = torch.ones(work.channels, 1, 4, 4, device=device, dtype=dtype)
    filtered = rate(lambda: F.conv2d(images, taps, padding=2, groups=work.channels), device, seconds)
    copied = rate(images.clone, device, seconds)
    move = packing_step(device, work)
    packing = rate(move, device, seconds) * (work.packed / MEASURED.packed) ** 2
    pixels = faces(work)
    files = [png.encode(image) for image in pixels]
    encoding = rate(lambda: [png.encode(image) for image in pixels], "cpu", seconds)
    decoding = rate(lambda: [png.decode(file) for file in files], "cpu", seconds)
    timings = DeviceTimings(
        device=torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine(),
        force_pass_images_per_second=work.batch * force,
        noise_images_per_second=work.batch * noise,
        packing_iterations_per_second=packing,
        depthwise_milliseconds=1e3 * size / filtered,
        encode_images_per_second_per_core=len(files) * encoding,
        decode_images_per_second_per_core=len(files) * decoding,
    )
    return timings, work.batch * rendered, 1e3 * size / copied


def face_model(
    device: str,
    work: MeasuredWork,
    *,
    noise: str = "fixed",
    precision: str = "auto",
    compile: bool | str = False,
) -> GeneratorFaceModel:
    """StyleGAN2 and iResNet of the published sizes for `work`, with random weights."""
    sizes = {"resolution": work.resolution, "channel_base": 64 * work.resolution}
    spec = {"family": "stylegan2", "random": sizes, "seed": 1, "noise": noise, "precision": precision}
    generator = cast(Generator, load_generator(spec, device))
    network = backbone("insightface", work.architecture, work.crop, work.width).to(device)
    crop = crop_for(generator, "two_eye", work.crop)
    return GeneratorFaceModel(generator, crop, network, precision, compile=compile)


def packing_step(device: str, work: MeasuredWork) -> Callable[[], None]:
    """One iteration of a packing near a gallery of the same size."""
    references, gallery = (
        F.normalize(vectors(device, work.packed, purpose, work.width)) for purpose in ("start", "gallery")
    )
    precision = resolve_precision("auto", device)
    search, settings = NeighbourSearch(references.device), PackingSettings(precision=precision)
    optimizer = SphereOptimizer(gallery, settings, search, precision=precision, seed=1, in_place=True)
    panel, moments = Panel(references, precision), (torch.zeros_like(references), torch.zeros_like(references))
    return lambda: optimizer.move_all(panel, moments, 0)


def faces(work: MeasuredWork) -> np.ndarray:
    """Images uint8 `[8, S, S, 3]` to encode: of the embedded world (`S` as `work.crop`)."""
    generator = cast(Generator, load_generator({"family": "procedural", "image_size": work.crop}, "cpu"))
    with torch.no_grad():
        return as_bytes(generator.render(starting_latents(generator, 8)))


def rate(step: Callable[[], object], device: str, seconds: float) -> float:
    """Calls of a step per second, after two that are not counted; on a CPU a single call may be all."""
    step()
    if device == "cuda":
        step()
        torch.cuda.synchronize()
    calls, began = 0, time.perf_counter()
    while True:
        step()
        calls += 1
        if device == "cuda" and calls % 4 == 0:
            torch.cuda.synchronize()
        passed = time.perf_counter() - began
        if passed >= seconds:
            break
    if device == "cuda":
        torch.cuda.synchronize()
    return calls / (time.perf_counter() - began)


def judged(found: DeviceTimings, rendered: float, copied: float, cores: int) -> Iterator[Finding]:
    """The timings, and what of them is not as it should be."""
    speeds = (
        f"force pass {found.force_pass_images_per_second:.3g} images/s",
        f"rendering {rendered:.3g} images/s",
        f"noise {found.noise_images_per_second:.3g} images/s",
        f"packing of 10 000 {found.packing_iterations_per_second:.3g} iterations/s",
        f"depthwise filter {found.depthwise_milliseconds:.3g} ms",
    )
    yield Finding("fine", TIMINGS, f"{found.device}: {', '.join(speeds)}")
    encoding = cores * found.encode_images_per_second_per_core
    decoding = cores * found.decode_images_per_second_per_core
    yield Finding(
        "fine",
        TIMINGS,
        f"{cores} processor cores encode {encoding:.3g} images/s of 112 pixels and decode {decoding:.3g}",
    )
    if encoding < rendered:
        needed = -(-rendered // found.encode_images_per_second_per_core)
        what = f"encoding is slower than rendering ({rendered:.3g} images/s)"
        yield Finding("note", TIMINGS, what, f"give render_images {needed:.0f} threads (set-threads in the profile)")
    if found.noise_images_per_second < 10 * found.force_pass_images_per_second:
        share = found.force_pass_images_per_second / found.noise_images_per_second
        what = f"drawing random noise maps takes {share:.0%} of a force pass"
        yield Finding("note", TIMINGS, what, "noise: fixed or item in the generator's entry draws none, or once")
    if copied * SLOW_FILTER < found.depthwise_milliseconds and torch.cuda.is_available():
        times = found.depthwise_milliseconds / copied
        what = f"the depthwise filter of StyleGAN2 takes {times:.0f} times as long as a copy of its images"
        yield Finding("note", TIMINGS, what, "report it with the versions: another form of the filter may be faster")
