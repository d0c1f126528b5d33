"""Settings of the covariates: projection, its linear guess, and the edits along covariates.

The defaults of the projection are published, for StyleGAN2 from the mean latent. The latent weight is ours: Adam moves
the components that an image says little about as far as the others, which hides the attributes from the SVM. On the
embedded world, from a warm start (180 photographs, 40 iterations, rate 0.05, no noise), a weight of 0.05 raises the
cosine of the covariates with the true directions from 0.55 to 0.80 for pose and from 0.75 to 0.93 for illumination.
"""

import math
from dataclasses import dataclass

from brownid.runtime.errors import BrownidError
from brownid.runtime.settings import PRECISIONS, Settings, setting


@dataclass(frozen=True)
class ProjectionSettings(Settings):
    """Projection of images into latent space, by gradient descent on the latent."""

    iterations: int = setting(1000, "Number of Adam updates.", minimum=1)
    learning_rate: float = setting(0.1, "Learning rate of Adam.", unit="latent units per update", above=0)
    rampdown: float = setting(
        0.25, "Last share of the iterations, in which the rate falls to 0 along a cosine.", minimum=0, maximum=1
    )
    rampup: float = setting(
        0.05, "First share of the iterations, in which the rate grows linearly from 0.", minimum=0, maximum=1
    )
    latent_noise: float = setting(
        0.05, "Latent noise at the start.", unit="standard deviations of the generator's latents", minimum=0
    )
    noise_ramp: float = setting(0.75, "Share of the iterations after which there is no noise.", minimum=0, maximum=1)
    feature_weight: float = setting(1.0, "Weight of the squared distance between features.", minimum=0)
    pixel_weight: float = setting(0.0, "Weight of the mean squared difference between pixels.", minimum=0)
    latent_weight: float = setting(
        0.0,
        "Weight of the latent's squared distance from the mean, in units of the latents' variance; it keeps what the "
        "image does not show near the mean.",
        minimum=0,
    )
    space: str = setting(
        "w",
        "Latent space; w: one latent for all layers of the generator; w_plus: one per layer (covariates are fitted on "
        "their mean).",
        choices=("w", "w_plus"),
    )
    noise_maps: bool = setting(False, "Whether the generator's noise maps are optimised too.")
    noise_weight: float = setting(1e5, "Weight of the noise maps' autocorrelation, with noise_maps.", minimum=0)
    maximum_loss: float | None = setting(
        None, "Largest final loss; an image above it is listed as failed; null: no limit.", above=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.feature_weight == self.pixel_weight == 0:
            raise BrownidError(
                "ProjectionSettings.feature_weight and pixel_weight are both 0, so there is nothing to fit: raise one."
            )

    @property
    def limit(self) -> float:
        """The maximum loss, infinite where there is none."""
        return math.inf if self.maximum_loss is None else self.maximum_loss

    def rate_at(self, iteration: int) -> float:
        """The learning rate of an iteration, from 0: cosine down over the last share, linear up over the first."""
        from brownid.runtime.optimization import learning_rate_factor  # with torch, which the schema does not need

        return self.learning_rate * learning_rate_factor(iteration / self.iterations, self.rampup, self.rampdown)

    def noise_at(self, iteration: int, latent_std: float) -> float:
        """The standard deviation of the noise on each latent component: std · noise · max(0, 1 − t/ramp)²."""
        done = iteration / self.iterations
        left = max(0.0, 1 - done / self.noise_ramp) if self.noise_ramp else 0.0
        return latent_std * self.latent_noise * left**2


@dataclass(frozen=True)
class ComparisonSettings(Settings):
    """Start of a projection and features of its loss."""

    start: str = setting(
        "warm_start", "Start of the descent: the linear guess or the mean latent.", choices=("warm_start", "mean")
    )
    frame: str = setting(
        "network",
        "Images that are compared: the crops of the FR network, or whole generated images (FFHQ alignment).",
        choices=("network", "generator"),
    )
    features: str = setting(
        "network",
        "Features that are compared; network: pixel pyramid and FR embedding; vgg16: VGG16 features (LPIPS; needs "
        "vgg16.weights).",
        choices=("network", "vgg16"),
    )
    vgg16_precision: str = setting(
        "auto", "Arithmetic of VGG16's convolutions; auto: bfloat16 where the device is fast in it.", choices=PRECISIONS
    )
    pyramid_weight: float = setting(1.0, "Weight of the pixel pyramid in the network features.", minimum=0)
    embedding_weight: float = setting(0.1, "Weight of the FR embedding in the network features.", minimum=0)


@dataclass(frozen=True)
class WarmStartSettings(Settings):
    """Linear guess of the latent that projection starts from."""

    samples: int = setting(2000, "Number of generated images that it is fitted on.", minimum=1)
    pixel_side: int = setting(14, "Side to which images are averaged.", unit="pixels", minimum=1)
    truncation: float = setting(
        1.5, "Standard deviation of the fitted latents, relative to that of the generator's latents.", above=0
    )
    penalty: float = setting(1e-3, "Ridge penalty, in units of the inputs' variance.", above=0)


@dataclass(frozen=True)
class EditingSettings(Settings):
    """One controlled change at a time along the covariates; scale 1 is as far as in the photographs."""

    steps: int = setting(6, "Number of latents in the pose sweep and in the illumination sweep.", minimum=2)
    pose_scale: float = setting(1.0, "Extent of the pose sweep.", above=0)
    illumination_scale: float = setting(1.0, "Extent of the illumination sweep.", above=0)
    expression_scale: float = setting(1.0, "Strength of the expressions.", above=0)
