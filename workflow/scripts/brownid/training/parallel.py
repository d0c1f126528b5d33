"""A module that several processes train together, each on its rows of every batch."""

import warnings

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from brownid.jobs.distributed import ProcessGroup, gather
from brownid.recognition.embedding import raw_embeddings
from brownid.runtime.precision import autocast
from brownid.training.data import Batch
from brownid.training.layers import share_batch_norm
from brownid.training.module import Outcome, RecognitionModule
from brownid.training.softmax import shared_softmax


class ParallelModule:
    """`RecognitionModule` on one of several processes: gradients are those of the mean loss of the whole batch.

    The network runs under torch's DistributedDataParallel, whose gradients are added here and not averaged, since the
    loss of a process is its share of the mean: processes may have different numbers of images. With `own_classes` the
    head holds the weights of these classes alone, and the processes share the softmax.
    """

    def __init__(self, module: RecognitionModule, group: ProcessGroup, own_classes: slice | None) -> None:
        from torch.nn.parallel import DistributedDataParallel  # here, since one process does without

        self.module, self.group, self.own_classes = module, group, own_classes
        share_batch_norm(module.model, group)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # newer versions of torch rename the option
            self.network = DistributedDataParallel(_Embedding(module.model), broadcast_buffers=False)
        self.network.register_comm_hook(None, _added)

    def __call__(self, batch: Batch) -> Outcome:
        module, head, labels = self.module, self.module.head, batch.own_labels
        module.place_of(batch)
        images = module.prepare(batch)
        with autocast(module.precision, images.device):
            embeddings = self.network(images)
        if self.own_classes is not None:
            first = self.own_classes.start
            found = shared_softmax(head, embeddings, batch.labels, first, batch.classes, self.group)
            counted = float(self.group.rank == 0)  # all have the same sums
            return Outcome(found.loss, found.loss.detach() * counted, found.hits * counted, found.sampled)
        head.observe(gather(self.group, head.norms(embeddings), len(batch.labels)))
        cosines = head.cosines(embeddings)
        logits = head.margined(cosines, head.norms(embeddings), labels)
        loss = F.cross_entropy(logits, labels, reduction="sum") / len(batch.labels)
        return Outcome(loss, loss.detach(), (cosines.detach().argmax(1) == labels).sum())

    def complete(self) -> None:
        """Complete the gradients after the backward pass."""
        if self.own_classes is not None:
            return
        weight = self.module.head.weight
        assert weight.grad is not None
        weight.grad = self.group.sum(weight.grad)


class _Embedding(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return raw_embeddings(self.network, images)


def _added(_: object, bucket: distributed.GradBucket) -> torch.futures.Future[Tensor]:
    """The sum over the processes of a bucket of gradients."""
    work = distributed.all_reduce(bucket.buffer(), async_op=True)
    assert work is not None
    return work.get_future().then(lambda future: future.value()[0])
