"""Passes through the face model in batches: embeddings of latents, and gradients pulled back to the latents."""

from collections.abc import Callable
from typing import Protocol

import torch


class FaceModel(Protocol):
    """What the dynamics need of a face model; any object with these works."""

    latent_mean: torch.Tensor  # [D], the generator's mean latent

    def embed(self, latents: torch.Tensor) -> torch.Tensor:
        """Embeddings `[B,E]` of latents `[B,D]`, differentiable in the latents, each row by itself."""


def embed(model: FaceModel, latents: torch.Tensor, batch_size: int) -> torch.Tensor:
    """Embeddings `[N,E]` of latents `[N,D]`, without gradient, in the latents' element type."""
    with torch.no_grad():
        return torch.cat([model.embed(batch).to(latents.dtype) for batch in latents.split(batch_size)])


def embed_for_pull_back(
    model: FaceModel, latents: torch.Tensor, batch_size: int
) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
    """Embeddings `[N,E]` of latents `[N,D]`, and a function to call once that takes ∂U/∂e `[N,E]` to ∂U/∂w `[N,D]`.

    The function is the vector-Jacobian product of the face model. Where all latents fit one batch it uses the graph of
    the embedding pass; else it embeds a second time, one batch at a time, because the graphs of all batches would not
    fit in memory. Both ways give the same result.
    """
    if len(latents) > batch_size:
        return embed(model, latents, batch_size), lambda gradients: torch.cat(
            [
                _pull_back(*_embed_with_graph(model, batch), gradient)
                for batch, gradient in zip(latents.split(batch_size), gradients.split(batch_size), strict=True)
            ]
        )
    leaf, output = _embed_with_graph(model, latents)
    return output.detach(), lambda gradients: _pull_back(leaf, output, gradients)


def _embed_with_graph(model: FaceModel, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.enable_grad():
        leaf = latents.detach().requires_grad_(True)
        return leaf, model.embed(leaf).to(latents.dtype)


def _pull_back(leaf: torch.Tensor, output: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    (pulled,) = torch.autograd.grad(output, leaf, grad_outputs=gradients)
    return pulled
