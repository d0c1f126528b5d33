"""Random weights of VGG16, in the layouts and files in which it is published."""

import torch
from torch import Tensor, nn

from brownid.covariates.features import DEPTHS, NVIDIA, WIDTHS, Layout


def convolutions(widths: tuple[int, ...] = WIDTHS, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of each convolution, so that activations neither vanish nor explode."""
    draw = torch.Generator().manual_seed(seed)
    outputs = [width for width, depth in zip(widths, DEPTHS, strict=True) for _ in range(depth)]
    shapes = zip(outputs, [3, *outputs], strict=False)
    return [
        (torch.randn(o, i, 3, 3, generator=draw) / (4.5 * i) ** 0.5, torch.randn(o, generator=draw) / 9)
        for o, i in shapes
    ]


def linear(widths: tuple[int, ...] = WIDTHS, seed: int = 0) -> list[Tensor]:
    """A weight for every channel of each block."""
    draw = torch.Generator().manual_seed(seed)
    return [torch.rand(width, generator=draw) for width in widths]


def named(pairs: list[tuple[Tensor, Tensor]], layout: Layout) -> dict[str, Tensor]:
    """The convolutions under the names of a layout, beside a layer that only classification needs."""
    other = {"torchvision": "classifier.6.bias", "NVIDIA": "layers.fc3.bias"}[layout.name]
    found = {other: torch.zeros(1000)}
    for name, (weight, bias) in zip(layout.convolutions, pairs, strict=True):
        found |= {f"{name}.weight": weight, f"{name}.bias": bias}
    return found


class _Layer(nn.Module):
    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.padding, self.sizes = 1, [3, 3]

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(nn.functional.conv2d(x, self.weight, self.bias, padding=self.padding))


class _Network(nn.Module):
    """A network that TorchScript can compile, whose tensors have NVIDIA's names."""

    def __init__(self, pairs: list[tuple[Tensor, Tensor]], weights: list[Tensor]) -> None:
        super().__init__()
        layers = {name.rpartition(".")[2]: _Layer(*pair) for name, pair in zip(NVIDIA.convolutions, pairs, strict=True)}
        self.layers = nn.Sequential()
        for name, layer in layers.items():
            self.layers.add_module(name, layer)
        self.layers.add_module("fc3", _Layer(torch.zeros(1, 1, 1, 1), torch.zeros(1)))
        for name, weight in zip(NVIDIA.linear, weights, strict=True):
            self.register_buffer(name, weight.view(-1, 1, 1))
        self.mean: list[float] = [0.485, 0.456, 0.406]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x - self.mean[0]) * self.lpips0


def write_torchscript(path, pairs: list[tuple[Tensor, Tensor]], weights: list[Tensor]) -> None:
    """A TorchScript archive, as NVIDIA's `vgg16.pt` is one."""
    torch.jit.save(torch.jit.script(_Network(pairs, weights)), path)
