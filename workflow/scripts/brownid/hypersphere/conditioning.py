"""Variations of an identity by noise on its embedding: Algorithm 3 of HyperFace.

Otroshi Shahreza and Marcel, "HyperFace: Generating Synthetic Face Recognition Datasets by Exploring Face Embedding
Hypersphere", ICLR 2025: image s of identity i is made of the embedding normalise(x_i + β v), v ~ N(0, I), with fresh
noise of the generator. A generator that takes no embedding is inverted instead, each image from a start of its own:
the descent brings the identity back, and what does not belong to it remains that of the start.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from brownid.dynamics.checks import check_items, check_matrix
from brownid.errors import BrownidError
from brownid.hypersphere.inversion import check_targets
from brownid.randomness import normal

PURPOSE = "hyperface/conditioning"


def noisy_targets(
    references: Tensor, count: int, noise: float, *, seed: int, items: Sequence[int] | None = None
) -> Tensor:
    """The unit embeddings `[n, count, E]` that the images aim at: normalise(x_i + β v) around x_i `[n,E]`.

    v is addressed by (seed, identity, image): image s of an identity depends neither on `count` nor on the other
    identities. `items` numbers the identities, default 0 … n−1; `noise` is β, at least 0.
    """
    check_targets(references)
    if not 0 <= noise < float("inf"):
        raise BrownidError(f"The noise on embeddings is {noise}; it must be a number of at least 0.")
    if count < 1:
        raise BrownidError(f"{count} variations of an identity were asked for; at least 1 is needed.")
    items = check_items(items, len(references))
    # An identity's numbers come from one stream, image after image, so that more images only lengthen it.
    drawn = normal(seed, PURPOSE, items, (count, references.shape[1])).to(references)
    return F.normalize(F.normalize(references, dim=1)[:, None] + noise * drawn, dim=2)


def variation_starts(latents: Tensor, random_latents: Tensor, spread: float) -> Tensor:
    """Where the descents of the images start `[n, count, D]`: the share `spread` of the way from the identity's latent
    `[n,D]` to a random latent of the generator `[n, count, D]`."""
    check_matrix("latents", latents, (None, None))
    check_matrix("random_latents", random_latents, (len(latents), None, latents.shape[1]))
    if not 0 <= spread <= 1:
        raise BrownidError(f"The spread of the starts is {spread}; it is a share between 0 and 1.")
    return latents[:, None].lerp(random_latents.to(latents), spread)
