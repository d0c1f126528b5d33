"""Embeddings of images, whatever the network's family: RGB in [-1, 1] in, rows out.

What a network itself reads is said by its attributes `colour_order` ("RGB" unless it says "BGR") and `input_range`
(the values of black and white; (-1, 1) unless it says otherwise).
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.recognition.backbones import FaceNetwork
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import Batching, autocast, resolve_precision
from brownid.runtime.process import logger
from brownid.runtime.randomness import uniform

LARGEST = 2.0  # of a float pixel: generators exceed 1 by a little, images in [0, 255] by far
COLOUR_ORDERS = ("RGB", "BGR")
SIGNED, BYTES = (-1.0, 1.0), (0.0, 255.0)  # input ranges
BLIND = (
    0.99  # cosine of two noise images; below 0.93 for the networks tried, above 0.993 where these read a wrong range
)


def raw_embeddings(network: nn.Module, images: Tensor) -> Tensor:
    """Unnormalised embeddings `[B, E]` of RGB images `[B, 3, S, S]` in [-1, 1]; differentiable.

    Reverses the colours for a network that reads BGR, maps the pixels to its input range, and multiplies unit embedding
    and norm for one that returns the two apart.
    """
    if getattr(network, "colour_order", "RGB") == "BGR":
        images = images.flip(1)
    low, high = getattr(network, "input_range", SIGNED)
    if (low, high) != SIGNED:
        images = (images + 1) * ((high - low) / 2) + low
    output = network(images)
    if isinstance(output, tuple):
        unit, norms = output
        return unit * norms
    return output


def as_configured(
    network: FaceNetwork, source: object, reads_bytes: bool | None = None, colour_order: str | None = None
) -> FaceNetwork:
    """The network with what the user says about its pixels; None keeps what it says itself.

    `reads_bytes` is True for pixels from 0 to 255 and False for -1 to 1. A network with a `description` whose
    embeddings of two images of noise are almost equal is warned about, under the name `source`: it is not trained, or
    it reads another range. `BrownidError` for an unknown colour order.
    """
    if reads_bytes is not None:
        network.input_range = BYTES if reads_bytes else SIGNED
    if colour_order is not None:
        network.colour_order = colour_order
    if getattr(network, "colour_order", "RGB") not in COLOUR_ORDERS:
        raise BrownidError(f"{source} has the colour_order {network.colour_order!r}: it must be RGB or BGR.")
    rows = noise_embeddings(network, network.description.image_size).double()
    cosine = float(F.cosine_similarity(rows[0], rows[1], dim=0))
    if not cosine < BLIND or not rows.any(dim=1).all():  # NaN is not below
        logger.warning(
            "%s: two unrelated images of noise have almost the same embedding (cosine %.4f): the network is not "
            "trained, or it reads pixels in another range than from %g to %g (set reads_bytes).",
            *(source, cosine, *getattr(network, "input_range", SIGNED)),
        )
    return network


@torch.inference_mode()
def noise_embeddings(network: nn.Module, image_size: int) -> Tensor:
    """Embeddings of two fixed noise images by a network in evaluation mode: `[2, E]` where it is one."""
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    return raw_embeddings(
        network, 2 * uniform(0, "recognition/noise", range(2), (3, image_size, image_size)).to(device) - 1
    )


@torch.inference_mode()
def embed_images(
    network: nn.Module,
    images: np.ndarray | Tensor,
    batch_size: int | Batching = 256,
    mirror: bool = False,
    precision: str = "float32",
) -> Tensor:
    """Unit embeddings `[N, E]`, float32 on the CPU, of RGB images, in batches that shrink where the memory runs out.

    The images are uint8 `[N, S, S, 3]` or float `[N, 3, S, S]` in [-1, 1], S being the side the network reads.
    `mirror=True` adds the unnormalised embedding of the mirror image before normalising, that is, the sum of the two
    unit embeddings weighted by their norms (AdaFace's test protocol). Runs in evaluation mode, on the device of the
    network, and leaves the network's mode as it was.
    """
    images = torch.as_tensor(images)
    _check_images(network, images)
    batching = batch_size if isinstance(batch_size, Batching) else Batching(batch_size)
    batching.limited(largest_activation(network))
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    precision = resolve_precision(precision, device)

    def embed(rows: slice) -> Tensor:
        batch = as_network_input(images[rows].to(device))
        with autocast(precision, device):
            embeddings = raw_embeddings(network, batch).float()
            if mirror:
                embeddings = embeddings + raw_embeddings(network, batch.flip(3)).float()
        return F.normalize(embeddings).cpu()

    was_training = network.training
    network.eval()
    try:
        rows = batching.map(len(images), embed)
    finally:
        network.train(was_training)
    return torch.cat(rows) if rows else torch.empty(0, _embedding_dim(network))


STEM = 64  # channels of the first convolution of the published networks, at the full side


def largest_activation(network: nn.Module) -> int:
    """Numbers per image in the largest tensor of an FR network, at most, but for networks wider than the published; 0
    for one without a description."""
    description = getattr(network, "description", None)
    return 0 if description is None else STEM * description.image_size**2


def as_network_input(images: Tensor, memory_format: torch.memory_format = torch.channels_last) -> Tensor:
    """Float images `[B, 3, S, S]` in [-1, 1], in this layout, of uint8 `[B, S, S, 3]` or such float images."""
    if images.dtype == torch.uint8:
        images = images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    return images.contiguous(memory_format=memory_format)


def as_bytes(images: Tensor) -> np.ndarray:
    """uint8 images `[n, S, S, 3]` of float images `[n, 3, S, S]` in [-1, 1], to the nearest level."""
    levels = ((images.float() + 1) * 127.5).round_().clamp_(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _check_images(network: nn.Module, images: Tensor) -> None:
    last = images.dtype == torch.uint8
    if images.ndim != 4 or images.shape[3 if last else 1] != 3 or not (last or images.is_floating_point()):
        raise BrownidError(
            f"Images to embed are uint8 [N, S, S, 3] or float [N, 3, S, S], not {images.dtype} {list(images.shape)}."
        )
    sides = tuple(images.shape[1:3] if last else images.shape[2:4])
    if not last and images.numel() and images.abs().max() > LARGEST:
        raise BrownidError(
            f"Images to embed lie in [-1, 1] where they are float, but these reach {images.abs().max():.4g}."
        )
    description = getattr(network, "description", None)
    if description is not None and sides != (description.image_size, description.image_size):
        raise BrownidError(f"The network reads crops of {description.image_size} pixels, not {sides[1]}×{sides[0]}.")


def _embedding_dim(network: nn.Module) -> int:
    description = getattr(network, "description", None)
    return 0 if description is None else description.embedding_dim
