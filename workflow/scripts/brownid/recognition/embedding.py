"""Embeddings of images, whatever the network's family: RGB in, rows out."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.batching import Batching
from brownid.errors import BrownidError
from brownid.precision import autocast, resolve_precision

LARGEST = 2.0  # of a float pixel: generators exceed 1 by a little, images in [0, 255] by far


def raw_embeddings(network: nn.Module, images: Tensor) -> Tensor:
    """Unnormalised embeddings `[B, E]` of RGB images `[B, 3, S, S]` in [-1, 1]; differentiable.

    Turns the colours round for a network that reads BGR, and multiplies unit embedding and norm for one that returns
    the two apart.
    """
    if getattr(network, "colour_order", "RGB") == "BGR":
        images = images.flip(1)
    output = network(images)
    if isinstance(output, tuple):
        unit, norms = output
        return unit * norms
    return output


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
            f"images to embed are uint8 [N, S, S, 3] or float [N, 3, S, S], not {images.dtype} {list(images.shape)}"
        )
    sides = tuple(images.shape[1:3] if last else images.shape[2:4])
    if not last and images.numel() and images.abs().max() > LARGEST:
        raise BrownidError(
            f"images to embed lie in [-1, 1] where they are float, but these reach {images.abs().max():.4g}"
        )
    description = getattr(network, "description", None)
    if description is not None and sides != (description.side, description.side):
        raise BrownidError(f"the network reads crops of {description.side} pixels, not {sides[1]}×{sides[0]}")


def _embedding_dim(network: nn.Module) -> int:
    description = getattr(network, "description", None)
    return 0 if description is None else description.embedding_dim
