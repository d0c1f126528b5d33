"""A generator of your own, for scripts and for the workflow.

In a configuration, with the folder of this file on PYTHONPATH:

    generators:
      mine: {factory: "own_generator:generator", latent_dim: 64}

All keys but `factory` reach the function as keywords, and so does `device`. A key `file` names the weights: the stages
that use the generator run again where that file changes. Run it with `python examples/own_generator.py`.
"""

import torch
from torch import Tensor, nn

from brownid import backbone, load_face_model, random_latents, save_backbone


class OwnGenerator(nn.Module):
    """What every generator has; `brownid.GeneratorDefaults` lists what one may have besides."""

    resolution = 32  # height and width of an image, pixels
    eyes = ((11.0, 13.0), (20.0, 13.0))  # (x, y) of an average frontal face, the image's left one first

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.mapping = nn.Sequential(nn.Linear(latent_dim, latent_dim), nn.LeakyReLU(0.2))
        self.synthesis = nn.Sequential(nn.Linear(latent_dim, 3 * 32 * 32), nn.Tanh(), nn.Unflatten(1, (3, 32, 32)))
        self.register_buffer("latent_mean", torch.zeros(latent_dim))

    def map(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """Standard normal `[B, D]` to latents `[B, D]`, pulled to the mean by the truncation."""
        return self.latent_mean + truncation * (self.mapping(z) - self.latent_mean)

    def render(self, latents: Tensor) -> Tensor:
        """RGB images `[B, 3, 32, 32]` in [-1, 1], differentiable in the latents."""
        return self.synthesis(latents)


def generator(*, latent_dim: int = 64, device: str | torch.device = "cpu") -> OwnGenerator:
    """The factory. Weights would be read here; these are random, the same ones every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return OwnGenerator(latent_dim).to(device)


def main() -> None:
    """Use it as the stages do: with a crop and an FR network it is the face model E = F(A(G(w)))."""
    save_backbone("network.safetensors", backbone("slim", "slim_iresnet", image_size=32))  # yours is trained
    settings = {
        "generator": {"factory": "own_generator:generator", "latent_dim": 64},
        "network": {"template": "arcface", "precision": "float32"},  # the file of weights says the rest
    }
    model = load_face_model(settings, "network.safetensors")
    latents = random_latents(model.generator, range(4), truncation=0.7, seed=1)
    print("images", list(model.generator.render(latents).shape))
    print("crops", list(model.render(latents).shape))
    print("embeddings", list(model.embed(latents).shape))


if __name__ == "__main__":
    main()
