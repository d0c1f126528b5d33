"""What a modulated convolution costs with scaled activations, and with a kernel for each picture (grouped convolution).

    python benchmarks/modulation.py [--batch 4] [--rounds 3] [--threads 1] [--device cpu] [--resolution 256]
                                    [--layers 256:256:64 128:64:128:up ...]

Each line is one StyleGAN2 layer (inputs:outputs:side of the output), or the whole synthesis of a randomly initialised
generator, forward and backward in the latents, with weights that take no gradient. Times are medians over rounds in
which all forms and number formats take turns; believe the ratios. "kept" is what the forward pass of the batch
holds for the gradient, weights included.
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
LAYERS = ("512:512:32", "256:256:64", "128:128:128", "64:64:256", "128:64:256:up")


def formats() -> dict[str, dict]:
    """Number format and memory layout, by name."""
    import torch

    return {
        f"{name}{', channels-last' if last else ''}": {"compute_dtype": dtype, "channels_last": last}
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
        for last in (False, True)
    }


def grouped(module):
    """`module` with layers that form the kernels of every picture, and convolve in as many groups."""
    from torch.nn import functional as F

    from brownid.generators.stylegan2 import synthesis
    from brownid.generators.stylegan2.activation import GAIN, SLOPE, per_channel
    from brownid.generators.stylegan2.lowpass import low_passed

    class GroupedLayer(synthesis.SynthesisLayer):
        def forward(self, x, styles, noise, following=None, colours=None):
            batch, (outputs, inputs) = len(x), self.weight.shape[:2]
            scales = GAIN * synthesis.demodulation(self.weight, styles)
            kernels = (self.weight * styles[:, None, :, None, None] * scales[:, :, None, None, None]).to(x.dtype)
            x = x.reshape(1, batch * inputs, *x.shape[2:])
            if self.up:
                kernels = kernels.transpose(1, 2).reshape(batch * inputs, outputs, 3, 3)
                x = F.conv_transpose2d(x, kernels, stride=2, groups=batch)
                x = low_passed(x.view(batch, outputs, *x.shape[2:]), 4 * self.resample_filter.flip((0, 1)), padding=1)
            else:
                x = F.conv2d(x, kernels.view(batch * outputs, inputs, 3, 3), padding=1, groups=batch)
                x = x.view(batch, outputs, *x.shape[2:])
            return F.leaky_relu_(x + per_channel(GAIN * self.bias, x.dtype), SLOPE), None

    class GroupedSynthesis(synthesis.Synthesis):
        def forward(self, latents, noise, dtype, memory_format):
            image, number = None, 0
            x = self.b4.const.to(dtype).expand(len(latents), -1, -1, -1)
            for _, block in self.blocks():
                for layer in block.layers():
                    x, _ = layer(x, layer.affine(latents[:, number]), None)
                    number += 1
                kernels = block.torgb.colours(latents[:, number]).to(dtype).reshape(-1, x.shape[1], 1, 1)
                rgb = F.conv2d(x.reshape(1, -1, *x.shape[2:]), kernels, groups=len(x))
                rgb = block.torgb.finish(rgb.view(len(x), 3, *x.shape[2:]))
                image = rgb if image is None else synthesis.upsample(image, block.resample_filter) + rgb
            return image

    for part in module.modules():
        if isinstance(part, synthesis.SynthesisLayer):
            part.__class__ = GroupedLayer
        if isinstance(part, synthesis.Synthesis):
            part.__class__ = GroupedSynthesis
    return module


def one_layer(
    description: str, batch: int, device: str, compute_dtype, channels_last: bool, form: Callable
) -> Callable:
    """A forward and backward pass through one layer."""
    import torch

    from brownid.generators.stylegan2.activation import per_channel
    from brownid.generators.stylegan2.synthesis import SynthesisLayer

    inputs, outputs, side, *up = description.split(":")
    inputs, outputs, side = int(inputs), int(outputs), int(side)
    torch.manual_seed(SEED)
    layer = SynthesisLayer(inputs, outputs, 512, side, bool(up), None, False)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.affine.weight)
    torch.nn.init.ones_(layer.affine.bias)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    layer = form(layer.requires_grad_(False)).to(device, memory_format=layout)
    below = side // 2 if up else side
    x = torch.randn(batch, inputs, below, below).to(device, compute_dtype, memory_format=layout).requires_grad_(True)
    latents = torch.randn(batch, 512, device=device, requires_grad=True)
    ones = torch.ones(batch, outputs, device=device)  # the next layer's styles, which only the scaled form applies here

    def step():
        styles = layer.affine(latents)
        scaled = x if form is grouped else x * per_channel(styles, x.dtype)
        return layer(scaled, styles, None, ones)[0].square().sum(), [latents, x]

    return step


def whole(resolution: int, batch: int, device: str, compute_dtype, channels_last: bool, form: Callable) -> Callable:
    """A forward and backward pass through a generator with the channels of the published one for 256 pixels."""
    from brownid.generators.stylegan2.generator import random_stylegan2
    from brownid.generators.stylegan2.settings import StyleGAN2Settings
    from brownid.runtime.randomness import normal

    settings = StyleGAN2Settings(resolution=resolution, channel_base=16384)
    generator = random_stylegan2(settings, SEED, compute_dtype=compute_dtype, channels_last=channels_last)
    generator = form(generator).to(device)
    latents = generator.map(normal(SEED, "z", range(batch), (512,)).to(device)).requires_grad_(True)
    return lambda: (generator.render(latents).square().sum(), [latents])


def kept(step: Callable) -> float:
    """MiB that the forward pass keeps for the gradient."""
    import torch

    sizes = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        step()
    return sum(sizes.values()) / 2**20


def seconds(step: Callable, device: str) -> float:
    """The time of one forward and backward pass."""
    import torch

    wait = torch.cuda.synchronize if device.startswith("cuda") else (lambda: None)
    wait()
    begin = time.perf_counter()
    loss, leaves = step()
    torch.autograd.grad(loss, leaves)
    wait()
    return time.perf_counter() - begin


def compare(name: str, build: Callable, rounds: int, device: str, batch: int) -> None:
    """Print both forms in every format, taken in turns."""
    forms = {"scaled": lambda module: module, "grouped": grouped}
    steps = {(f, n): build(**o, form=make) for n, o in formats().items() for f, make in forms.items()}
    taken = {key: [] for key in steps}
    for number in range(rounds + 1):
        for key, step in steps.items():
            duration = seconds(step, device)
            if number:  # the first round warms up
                taken[key].append(duration)
    medians = {key: statistics.median(values) for key, values in taken.items()}
    print(f"{name}: ms a picture, scaled / grouped (ratio), speed against grouped float32; MiB kept")
    base = medians["grouped", "float32"]
    losses = [steps[form, "float32"]()[0].item() for form in forms]
    if abs(losses[0] - losses[1]) > 1e-3 * abs(losses[1]):
        sys.exit(f"{name}: the two forms do not agree ({losses[0]} and {losses[1]}): one of them is wrong.")
    for number_format in formats():
        scaled, other = medians["scaled", number_format], medians["grouped", number_format]
        sizes = [kept(steps[form, number_format]) for form in forms]
        print(
            f"  {number_format:24s} {1e3 * scaled / batch:8.1f} / {1e3 * other / batch:8.1f} ({other / scaled:.2f}), "
            f"{base / scaled:5.2f}; {sizes[0]:7.1f} / {sizes[1]:7.1f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--layers", nargs="*", default=LAYERS)
    options = parser.parse_args()
    from brownid.runtime.process import set_process_environment

    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:  # the allocator reads it when the process starts
        set_process_environment()
        os.execv(sys.executable, [sys.executable, *sys.argv])
    import torch

    torch.set_num_threads(options.threads)
    shared = {"batch": options.batch, "device": options.device}
    for layer in options.layers:
        compare(
            layer,
            lambda layer=layer, **o: one_layer(layer, **shared, **o),
            options.rounds,
            options.device,
            options.batch,
        )
    name = f"synthesis at {options.resolution}"
    compare(name, lambda **o: whole(options.resolution, **shared, **o), options.rounds, options.device, options.batch)


if __name__ == "__main__":
    main()
