"""Trained modules: the network with its margin head, the optimiser and the learning-rate schedule."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from brownid.jobs.distributed import SINGLE
from brownid.recognition.backbones import backbone
from brownid.recognition.embedding import raw_embeddings
from brownid.recognition.heads import HEADS, MarginHead
from brownid.runtime.precision import autocast
from brownid.runtime.randomness import stream
from brownid.training.augmentation import augment
from brownid.training.data import Batch
from brownid.training.layers import Place, address_dropout
from brownid.training.settings import TrainingSettings
from brownid.training.softmax import Sampled, shared_softmax

BETA2, EPSILON = 0.999, 1e-8  # adamw
FIRST_RATE, LAST_RATE = 25, 1e4  # one_cycle: peak / first rate, first rate / last rate


class Outcome(NamedTuple):
    """What a forward pass found in a batch."""

    objective: Tensor  # to derive
    loss: Tensor  # this process's part of the mean loss of the batch, to add up over the processes
    hits: Tensor  # images here whose own class is the nearest, without margin
    sampled: Sampled | None = None  # the weights of the head that take part, where not all do


class RecognitionModule(nn.Module):
    """`model` (the network, its keys prefixed `model.` in a checkpoint) under the margin head `head`.

    `precision` is resolved ("float32" or "bfloat16").
    """

    def __init__(
        self, settings: TrainingSettings, *, classes: int, image_size: int, seed: int, precision: str = "float32"
    ):
        super().__init__()
        self.settings = settings
        self.precision = precision
        self.seed = seed
        self.place = Place()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(seed, "training/initialisation"))
            network = backbone(settings.family, settings.architecture, image_size, settings.embedding_dim)
            self.head = make_head(settings, classes)
        self.model = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's gap
        address_dropout(self.model, self.place)

    def forward(self, batch: Batch) -> Outcome:
        """The mean loss of a batch that is all in this process."""
        self.place_of(batch)
        images = self.prepare(batch)
        with autocast(self.precision, images.device):
            embeddings = raw_embeddings(self.model, images)
        if batch.classes is not None:
            found = shared_softmax(self.head, embeddings, batch.labels, 0, batch.classes, SINGLE)
            return Outcome(found.loss, found.loss.detach(), found.hits, found.sampled)
        cosines = self.head.cosines(embeddings)
        loss = F.cross_entropy(self.head.logits(cosines, embeddings, batch.labels), batch.labels)
        return Outcome(loss, loss.detach(), (cosines.detach().argmax(1) == batch.labels).sum())

    def share_head(self, classes: slice) -> None:
        """Keep the weights of these classes alone."""
        self.head.weight = nn.Parameter(self.head.weight.detach()[classes].clone())

    def place_of(self, batch: Batch) -> None:
        """Let the dropout of the next forward pass be that of this batch."""
        self.place.seed = torch_seed(self.seed, "training/dropout", batch.number)
        self.place.count, self.place.rows = len(batch.labels), batch.rows

    def prepare(self, batch: Batch) -> Tensor:
        """The augmented images `[B, 3, S, S]` in [-1, 1] that the network is shown."""
        return augment(batch.images, batch.numbers, self.settings)


class Optimiser:
    """SGD with momentum, or AdamW. The number of updates before and the learning rate are the caller's.

    It calls the functions behind `torch.optim.SGD` and `AdamW`: the classes import torch's compiler, which takes 1.4 s.
    """

    def __init__(self, module: nn.Module, settings: TrainingSettings):
        self.settings = settings
        self.groups = weight_decay_groups(module, settings)
        moments = 1 if settings.optimiser == "sgd" else 2
        for group in self.groups:
            group["moments"] = [[torch.zeros_like(p) for p in group["params"]] for _ in range(moments)]

    @torch.no_grad()
    def step(self, updates: int, rate: float, sampled: Sampled | None = None) -> None:
        """Update the parameters by their gradients, after `updates` earlier updates, and clear the gradients.

        Of a parameter that is `sampled` its rows are updated with their moments; the others stay.
        """
        for group in self.groups:
            places = [n for n, each in enumerate(group["params"]) if sampled and each is sampled.parameter]
            parameters, moments = list(group["params"]), [list(each) for each in group["moments"]]
            if sampled and places:
                [place] = places
                parameters[place] = sampled.values
                for order in moments:
                    order[place] = order[place][sampled.rows]
                if not len(sampled.rows):
                    for each in (parameters, *moments):
                        del each[place]
            self._update(group["weight_decay"], parameters, moments, updates, rate)
            if sampled and places and len(sampled.rows):
                sampled.parameter.index_copy_(0, sampled.rows, sampled.values.detach())
                for whole, order in zip(group["moments"], moments, strict=True):
                    whole[place].index_copy_(0, sampled.rows, order[place])

    def _update(
        self, decay: float, parameters: list[Tensor], moments: list[list[Any]], updates: int, rate: float
    ) -> None:
        momentum = self.settings.momentum
        gradients: list[Any] = [p.grad for p in parameters]
        options: dict[str, Any] = {"lr": rate, "weight_decay": decay, "maximize": False}
        if self.settings.optimiser == "sgd":
            sgd(parameters, gradients, moments[0], momentum=momentum, dampening=0, nesterov=False, **options)
        else:
            counts = [torch.tensor(float(updates)) for _ in parameters]
            options |= {"beta1": momentum, "beta2": BETA2, "eps": EPSILON, "amsgrad": False}
            adamw(parameters, gradients, moments[0], moments[1], [], counts, **options)
        for parameter in parameters:
            parameter.grad = None

    def names_of(self, parameter: Tensor) -> list[str]:
        """The names in `moments` of the moments of a parameter."""
        return [
            f"optimiser.{group}.{order}.{number}"
            for group, content in enumerate(self.groups)
            for number, each in enumerate(content["params"])
            for order in range(len(content["moments"]))
            if each is parameter
        ]

    def moments(self) -> dict[str, Tensor]:
        """The running averages of the gradients and of their squares, by name: the whole state."""
        return {
            f"optimiser.{group}.{order}.{number}": moment
            for group, content in enumerate(self.groups)
            for order, moments in enumerate(content["moments"])
            for number, moment in enumerate(moments)
        }


def learning_rate(settings: TrainingSettings, updates: int, steps: int) -> float:
    """The learning rate after `updates` updates, `steps` of them per epoch; equal to that of torch's schedulers.

    `one_cycle` (Smith and Topin 2019) rises along a cosine from 1/25 of the peak, and falls to 1/250 000.
    """
    peak = settings.learning_rate
    if settings.schedule == "steps":
        return math.prod((settings.decay for m in settings.milestones if updates >= m * steps), start=peak)
    first, last = peak / FIRST_RATE, peak / FIRST_RATE / LAST_RATE
    end = settings.epochs * steps - 1
    top = settings.warm_up * settings.epochs * steps - 1
    if updates > top:
        return _cosine(peak, last, (updates - top) / (end - top))
    return _cosine(first, peak, updates / top if top else 1.0)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


def make_head(settings: TrainingSettings, classes: int) -> MarginHead:
    """The margin head that the settings name."""
    options = {"margin": settings.margin, "scale": settings.scale}
    if settings.head == "adaface":
        options |= {"h": settings.h, "t_alpha": settings.t_alpha}
    return HEADS[settings.head](settings.embedding_dim, classes, **options)


def weight_decay_groups(module: nn.Module, settings: TrainingSettings) -> list[dict]:
    """Two parameter groups: those that decay by the settings, and the others.

    AdaFace (Kim et al., CVPR 2022) trains with weight decay of everything but batch-norm: PReLU and biases decay too.
    """
    chosen = settings.decaying
    if chosen == "auto":
        chosen = "kernels" if settings.family == "slim" else "all_but_batch_norm"
    norms = (each for each in module.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm))
    of_norms = {id(parameter) for norm in norms for parameter in norm.parameters()}
    decaying: list[Tensor] = []
    free: list[Tensor] = []
    for parameter in module.parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 if chosen == "kernels" else id(parameter) not in of_norms
            (decaying if decays else free).append(parameter)
    return [{"params": decaying, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}]


def torch_seed(seed: int, purpose: str, batch: int = 0) -> int:
    """The seed of torch's own random numbers for a purpose: initial weights, or the dropout of a batch."""
    return int(stream(seed, purpose, iteration=batch).integers(2**62))
