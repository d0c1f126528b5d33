"""Rates of machines: GFLOP per second of a GPU, images per second of the processor cores that work for it."""

from pathlib import Path
from typing import NamedTuple

from brownid.planning.timings import MEASURED, read_timings
from brownid.planning.work import Stage, generator_gflop, network_gflop
from brownid.runtime.errors import BrownidError, suggestion

HOUR = 3600
SHARE_OF_PEAK = 0.25  # assumed: convolutions of these sizes, with data to load and small pieces between


# Of a force pass, modelled (benchmarks/README.md): 0.057 by PyTorch's operations, 0.0005 compiled as one kernel.
SHARE_OF_NOISE = 0.05
ENCODED, DECODED = 1100, 2900  # images of 112 pixels per second and core
ON_CORES = "measured on a core of an AMD EPYC, November 2026"


class Machine(NamedTuple):
    """Rates of one GPU, or CPU, of the processor cores that work for it, and where the numbers are from."""

    float32: float  # GFLOP per second of networks; GPUs convolve as TF32
    bfloat16: float  # where the machine has it
    packing: float  # and products of embeddings
    noise: float  # images of 256 pixels per second whose random noise maps are drawn
    source: str
    encoding: float = ENCODED  # images of 112 pixels per second and core
    decoding: float = DECODED
    host_source: str = ON_CORES
    cores: int | None = None  # of a CPU without a GPU, which do everything in turn

    def hours(self, stage: Stage, cores: int) -> float:
        """Hours of all jobs of a stage, with so many cores for each GPU: of GPU or cores, whichever take longer."""
        rate = self.bfloat16 if stage.bfloat16 else self.packing if stage.rule == "pack_references" else self.float32
        computing = (stage.gflop / rate + stage.drawn / self.noise) / HOUR
        host = self.core_hours(stage) / (self.cores or cores)
        return computing + host if self.cores else max(computing, host)

    def core_hours(self, stage: Stage) -> float:
        """Hours of one core that encodes and decodes the images of a stage."""
        return (stage.encoded / self.encoding + stage.decoded / self.decoding) / HOUR


FORCE_PASS = {"family": "stylegan2", "file": f"{MEASURED.resolution}x{MEASURED.resolution}"}
FORCE_GFLOP = 2 * (
    generator_gflop(FORCE_PASS) + network_gflop({"architecture": MEASURED.architecture, "image_size": MEASURED.crop})
)  # of one image, forward and backward
PACKING_GFLOP = 3 * MEASURED.packed**2 * MEASURED.width / 1e9  # of one iteration


def _derived(name: str, tf32: float, bfloat16: float) -> Machine:
    peaks = f"TF32 {tf32}, bfloat16 {bfloat16} TFLOP/s"
    said = f"derived, not measured: {SHARE_OF_PEAK:.0%} of the peak of one {name} ({peaks})"
    rate = 1e3 * SHARE_OF_PEAK * tf32
    return Machine(rate, 1e3 * SHARE_OF_PEAK * bfloat16, rate, rate / FORCE_GFLOP / SHARE_OF_NOISE, said)


def measured_machine(path: str | Path) -> Machine:
    """The machine whose timings `brownid doctor --device` wrote; all networks go at the rate of the force pass."""
    found = read_timings(path)
    rate = found.force_pass_images_per_second * FORCE_GFLOP
    said = f"measured on {found.device} ({path})"
    return Machine(
        float32=rate,
        bfloat16=rate,
        packing=found.packing_iterations_per_second * PACKING_GFLOP,
        noise=found.noise_images_per_second,
        source=f"{said}, all networks at the rate of the force pass",
        encoding=found.encode_images_per_second_per_core,
        decoding=found.decode_images_per_second_per_core,
        host_source=said,
    )


ON_CPU = (
    "measured: StyleGAN2-256 and iResNet50, float32, forward and backward, on two cores of a Xeon with AMX, "
    "PyTorch 2.13, November 2026"
)
NOISE_ON_CPU = 2500  # of two cores: 0.74 to 0.86 ms an image on one
MACHINES = {
    "cpu": Machine(135, 135, 135, NOISE_ON_CPU, ON_CPU, cores=2),
    "rtx3090": _derived("RTX 3090", 35.6, 71),
    "a100": _derived("A100", 156, 312),
    "h100": _derived("H100 (SXM)", 494, 989),
    "h200": _derived("H200", 494, 989),
}


def machine(name: str) -> Machine:
    """A machine of the table."""
    if name not in MACHINES:
        raise BrownidError(f"There are no rates for {name!r}; {suggestion(name, MACHINES)}")
    return MACHINES[name]
