"""Fully connected layers with an equalised learning rate, and the mapping from z to w."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Dense(nn.Module):
    """`[B, in]` to `[B, out]`; stored weights have unit variance and are scaled when used (Karras et al. 2018).

    The parameters begin as zeros.
    """

    def __init__(self, in_features: int, out_features: int, lr_multiplier: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.weight_gain, self.bias_gain = lr_multiplier / math.sqrt(in_features), lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)


class MappingNetwork(nn.Module):
    """z `[B, Z]`, of any length other than 0, to w `[B, W]`: normalisation, then layers `fc0`, `fc1`... and `w_avg`."""

    def __init__(self, z_dim: int, w_dim: int, layers: int, lr_multiplier: float) -> None:
        super().__init__()
        self.layers = layers
        for index in range(layers):
            self.add_module(f"fc{index}", Dense(z_dim if index == 0 else w_dim, w_dim, lr_multiplier))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor) -> Tensor:
        x = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for index in range(self.layers):
            x = F.leaky_relu(self.get_submodule(f"fc{index}")(x), 0.2) * math.sqrt(2)
        return x
