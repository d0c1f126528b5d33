"""Adam: the step by which gradients move what is optimised, as new tensors or in place."""

import math

import torch
from torch import Tensor

BETAS, EPSILON = (0.9, 0.999), 1e-8


def adam(
    value: Tensor, gradient: Tensor, moments: tuple[Tensor, Tensor], iteration: int, rate: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Value and moments after a step of Adam (Kingma and Ba 2015, algorithm 1), iterations counted from 0."""
    (beta1, beta2), (first, second) = BETAS, moments
    first = beta1 * first + (1 - beta1) * gradient
    second = beta2 * second + (1 - beta2) * gradient.square()
    mean, square = first / (1 - beta1 ** (iteration + 1)), second / (1 - beta2 ** (iteration + 1))
    return value - rate * mean / (square.sqrt() + EPSILON), first, second


def adam_(value: Tensor, gradient: Tensor, moments: tuple[Tensor, Tensor], iteration: int, rate: float) -> None:
    """The same step in place and without new memory: of value and moments; the gradient is overwritten."""
    (beta1, beta2), (first, second) = BETAS, moments
    first.lerp_(gradient, 1 - beta1)
    second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    scale = torch.sqrt(second, out=gradient).mul_(1 / math.sqrt(1 - beta2 ** (iteration + 1))).add_(EPSILON)
    value.addcdiv_(first, scale, value=-rate / (1 - beta1 ** (iteration + 1)))
