"""What projection renders and compares: the crops that the network reads, or the generator's whole pictures."""

from collections.abc import Mapping

import torch
from torch import Tensor

from brownid.batching import Batching
from brownid.covariates.features import Features, pixel_pyramid, weighted_features
from brownid.covariates.warm_start import WarmStart
from brownid.errors import BrownidError
from brownid.randomness import NoiseKey
from brownid.recognition.facemodel import FaceModel


class Pictures:
    """The pictures of a face model: "network" aligned crops as its FR network reads them, "generator" all it renders.

    In the frame "generator" targets must be aligned as the generator's training images are (FFHQ); hair, ears and
    background are then compared too.
    """

    def __init__(self, model: FaceModel, frame: str = "network") -> None:
        self.model, self.frame = model, frame

    @property
    def latent_mean(self) -> Tensor:
        """The generator's mean latent `[D]`."""
        return self.model.latent_mean

    @property
    def needs_noise_key(self) -> bool:
        """Whether `render` needs the noise key of the images."""
        return self.model.needs_noise_key

    @property
    def layers(self) -> int:
        """How many latents a picture takes in W+."""
        generator = self.model.generator
        found = getattr(generator, "num_ws", None) or getattr(getattr(generator, "settings", None), "layers", None)
        if found is None:
            raise BrownidError(
                f"projection: space is w_plus, but the generator {type(generator).__name__} takes one latent for a "
                "picture: use the space w."
            )
        return found

    def noise_shapes(self) -> dict[str, tuple[int, int]]:
        """The side lengths of the generator's noise maps, by name."""
        generator = self.model.generator
        maps = generator.noise_maps() if hasattr(generator, "noise_maps") else {}
        if not maps:
            raise BrownidError(
                f"projection: noise_maps is true, but the generator {type(generator).__name__} has none to optimise: "
                "set it to false."
            )
        return {name: tuple(map_.shape) for name, map_ in maps.items()}

    @property
    def side(self) -> int:
        """Height and width of a picture, pixels."""
        return self.model.generator.resolution if self.frame == "generator" else self.model.network.description.side

    def render(
        self, latents: Tensor, noise_key: NoiseKey | None = None, noise: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Pictures `[B, 3, S, S]` of latents, nominally in [-1, 1]; `noise` replaces the generator's maps."""
        if self.frame == "network" and not noise:
            return self.model.render(latents, noise_key)
        addressed = (latents, noise_key) if self.needs_noise_key else (latents,)
        images = self.model.generator.render(*addressed, **({"noise": noise} if noise else {}))
        return images if self.frame == "generator" else self.model.crop(images)

    def as_network_reads(self, pictures: Tensor) -> Tensor:
        """The crops that the FR network reads, of pictures in this frame."""
        return self.model.crop(pictures) if self.frame == "generator" else pictures

    def features(self, pyramid_weight: float, embedding_weight: float) -> Features:
        """Pixel pyramid and FR embedding, side by side."""
        return weighted_features([(pyramid_weight, pixel_pyramid()), (embedding_weight, self.embed)])

    @torch.no_grad()
    def starts(self, warm_start: WarmStart, pictures: Tensor, batch_size: int) -> Tensor:
        """Where the projection of each picture starts, `[n, D]`, on the model's device; the pictures stay put."""
        predicted, needed = warm_start.weight.shape[1], len(self.latent_mean)
        if predicted != needed:
            raise BrownidError(
                f"The warm start predicts latents of {predicted} numbers, the generator's have {needed}: a warm start "
                "belongs to one generator and network."
            )

        def predict(rows: slice) -> Tensor:
            crops = self.as_network_reads(pictures[rows].to(self.model.device))
            return warm_start.predict(crops, self.model.embed_images)

        nothing = self.latent_mean.new_empty(0, needed)  # a shard may have no images
        return torch.cat([nothing, *Batching(batch_size).map(len(pictures), predict)])

    def embed(self, pictures: Tensor) -> Tensor:
        """Unit embeddings `[B, E]` of pictures in this frame; differentiable."""
        return self.model.embed_images(self.as_network_reads(pictures))
