"""Everything that decides the weights a training ends with, except the images and the seed."""

import math
from dataclasses import dataclass
from numbers import Real

from brownid.errors import BrownidError
from brownid.recognition.backbones import check_names
from brownid.recognition.heads import HEADS
from brownid.settings import PRECISIONS

OPTIMISERS = ("sgd", "adamw")
SCHEDULES = ("steps", "one_cycle")


@dataclass(frozen=True)
class TrainingSettings:
    """The defaults are those of the paper, except for the network and the precision."""

    family: str = "slim"
    architecture: str = "slim_iresnet"
    embedding_dim: int = 512
    head: str = "adaface"  # adaface, arcface, cosface
    margin: float = 0.4  # radians for arcface and adaface's angle, a cosine for cosface and adaface's addition
    scale: float = 64.0  # of the cosines, before the softmax
    h: float = 0.333  # adaface alone: how much of the norms' spread moves the margin
    t_alpha: float = 0.01  # adaface alone: share of each batch in the running norm statistics
    epochs: int = 30
    batch_size: int = 256
    optimiser: str = "sgd"
    momentum: float = 0.9  # sgd; adamw's first beta
    weight_decay: float = 5e-4  # of matrices and kernels; none on batch-norm, PReLU and biases
    schedule: str = "steps"
    learning_rate: float = 0.1  # at the start (steps) or at the peak (one_cycle)
    milestones: tuple[int, ...] = (12, 20, 26)  # steps: epochs after which the rate is multiplied by `decay`
    decay: float = 0.1  # steps
    warm_up: float = 0.3  # one_cycle: share of the training before the peak
    precision: str = "auto"  # float32, bfloat16, or what the device makes fast
    flip_probability: float = 0.5
    crop_probability: float = 0.2
    low_resolution_probability: float = 0.2
    photometric_probability: float = 0.2
    shift: float = 0.0  # largest shift, as a share of the side, drawn for every image; 0 is off

    def __post_init__(self) -> None:
        check_names(self.family, self.architecture)
        object.__setattr__(self, "milestones", tuple(self.milestones))
        self._choice("head", tuple(HEADS))
        self._choice("optimiser", OPTIMISERS)
        self._choice("schedule", SCHEDULES)
        self._choice("precision", PRECISIONS)
        self._whole("embedding_dim", 2)
        self._whole("epochs", 1)
        self._whole("batch_size", 2)
        self._number("margin", 0, math.pi)
        self._number("scale", 0, math.inf, low_open=True)
        self._number("h", 0, math.inf)
        self._number("t_alpha", 0, 1)
        self._number("momentum", 0, 1, high_open=True)
        self._number("weight_decay", 0, math.inf)
        self._number("learning_rate", 0, math.inf, low_open=True)
        self._number("decay", 0, 1, low_open=True)
        self._number("warm_up", 0, 1, low_open=True, high_open=True)
        for name in ("flip", "crop", "low_resolution", "photometric"):
            self._number(f"{name}_probability", 0, 1)
        self._number("shift", 0, 0.5)
        whole = all(isinstance(m, int) and not isinstance(m, bool) and m >= 1 for m in self.milestones)
        if not whole or list(self.milestones) != sorted(set(self.milestones)):
            raise BrownidError(f"training: milestones must be rising epoch numbers, not {list(self.milestones)}")

    def _choice(self, name: str, known: tuple[str, ...]) -> None:
        if getattr(self, name) not in known:
            raise BrownidError(f"training: {name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")

    def _whole(self, name: str, low: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise BrownidError(f"training: {name} must be a whole number of at least {low}, not {value!r}")

    def _number(self, name: str, low: float, high: float, low_open: bool = False, high_open: bool = False) -> None:
        value = getattr(self, name)
        number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
        if not number or value < low or value > high or (low_open and value == low) or (high_open and value == high):
            interval = f"{'(' if low_open else '['}{low:g}, {high:g}{')' if high_open else ']'}"
            raise BrownidError(f"training: {name} must be a number in {interval}, not {value!r}")
