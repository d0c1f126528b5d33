"""Settings of FR training: all that decides the weights, except the images and the seed."""

import math
from dataclasses import dataclass

from brownid.runtime.errors import BrownidError
from brownid.runtime.settings import PRECISIONS, Settings, setting


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """Training of an FR network; the defaults are the published ones, except for the network and the precision."""

    family: str = "slim"
    architecture: str = "slim_iresnet"
    embedding_dim: int = setting(512, "Dimension of the embedding.", minimum=2)
    head: str = setting("adaface", "Margin head.", choices=("adaface", "arcface", "cosface"))
    margin: float = setting(
        0.4, "Margin m, in radians (adaface, arcface) or as a cosine (cosface).", minimum=0, maximum=math.pi
    )
    scale: float = setting(64.0, "Scale s of the cosines before the softmax.", above=0)
    h: float = setting(0.333, "adaface: h, the influence of the norm on the margin.", minimum=0)
    t_alpha: float = setting(
        0.01, "adaface: weight of each batch in the running statistics of the norms.", minimum=0, maximum=1
    )
    shuffle: str = setting(
        "all",
        "Order of the images in an epoch: all are shuffled; or blocks of 1024 that are stored together, and the images "
        "of every 64 of them, which are read from the files one after the other.",
        choices=("all", "blocks"),
    )
    class_sample_rate: float = setting(
        1.0,
        "Partial FC: share of the classes in the softmax of a batch, its own and others drawn for it; 1: all.",
        above=0,
        maximum=1,
    )
    epochs: int = setting(30, "Number of passes over the images.", minimum=1)
    batch_size: int = setting(256, "Images per update.", minimum=2)
    optimiser: str = setting("sgd", "Optimiser.", choices=("sgd", "adamw"))
    momentum: float = setting(0.9, "Momentum of sgd; first beta of adamw.", minimum=0, below=1)
    weight_decay: float = setting(5e-4, "Weight decay of the parameters that decay.", minimum=0)
    decaying: str = setting(
        "auto",
        "Parameters that decay: kernels (and matrices) alone, or all_but_batch_norm, as AdaFace trains; auto: kernels "
        "of the family slim, all_but_batch_norm of the published families.",
        choices=("auto", "kernels", "all_but_batch_norm"),
    )
    schedule: str = setting("steps", "Learning-rate schedule.", choices=("steps", "one_cycle"))
    learning_rate: float = setting(0.1, "Learning rate, at the start (steps) or at the peak (one_cycle).", above=0)
    milestones: tuple[int, ...] = setting(
        (12, 20, 26), "steps: epochs after which the learning rate is multiplied by decay.", minimum=1
    )
    decay: float = setting(0.1, "steps: learning-rate decay factor.", above=0, maximum=1)
    warm_up: float = setting(0.3, "one_cycle: share of the training before the peak.", above=0, below=1)
    precision: str = setting("auto", "Arithmetic; auto: bfloat16 where the device is fast in it.", choices=PRECISIONS)
    flip_probability: float = setting(0.5, "Probability of a horizontal flip.", minimum=0, maximum=1)
    crop_probability: float = setting(0.2, "Probability of a random crop.", minimum=0, maximum=1)
    low_resolution_probability: float = setting(
        0.2, "Probability of resizing an image down and up again.", minimum=0, maximum=1
    )
    photometric_probability: float = setting(
        0.2, "Probability of a change of brightness, contrast and saturation.", minimum=0, maximum=1
    )
    erasing_probability: float = setting(
        0.0,
        "Probability of random erasing: a rectangle of 2 to 33 % of the area, aspect 0.3 to 3.3, becomes grey.",
        minimum=0,
        maximum=1,
    )
    shift: float = setting(0.0, "Largest random shift, as a share of the image side.", minimum=0, maximum=0.5)

    def __post_init__(self) -> None:
        from brownid.recognition.backbones import check_names  # with torch, which the schema does not need

        super().__post_init__()
        check_names(self.family, self.architecture)
        if list(self.milestones) != sorted(set(self.milestones)):
            raise BrownidError(f"TrainingSettings.milestones are {list(self.milestones)}, but epochs must rise.")
