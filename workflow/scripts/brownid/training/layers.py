"""Layers of a network whose batch is shared by several processes: batch-norm over all of it, and addressed dropout."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.jobs.distributed import ProcessGroup, gather

_BatchNorm = nn.modules.batchnorm._BatchNorm


@dataclass
class Place:
    """The batch that a network is shown: a number to seed its dropout with, its size, and the rows that are here."""

    seed: int = 0
    count: int = 0
    rows: slice = field(default_factory=lambda: slice(0))


class AddressedDropout(nn.Module):
    """Dropout whose mask belongs to the batch, and not to the processes that share it nor to the batches before it.

    Each process draws the mask of the whole batch and keeps its rows.
    """

    def __init__(self, probability: float, place: Place, number: int) -> None:
        super().__init__()
        self.probability, self.place, self.number = probability, place, number

    def forward(self, values: Tensor) -> Tensor:
        if not (self.training and self.probability):
            return values
        kept = 1 - self.probability
        generator = torch.Generator(values.device).manual_seed(self.place.seed + self.number)
        mask = torch.empty(self.place.count, *values.shape[1:], dtype=values.dtype, device=values.device)
        return values * mask.bernoulli_(kept, generator=generator)[self.place.rows].div_(kept)


class SharedBatchNorm(_BatchNorm):
    """Batch-norm whose mean and variance are those of the images of all processes, however many each has.

    The running variance is unbiased over all of them, as that of one process is.
    """

    group: ProcessGroup

    def _check_input_dim(self, input: Tensor) -> None:
        pass  # of any dimension

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        output, mean, variance, count = _Normalised.apply(input, self.weight, self.bias, self.eps, self.group)
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None and self.momentum is not None
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        return output


class _Normalised(torch.autograd.Function):
    """The normalised images, with mean and (biased) variance of each channel and the number of values behind them."""

    @staticmethod
    def forward(
        context: Any, images: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float, group: ProcessGroup
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        dims = [0, *range(2, images.ndim)]
        variance, mean = torch.var_mean(images.float(), dims, correction=0)
        own = mean.new_full((1,), images.numel() // images.shape[1])
        parts = gather(group, torch.cat([own, mean, variance])[None], group.size)  # [processes, 1 + 2 channels]
        counts, means, variances = parts[:, :1], *parts[:, 1:].chunk(2, dim=1)
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        variance = (counts * (variances + (means - mean).square())).sum(0) / count
        context.save_for_backward(images, weight, mean, torch.rsqrt(variance + epsilon), count)
        context.group = group
        context.mark_non_differentiable(mean, variance, count)
        output = F.batch_norm(images, mean, variance, weight, bias, training=False, eps=epsilon)
        return output, mean, variance, count

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient, (images, weight, mean, scale, count) = gradients[0], context.saved_tensors
        dims = [0, *range(2, images.ndim)]
        shape = [1, -1] + [1] * (images.ndim - 2)
        gradient32 = gradient.float()
        deviation = images.float() - mean.view(shape)
        own = torch.stack([gradient32.sum(dims), (gradient32 * deviation).sum(dims) * scale])  # [2, channels]
        offset, slope = context.group.sum(own) / count
        centred = gradient32 - offset.view(shape) - deviation * (slope * scale).view(shape)
        factor = scale if weight is None else scale * weight
        of_images = (centred * factor.view(shape)).to(images.dtype)
        of_weight, of_bias = (None, None) if weight is None else (own[1], own[0])
        return of_images, of_weight, of_bias, None, None


def address_dropout(network: nn.Module, place: Place) -> None:
    """Replace each dropout of a network by one that is addressed by `place`."""
    found = [(parent, name, each) for parent, name, each in _children(network) if isinstance(each, nn.Dropout)]
    for number, (parent, name, dropout) in enumerate(found):
        setattr(parent, name, AddressedDropout(dropout.p, place, number))


def share_batch_norm(network: nn.Module, group: ProcessGroup) -> None:
    """Replace each batch-norm of a network, in place, by one over the images of all processes, of the same tensors."""
    for parent, name, norm in _children(network):
        if not isinstance(norm, _BatchNorm):
            continue
        with torch.device("meta"):
            shared = SharedBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine)
        shared.group = group
        for key, tensor in {**norm._parameters, **norm._buffers}.items():
            setattr(shared, key, tensor)
        setattr(parent, name, shared)


def _children(network: nn.Module) -> list[tuple[nn.Module, str, nn.Module]]:
    return [(parent, name, child) for parent in network.modules() for name, child in parent.named_children()]
