"""Langevin, Dispersion and within-class variations on a face model of your own.

A face model is any object with `latent_mean`, `render` and `embed`. Run it with
`python examples/own_face_model.py`; it writes references.h5 and variations.h5.
"""

import torch
from torch import nn
from torch.nn import functional as F

from brownid import (
    DispersionSettings,
    LangevinSettings,
    SampleCollection,
    WithinClassSettings,
    dispersion,
    fit_within_class,
    langevin,
)


class OwnFaceModel(nn.Module):
    """Here a random generator and a random FR network stand where yours belong."""

    def __init__(self, latent_dim: int = 64, embedding_dim: int = 32, image_size: int = 16) -> None:
        super().__init__()
        self.latent_mean = torch.zeros(latent_dim)
        self.generator = nn.Sequential(
            nn.Linear(latent_dim, 3 * image_size * image_size), nn.Tanh(), nn.Unflatten(1, (3, image_size, image_size))
        )
        self.network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.LeakyReLU(), nn.Flatten(), nn.LazyLinear(embedding_dim))
        self.embed(self.latent_mean[None])  # gives the lazy layer its size
        self.requires_grad_(False)  # gradients by the latents alone

    def render(self, latents: torch.Tensor) -> torch.Tensor:
        """Images `[B, 3, S, S]` in [-1, 1] of latents `[B, D]`."""
        return self.generator(latents)

    def embed(self, latents: torch.Tensor) -> torch.Tensor:
        """Unit embeddings `[B, E]` of latents `[B, D]`, differentiable in the latents."""
        return F.normalize(self.network(self.render(latents)))


def main() -> None:
    """Sample 20 identities, then 4 variations of each."""
    torch.manual_seed(1)
    model = OwnFaceModel()
    start = model.latent_mean + torch.randn(20, 64)
    references = langevin(model, start, LangevinSettings(iterations=30, repulsion_radius=1.4), seed=1)
    nearest = references.statistics["nn_mean"]
    print(f"mean angle to the nearest neighbour: {nearest[0]:.3f} rad at the start, {nearest[-1]:.3f} rad at the end")
    SampleCollection(
        latents=references.latents,
        embeddings=references.embeddings,
        identities=range(20),
        labels=["reference"] * 20,
        generator="own generator",
        recognition="own network",
    ).save("references.h5")

    settings = DispersionSettings(variations=4, iterations=10)
    plain = dispersion(model, references.latents, references.embeddings, settings, seed=1)

    # Random latents stand where yours belong, those of projected photographs: here of 30 persons, 5 photographs each.
    projected = torch.randn(30, 1, 64) + 0.5 * torch.randn(30, 5, 64)
    persons = [person for person in range(30) for _ in range(5)]
    covariance = fit_within_class(projected.flatten(0, 1).numpy(), persons)
    settings = WithinClassSettings(variations=4, iterations=10, variance_share=0.9)
    root = torch.from_numpy(covariance.root(settings.variance_share))
    variations = dispersion(model, references.latents, references.embeddings, settings, seed=1, within_class=root)
    angles = [f"{each.statistics['refd_avg'][-1]:.3f} rad" for each in (plain, variations)]
    print(f"mean angle of a variation to its reference: {angles[0]} by Dispersion, {angles[1]} by within-class start")
    SampleCollection(
        latents=variations.latents.flatten(0, 1),
        embeddings=variations.embeddings.flatten(0, 1),
        identities=[identity for identity in range(20) for _ in range(4)],
        labels=[f"augmentation_{number}" for _ in range(20) for number in range(4)],
        generator="own generator",
        recognition="own network",
    ).save("variations.h5")


if __name__ == "__main__":
    main()
