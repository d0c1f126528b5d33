"""What a packing is told: how long, how fast, and what repels and attracts whom."""

from dataclasses import dataclass

from brownid.dynamics.checks import check_choice, check_number
from brownid.errors import BrownidError
from brownid.precision import PRECISIONS

REPULSIONS = ("each", "closest")
NEIGHBOURS = ("all", "batch")


@dataclass(frozen=True)
class PackingSettings:
    """Settings of HyperFace's packing; the defaults are those of the published 10k run."""

    iterations: int = 100_000
    learning_rate: float = 0.01  # of Adam
    decay: float = 0.75  # the factor on the learning rate …
    decay_every: int = 5_000  # … after each so many iterations
    gallery_coefficient: float = 0.5  # α; without a gallery it is not used
    repulsion: str = "each"  # "each" reference from its nearest neighbour; "closest": the one closest pair alone
    batch: int | None = None  # references that an iteration moves (Algorithm 2); None: all of them (Algorithm 1)
    batch_neighbours: str = "all"  # whom a batch looks for neighbours among: "all" references, or the "batch" itself
    precision: str = "auto"  # of the products that look for neighbours: float32, bfloat16, or auto: float32 below 1024
    record_every: int = 100  # iterations between two values of the statistics

    def __post_init__(self) -> None:
        check_number(self, "iterations", 0, whole=True)
        check_number(self, "learning_rate", 0.0, 1000.0, exclusive=True)
        check_number(self, "decay", 0.0, 1.0, exclusive=True)
        check_number(self, "decay_every", 1, whole=True)
        check_number(self, "gallery_coefficient", 0.0, 1e6)
        check_choice(self, "repulsion", REPULSIONS)
        if self.batch is not None:
            check_number(self, "batch", 2, whole=True)
        check_choice(self, "batch_neighbours", NEIGHBOURS)
        check_choice(self, "precision", PRECISIONS)
        check_number(self, "record_every", 1, whole=True)
        if self.batch is None and self.batch_neighbours != "all":
            raise BrownidError(
                f"PackingSettings.batch_neighbours is {self.batch_neighbours!r}, but there are no batches; "
                "set batch to the number of references that an iteration moves, or batch_neighbours to all."
            )

    def rate_at(self, iteration: int) -> float:
        """The learning rate of an iteration, counted from 0."""
        return self.learning_rate * self.decay ** (iteration // self.decay_every)
