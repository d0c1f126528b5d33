"""Settings of HyperFace: the packing, and the optimisation of latents for packed embeddings."""

import math
from dataclasses import dataclass

from brownid.runtime.errors import BrownidError
from brownid.runtime.settings import PRECISIONS, Settings, setting


@dataclass(frozen=True)
class PackingSettings(Settings):
    """HyperFace's packing of embeddings on the hypersphere; the defaults are the published 10k run."""

    iterations: int = setting(
        100_000, "Number of updates; 0 packs nothing (the control: embeddings of random faces).", minimum=0
    )
    learning_rate: float = setting(0.01, "Learning rate of Adam.", above=0, maximum=1000)
    decay: float = setting(0.75, "Learning-rate decay factor.", above=0, maximum=1)
    decay_every: int = setting(5_000, "Iterations between decays.", minimum=1)
    gallery_coefficient: float = setting(
        0.5,
        "Coefficient alpha of the pull to the nearest gallery member; not used without a gallery.",
        minimum=0,
        maximum=1e6,
    )
    repulsion: str = setting(
        "each",
        "References that move; each: every one from its nearest neighbour; closest: only the closest pair.",
        choices=("each", "closest"),
    )
    batch: int | None = setting(
        None, "References per mini-batch (Algorithm 2); null: all references (Algorithm 1).", minimum=2
    )
    batch_neighbours: str = setting(
        "all",
        "Where a mini-batch searches for neighbours: all references, or the batch itself (literal Algorithm 2).",
        choices=("all", "batch"),
    )
    precision: str = setting(
        "auto",
        "Arithmetic of the nearest-neighbour search; auto: float32 below 1024 references, above it bfloat16 where the "
        "device is fast in it.",
        choices=PRECISIONS,
    )
    record_every: int = setting(100, "Iterations between two records of the statistics.", minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch is None and self.batch_neighbours != "all":
            raise BrownidError(
                f"PackingSettings.batch_neighbours is {self.batch_neighbours!r}, but there are no batches; "
                "set batch to the number of references that an iteration moves, or batch_neighbours to all."
            )

    def rate_at(self, iteration: int) -> float:
        """The learning rate of an iteration, counted from 0."""
        return self.learning_rate * self.decay ** (iteration // self.decay_every)


@dataclass(frozen=True)
class LatentOptimizationSettings(Settings):
    """Gradient descent to latents whose images have given embeddings; docs/hyperface.md has measurements."""

    iterations: int = setting(200, "Number of Adam updates; 0: the start itself, as a control.", minimum=0)
    learning_rate: float = setting(0.05, "Learning rate of Adam.", unit="latent units per update", above=0)
    rampup: float = setting(
        0.05, "First share of the iterations, in which the rate grows linearly from 0.", minimum=0, maximum=1
    )
    rampdown: float = setting(
        0.25,
        "Last share of the iterations, in which the rate falls to 0 along a cosine.",
        minimum=0,
        maximum=1,
    )
    latent_weight: float = setting(
        0.1,
        "Weight of the latent's squared distance from the mean, in units of the latents' variance, relative to the "
        "squared angle.",
        minimum=0,
    )
    maximum_angle: float | None = setting(
        None,
        "Largest angle to the target; an image farther away is left out and listed; null: none is. In radians.",
        minimum=0,
        maximum=math.pi,
    )

    def rate_at(self, iteration: int) -> float:
        """The learning rate of an iteration, from 0: that in its middle, so that none of a few is lost at rate 0."""
        from brownid.runtime.optimization import learning_rate_factor  # with torch, which the schema does not need

        return self.learning_rate * learning_rate_factor(
            (iteration + 0.5) / self.iterations, self.rampup, self.rampdown
        )


@dataclass(frozen=True)
class InversionSettings(LatentOptimizationSettings):
    """Latents of the packed embeddings, by gradient descent from random faces."""

    start: str = setting(
        "gallery",
        "Start; gallery: the nearest random faces; regression: a linear guess fitted on them, then the nearest.",
        choices=("gallery", "regression"),
    )
    attempts: int = setting(1, "Starts per identity; the one that ends nearest to its target is kept.", minimum=1)


@dataclass(frozen=True)
class ConditioningSettings(LatentOptimizationSettings):
    """HyperFace's Algorithm 3: images whose embeddings lie around that of their reference.

    The settings of the optimisation count only for a generator that must be inverted. The noise is not scaled by the
    dimension: β turns an embedding by about atan(β √E), which is 0.22 radians for the published 0.01 at E = 512.
    """

    iterations: int = setting(50, "Number of Adam updates; 0: the start itself, as a control.", minimum=0)
    variations: int = setting(64, "Number of images per identity, without the reference.", minimum=1)
    embedding_noise: float = setting(
        0.01, "Standard deviation beta of the noise on each component of the embedding.", minimum=0
    )
    start_interpolation: float = setting(
        0.8,
        "Where an image's optimisation starts, as a share of the way from the identity's latent to a random one, which "
        "sets pose, light and expression.",
        minimum=0,
        maximum=1,
    )
