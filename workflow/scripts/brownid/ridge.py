"""Ridge regression in closed form, on inputs that come in blocks which count alike."""

from collections.abc import Sequence

import torch
from torch import Tensor


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
