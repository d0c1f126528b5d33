"""Sums of exponentials of polynomials, with derivatives by hand: where the renderer spends its time.

Both functions keep one `[B, K, P]` tensor, the exponentials, and pass over it as few times as possible. Exponents below
-30 count as -30 (a share of 1e-13): without that, underflow makes exp and the products ten times slower.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_LEAST = -30.0


class _GaussianSum(torch.autograd.Function):
    """Σₖ outputs[c, k] · exp(exponents[k] · features)."""

    @staticmethod
    def forward(ctx, exponents: Tensor, outputs: Tensor, features: Tensor) -> Tensor:
        bump = torch.bmm(exponents, features).clamp_min_(_LEAST).exp_()
        ctx.save_for_backward(exponents, outputs, features, bump)
        return torch.bmm(outputs, bump)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        exponents, outputs, features, bump = ctx.saved_tensors
        if outputs.shape[1] == 1:  # the levels can wait until the pixels are summed: one pass fewer
            product = bump * gradient
            sums = torch.bmm(product, features.transpose(1, 2))  # its first column belongs to the monomial 1
            level = outputs.transpose(1, 2)
            return level * sums, sums[:, None, :, 0], torch.bmm((level * exponents).transpose(1, 2), product)
        product = torch.bmm(outputs.transpose(1, 2), gradient).mul_(bump)
        in_outputs = torch.bmm(gradient, bump.transpose(1, 2))
        return torch.bmm(product, features.transpose(1, 2)), in_outputs, torch.bmm(exponents.transpose(1, 2), product)


class _SoftmaxMix(torch.autograd.Function):
    """Σₖ colours[c, k] · softmaxₖ(logits[k] · features)."""

    @staticmethod
    def forward(ctx, logits: Tensor, colours: Tensor, features: Tensor) -> Tensor:
        weight = torch.matmul(logits, features)
        weight.sub_(weight.amax(1, keepdim=True)).clamp_min_(_LEAST).exp_()
        with_sum = torch.cat([colours, torch.ones_like(colours[:, :1])], dim=1)
        sums = torch.bmm(with_sum, weight)
        inverse = sums[:, -1:].reciprocal()
        result = sums[:, :-1] * inverse
        ctx.save_for_backward(logits, with_sum, features, weight, inverse, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        logits, with_sum, features, weight, inverse, result = ctx.saved_tensors
        # ∂/∂weightₖ = Σ_c g_c (colours[c, k] − result[c]) / Σ weight
        scaled = gradient * inverse
        scaled = torch.cat([scaled, -(scaled * result).sum(1, keepdim=True)], dim=1)
        in_colours = torch.bmm(scaled[:, :-1], weight.transpose(1, 2))
        product = torch.bmm(with_sum.transpose(1, 2), scaled).mul_(weight)
        in_logits = torch.matmul(product, features.transpose(-1, -2))
        in_features = torch.bmm(logits.transpose(1, 2), product) if ctx.needs_input_grad[2] else None
        return in_logits, in_colours, in_features


def gaussian_sum(exponents: Tensor, outputs: Tensor, features: Tensor) -> Tensor:
    """`[B, C, P]` from exponents `[B, K, 9]`, outputs `[B, C, K]` and monomials `[B, 9, P]` (the first is 1)."""
    return _GaussianSum.apply(exponents, outputs, features)


def softmax_mix(logits: Tensor, colours: Tensor, features: Tensor) -> Tensor:
    """`[B, C, P]` from logits `[B, K, 9]`, colours `[B, C, K]` and monomials `[B, 9, P]` or, constant, `[9, P]`."""
    return _SoftmaxMix.apply(logits, colours, features)
