"""Adam, learning-rate ramps, and ridge regression in closed form."""

import math
from collections.abc import Sequence

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


def learning_rate_factor(done: float, rampup: float, rampdown: float) -> float:
    """The factor, 0 to 1, on the rate when the share `done` of a descent is done.

    `rampup` and `rampdown` are the first and the last share of it, 0 for none (Karras et al., "Analyzing and improving
    the image quality of StyleGAN", 2020, appendix D).
    """
    down = min(1.0, (1 - done) / rampdown) if rampdown else 1.0
    up = min(1.0, done / rampup) if rampup else 1.0
    return (0.5 - 0.5 * math.cos(math.pi * down)) * up


def fit_ridge(blocks: Sequence[Tensor], outputs: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weight `[F, D]` and bias `[D]`, float32 on the CPU, that take inputs `[F]` to outputs: inputs @ weight + bias.

    The inputs are `blocks` of columns `[n, F₁]`, `[n, F₂]`, … side by side, outputs `[n, D]`. Each block is scaled to
    a total variance of 1, so that the penalty, on squared coefficients of the scaled inputs, silences none of them.
    """
    blocks, outputs = [block.double() for block in blocks], outputs.double()
    means = torch.cat([block.mean(dim=0) for block in blocks])
    scales = torch.cat([_unit_variance(block) for block in blocks])
    inputs = (torch.cat(blocks, dim=1) - means) * scales  # [n, F], float64
    gram = inputs.T @ inputs / len(inputs)
    penalties = penalty * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    cross = inputs.T @ (outputs - outputs.mean(dim=0)) / len(inputs)
    weight = scales[:, None] * torch.linalg.solve(gram + penalties, cross)
    bias = outputs.mean(dim=0) - means @ weight
    return weight.float().cpu().contiguous(), bias.float().cpu()


def _unit_variance(block: Tensor) -> Tensor:
    """One factor, repeated for every column, that makes the summed variance of the columns 1."""
    total = block.var(dim=0, correction=0).sum()
    return torch.where(total > 0, total.rsqrt(), 0.0).expand(block.shape[1])
