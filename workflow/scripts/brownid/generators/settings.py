"""Settings of the generator families: where the weights come from, sizes of random ones, and how images are made."""

from dataclasses import dataclass
from typing import ClassVar

from brownid.runtime.errors import BrownidError
from brownid.runtime.settings import ABSENT, PRECISIONS, Settings, setting

POINTS = {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}}
RESOLUTIONS = tuple(2**power for power in range(2, 11))
SCHEDULERS = ("dpmsolver++", "ddim", "euler", "unipc")


@dataclass(frozen=True)
class StyleGAN2Sizes(Settings):
    """Sizes of a StyleGAN2 with random weights."""

    resolution: int = setting(256, "Image side.", unit="pixels", choices=RESOLUTIONS)
    latent_dim: int = setting(512, "Dimension D of the latent space.", minimum=1)
    mapping_layers: int = setting(8, "Number of layers from normal vectors to latents.", minimum=1)
    channel_base: int = setting(32768, "A layer at r pixels has channel_base / r channels.", minimum=1)
    channel_max: int = setting(512, "Largest number of channels of a layer.", minimum=1)


@dataclass(frozen=True)
class StyleGAN3Sizes(StyleGAN2Sizes):
    """Sizes of a StyleGAN3 with random weights."""

    resolution: int = setting(256, "Image side.", unit="pixels", choices=RESOLUTIONS[2:])
    mapping_layers: int = setting(2, "Number of layers from normal vectors to latents.", minimum=1)
    layers: int = setting(14, "Number of layers between the input and the colours.", minimum=3)


@dataclass(frozen=True)
class DiffusionSizes(Settings):
    """Sizes of a latent diffusion model with random weights."""

    image_size: int = setting(32, "Image side.", unit="pixels", minimum=4, multiple_of=4)
    channels: int = setting(8, "Number of channels of the first layers.", minimum=4, multiple_of=4)


