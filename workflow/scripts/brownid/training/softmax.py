"""The softmax over classes that are shared between processes, or of which some are sampled (partial FC).

"Killing Two Birds with One Stone: Efficient and Robust Training of Face Recognition CNNs by Partial FC" (An et al.,
CVPR 2022): each process holds the weights of its classes, and only sums over classes travel between them.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.jobs.distributed import ProcessGroup, gather, own_rows
from brownid.recognition.heads import MarginHead
from brownid.runtime.randomness import stream


class Sampled(NamedTuple):
    """The rows of a parameter that take part in a batch: their places, and a copy that gets the gradient."""

    parameter: nn.Parameter
    rows: Tensor  # int64 [k], rising
    values: Tensor  # [k, ...]


class SoftmaxOutcome(NamedTuple):
    """The mean loss of a whole batch, the same on all processes, its hits, and what was sampled."""

    loss: Tensor
    hits: Tensor
    sampled: Sampled | None


def sampled_classes(classes: int, labels: np.ndarray, rate: float, seed: int, batch: int) -> np.ndarray:
    """The classes of the softmax of a batch, rising: those of its images, and others up to the share `rate` of all.

    Which others belongs to (seed, batch).
    """
    keys = stream(seed, "training/classes", iteration=batch).random(classes, np.float32)
    keys[labels] = -1
    count = max(math.ceil(rate * classes), int((keys < 0).sum()))
    return np.sort(np.argpartition(keys, count - 1)[:count])


def shared_softmax(
    head: MarginHead, embeddings: Tensor, labels: Tensor, first: int, rows: Tensor | None, group: ProcessGroup
) -> SoftmaxOutcome:
    """The loss of the embeddings `[own, E]` of all processes, with labels `[B]`.

    The head holds the weights of the classes from `first` on; `rows` `[k]` are those of them that are sampled, None
    all. The gradients of the mean loss reach the embeddings and these weights.
    """
    everybody = _Gathered.apply(embeddings.float(), len(labels), group)
    norms = head.norms(everybody)
    head.observe(norms)
    sampled = None
    weight: Tensor = head.weight
    columns = labels - first
    present = (columns >= 0) & (columns < len(weight))
    if rows is not None:
        sampled = Sampled(head.weight, rows, weight.detach()[rows].requires_grad_())
        weight, columns = sampled.values, torch.searchsorted(rows, columns)
    if not len(weight):  # none of the sampled classes is here: one without weight stands for them
        weight = head.weight.new_zeros(1, head.weight.shape[1])
    columns = columns.clamp(0, len(weight) - 1)[:, None]
    cosines = F.linear(F.normalize(everybody), F.normalize(weight))  # [B, columns]
    plain = cosines.gather(1, columns).squeeze(1)
    target = torch.where(present, head.label_cosine(plain, norms), plain)
    logits = head.scale * cosines.scatter(1, columns, target[:, None])
    if sampled is not None and not len(sampled.rows):
        logits = logits - torch.inf
        cosines = cosines - torch.inf
    losses, best, of_label = _CrossEntropy.apply(logits, cosines.detach(), columns, present, group)
    return SoftmaxOutcome(losses.mean(), (of_label >= best).sum(), sampled)


class _Gathered(torch.autograd.Function):
    """The rows of all processes, whose gradients are added up over the processes."""

    @staticmethod
    def forward(context: Any, rows: Tensor, count: int, group: ProcessGroup) -> Tensor:
        context.group, context.count = group, count
        return gather(group, rows, count)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        total = context.group.sum(gradients[0])
        return total[own_rows(context.group, context.count)], None, None


class _CrossEntropy(torch.autograd.Function):
    """Losses `[B]` over the columns of all processes; the largest cosine of each row, and that of its label."""

    @staticmethod
    def forward(
        context: Any, logits: Tensor, cosines: Tensor, columns: Tensor, present: Tensor, group: ProcessGroup
    ) -> tuple[Tensor, Tensor, Tensor]:
        largest, best = group.maximum(torch.stack([logits.amax(1), cosines.amax(1)]))
        shares = torch.exp(logits - largest[:, None])
        own = torch.stack([logits.gather(1, columns).squeeze(1), cosines.gather(1, columns).squeeze(1)])
        here = torch.cat([shares.sum(1)[None], torch.where(present, own, 0.0)])
        total, target, of_label = group.sum(here)
        context.save_for_backward(shares / total[:, None], columns, present)
        context.mark_non_differentiable(best, of_label)
        return torch.log(total) + largest - target, best, of_label

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        shares, columns, present = context.saved_tensors
        of_label = shares.gather(1, columns) - present[:, None].to(shares.dtype)
        return shares.scatter(1, columns, of_label) * gradients[0][:, None], None, None, None, None
