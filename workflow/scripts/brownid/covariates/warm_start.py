"""Warm start of projection: linear prediction of the latent from pixels and the FR embedding.

From the mean latent alone, gradient descent does not find a turned head; the guess of a ridge regression on generated
images does, and descent then adds the details.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from brownid.covariates.settings import WarmStartSettings
from brownid.facemodel.model import GeneratorFaceModel
from brownid.runtime.errors import BrownidError
from brownid.runtime.optimization import fit_ridge
from brownid.runtime.precision import Batching
from brownid.runtime.process import progress
from brownid.runtime.randomness import NoiseKey, normal
from brownid.weights.state_dict import load_described, save_described

METADATA_KEY, VERSION = "brownid_warm_start", 2
FIRST_FORMAT = "brownid warm start 1"  # of the version before, which had no checksum
Embedder = Callable[[Tensor], Tensor]  # images [B, 3, S, S] -> embeddings [B, E]


@dataclass(frozen=True)
class WarmStart:
    """A linear map from pixels `[P]` and embedding `[E]` to a latent `[D]`."""

    weight: Tensor  # [P + E, D]
    bias: Tensor  # [D]
    pixel_side: int

    def predict(self, images: Tensor, embed: Embedder) -> Tensor:
        """Latents `[B, D]` of images `[B, 3, S, S]` in [-1, 1]; `embed` as when it was fitted."""
        inputs = torch.cat(_inputs(images, self.pixel_side, embed), dim=1)
        if inputs.shape[1] != len(self.weight):
            raise BrownidError(
                f"The warm start was fitted on {len(self.weight)} numbers per image and got {inputs.shape[1]}: "
                "use the face-recognition network that it was fitted with."
            )
        return inputs @ self.weight.to(inputs.device) + self.bias.to(inputs.device)

    @torch.no_grad()
    def starts(self, model: GeneratorFaceModel, images: Tensor, batch_size: int) -> Tensor:
        """Initial latents of the images (in the frame of the model), `[n, D]` on its device."""
        predicted, needed = self.weight.shape[1], len(model.latent_mean)
        if predicted != needed:
            raise BrownidError(
                f"The warm start predicts latents of {predicted} numbers, the generator's have {needed}: a warm start "
                "belongs to one generator and network."
            )

        def predict(rows: slice) -> Tensor:
            return self.predict(model.crops_of(images[rows].to(model.device)), model.embed_crops)

        nothing = model.latent_mean.new_empty(0, needed)  # a shard may have no images
        return torch.cat([nothing, *Batching(batch_size).limited(model).map(len(images), predict)])

    def save(self, path: str | Path) -> None:
        """Write a safetensors file with its checksum; equal warm starts give equal bytes."""
        about = {"version": VERSION, "pixel_side": self.pixel_side}
        save_described(path, {"weight": self.weight, "bias": self.bias}, METADATA_KEY, about)

    @classmethod
    def load(cls, path: str | Path) -> "WarmStart":
        """Read what `save` wrote, now or in the version before; BrownidError for any other file."""
        tensors, about, metadata = load_described(path, METADATA_KEY)
        if about is None and metadata.get("format") == FIRST_FORMAT:
            about = {"version": VERSION, "pixel_side": metadata.get("pixel_side")}
        about = about if isinstance(about, dict) else {}
        known = about.get("version") == VERSION and {"weight", "bias"} <= tensors.keys()
        if not known or not str(about.get("pixel_side")).isdecimal():
            raise BrownidError(f"{path} is a safetensors file, but not a warm start: name the right file.")
        return cls(tensors["weight"], tensors["bias"], int(about["pixel_side"]))


@torch.no_grad()
def fit_warm_start(
    model: GeneratorFaceModel,
    settings: WarmStartSettings,
    *,
    seed: int,
    batch_size: int = 64,
) -> WarmStart:
    """Ridge regression in closed form, on `settings.samples` generated images.

    Pixels and embedding are a block each: in one, the penalty would silence the embedding. Sample i is addressed by
    (seed, i), so the batch size changes nothing.
    """
    generator, batching = model.generator, Batching(batch_size).limited(model)

    def sampled(all_items: range, rows: slice) -> tuple[Tensor, ...]:
        items = all_items[rows]
        z = normal(seed, "warm start/z", items, (generator.latent_dim,)).to(generator.latent_mean)
        batch = torch.lerp(generator.latent_mean, generator.map(z), settings.truncation)
        images = model.render(batch, NoiseKey(seed, items, None)).float()
        return (batch.double(), *(x.double() for x in _inputs(images, settings.pixel_side, model.embed_crops)))

    parts = []
    for begin in progress(range(0, settings.samples, batch_size), "warm start", unit="batch"):
        items = range(begin, min(begin + batch_size, settings.samples))
        parts += batching.map(len(items), partial(sampled, items))
    latents, *inputs = (torch.cat(part) for part in zip(*parts, strict=True))
    return WarmStart(*fit_ridge(inputs, latents, settings.penalty), settings.pixel_side)


def _inputs(images: Tensor, pixel_side: int, embed: Embedder) -> list[Tensor]:
    pixels = F.interpolate(images, size=(pixel_side, pixel_side), mode="area").flatten(1)
    return [pixels, F.normalize(embed(images).float(), dim=1)]