@dataclass(frozen=True)
class Arc2FaceSizes(DiffusionSizes):
    """Sizes of an Arc2Face with random weights."""

    width: int | None = setting(None, "Width of the text encoder; null: the dimension of an embedding.", minimum=1)
    layers: int = setting(1, "Number of layers of the text encoder.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings(Settings):
    """Settings of all families with weights."""

    family: ClassVar[str]
    source: ClassVar[tuple[str, ...]] = ("file",)  # what names the weights

    random: Settings = setting(ABSENT, "Random weights of these sizes, for tests and benchmarks.")
    seed: int = setting(ABSENT, "Seed of random weights.", minimum=0)
    template: str = setting(
        "ffhq",
        "Where an average face lies in the images; ffhq: five measured points; ffhq_published: the eyes as in the "
        "published datasets.",
        choices=("ffhq", "ffhq_published"),
    )
    eyes: list | None = setting(
        None,
        "Eyes of an average face instead of the template, [[x, y], [x, y]] in pixels, the left one of the image first.",
        schema={"type": ["array", "null"], "minItems": 2, "maxItems": 2, "items": POINTS},
    )
    landmarks: list | None = setting(
        None,
        "All five points instead: eyes, tip of the nose, corners of the mouth, those on the left of the image first.",
        schema={"type": ["array", "null"], "minItems": 5, "maxItems": 5, "items": POINTS},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        random = getattr(self, "random", None)  # which each family has, of its own sizes
        given = {getattr(self, name) is not None for name in self.source}
        if given != {random is None}:
            names = " and ".join(map(repr, self.source))
            raise BrownidError(
                f"A generator of the family {self.family!r} needs either {names} (its weights) or 'random' (the "
                "sizes of one whose weights are drawn)."
            )
        if (random is None) != (self.seed is None):
            raise BrownidError(
                f"A generator of the family {self.family!r} with 'random' needs a 'seed' that its weights are drawn "
                "by, one from files takes none."
            )


@dataclass(frozen=True, kw_only=True)
class StyleGAN2GeneratorSettings(GeneratorSettings):
    """A StyleGAN2 trained on FFHQ, or one with random weights."""

    family: ClassVar[str] = "stylegan2"

    file: str = setting(ABSENT, "Weights: NVIDIA's .pkl, rosinality's .pt, or .safetensors of brownid models convert.")
    random: StyleGAN2Sizes = setting(ABSENT, "Random weights of these sizes, for tests and benchmarks.")
    noise: str = setting(
        "off",
        "Noise maps; fixed: those of the file; item: each image's own; random: new ones every iteration (published).",
        choices=("off", "fixed", "item", "random"),
    )
    precision: str = setting(
        "float32", "Arithmetic; auto: bfloat16 where the device is fast in it.", choices=PRECISIONS
    )
    channels_last: bool = setting(True, "Layout in memory; changes speed and rounding only.")


@dataclass(frozen=True, kw_only=True)
class StyleGAN3GeneratorSettings(GeneratorSettings):
    """A StyleGAN3 trained on FFHQ or FFHQ-U, or one with random weights."""

    family: ClassVar[str] = "stylegan3"

    file: str = setting(ABSENT, "Weights: NVIDIA's .pkl, or .safetensors of brownid models convert.")
    random: StyleGAN3Sizes = setting(ABSENT, "Random weights of these sizes, for tests and benchmarks.")
    anchored: bool = setting(
        False, "Hold the mean latent's pose in the image plane; for networks of unaligned faces (FFHQ-U)."
    )
    precision: str = setting(
        "float32", "Arithmetic; auto: bfloat16 where the device is fast in it.", choices=PRECISIONS
    )


@dataclass(frozen=True, kw_only=True)
class LatentDiffusionSettings(GeneratorSettings):
    """A latent diffusion model of faces, for galleries and random references; no gradient passes through it."""

    family: ClassVar[str] = "ldm"
    source: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str = setting(ABSENT, "Folder of diffusers' LDMPipeline: unet, vqvae, scheduler.")
    random: DiffusionSizes = setting(ABSENT, "Random weights of these sizes, for tests.")
    steps: int = setting(50, "Number of steps from noise to image (DDIM without noise).", minimum=1, maximum=1000)
    scaling_factor: float | None = setting(
        None, "Divisor of latent images before decoding; null: what the files say.", above=0
    )
    precision: str = setting("auto", "Arithmetic; auto: bfloat16 where the device is fast in it.", choices=PRECISIONS)


@dataclass(frozen=True, kw_only=True)
class Arc2FaceSettings(GeneratorSettings):
    """Arc2Face, conditioned on embeddings; for the algorithm hyperface."""

    family: ClassVar[str] = "arc2face"
    source: ClassVar[tuple[str, ...]] = ("folder", "base")

    folder: str = setting(ABSENT, "Its own weights: a folder with arc2face and encoder.")
    base: str = setting(ABSENT, "Stable Diffusion 1.5: a folder with vae, tokenizer and scheduler.")
    random: Arc2FaceSizes = setting(ABSENT, "Random weights of these sizes, for tests.")
    steps: int = setting(25, "Number of steps from noise to image.", minimum=1, maximum=1000)
    guidance_scale: float = setting(3.0, "Strength of the guidance; 1: no guidance, in half the time.", minimum=1)
    scheduler: str = setting(
        "dpmsolver++",
        "Scheduler of the steps; none that draws noise at every step, which would make an image depend on its batch.",
        choices=SCHEDULERS,
    )
    image_size: int | None = setting(
        None, "Image side; null: that of the weights' training. In pixels.", minimum=8, multiple_of=4
    )
    embedding_dim: int = setting(512, "Dimension of the embeddings that the weights were trained with.", minimum=1)
    precision: str = setting("auto", "Arithmetic; auto: bfloat16 where the device is fast in it.", choices=PRECISIONS)
