"""The world's latent space: z -> w, and the fixed linear map from w to raw parameters.

    w = S · W₂ · leaky_relu(W₁ z) + b,      raw = A (w − w̄),

with W₁, W₂ orthogonal, so that the mean and the covariance of w are known in closed form (leaky_relu of independent
normal numbers), and A = scales · Qᵀ with orthonormal columns Q: its rows are orthogonal, so the direction of each row
moves one parameter alone, although every coordinate of w carries identity and nuisance. S = c (¼ I + 0.6 P + 0.15 R),
where P projects on the identity rows, R on the nuisance rows, and c makes the mean of ‖w − w̄‖ 10: like a GAN's, the
space varies mostly in identity. With less of R a head turns with a smaller step in w, and Langevin turns heads apart
rather than identities (docs/measurements.md).
"""

import math

import torch
from torch import Tensor

from brownid.randomness import stream

MEAN_RADIUS = 10.0
_BASE_GAIN = 0.25
_IDENTITY_GAIN = 0.6
_NUISANCE_GAIN = 0.15
_LEAK = 0.2
_SAMPLES = 1024  # for the mean radius: its error is then 0.2 %


class LatentSpace(torch.nn.Module):
    """The maps of one world; `nuisance_stds` [N] are those of the raw nuisance parameters over random latents."""

    def __init__(self, latent_dim: int, identity_dim: int, nuisance_stds: Tensor, seed: int) -> None:
        super().__init__()
        parameters = identity_dim + len(nuisance_stds)
        basis = _orthogonal(seed, "world/parameters", latent_dim)[:, :parameters]  # Q
        first, second = _orthogonal(seed, "world/first", latent_dim), _orthogonal(seed, "world/second", latent_dim)
        bias = torch.from_numpy(stream(seed, "world/bias").standard_normal(latent_dim))
        identity, nuisance = basis[:, :identity_dim], basis[:, identity_dim:]
        # moments of leaky_relu(x), x ~ N(0, 1)
        mean = (1.0 - _LEAK) / math.sqrt(2.0 * math.pi)
        std = math.sqrt((1.0 + _LEAK**2) / 2.0 - mean**2)
        shape = _BASE_GAIN * torch.eye(latent_dim, dtype=torch.float64) + _IDENTITY_GAIN * identity @ identity.T
        shape = shape + _NUISANCE_GAIN * nuisance @ nuisance.T
        z = torch.from_numpy(stream(seed, "world/radius").standard_normal((_SAMPLES, latent_dim)))
        centred = torch.nn.functional.leaky_relu(z, _LEAK) - mean  # W₁ z is distributed as z
        radius = torch.linalg.vector_norm(centred @ (shape @ second).T, dim=1).mean()
        shape = shape * (MEAN_RADIUS / radius)
        spread = torch.full((parameters,), _BASE_GAIN + _NUISANCE_GAIN, dtype=torch.float64)
        spread[:identity_dim] = _BASE_GAIN + _IDENTITY_GAIN
        spread *= std * MEAN_RADIUS / radius
        raw_stds = torch.cat([torch.ones(identity_dim, dtype=torch.float64), nuisance_stds.double()])
        output = shape @ second
        self.register_buffer("first", first.float(), persistent=False)
        self.register_buffer("output", output.float(), persistent=False)
        self.register_buffer("bias", bias.float(), persistent=False)
        self.register_buffer("mean", (bias + output.sum(1) * mean).float(), persistent=False)
        self.register_buffer("rows", basis.T.contiguous().float(), persistent=False)  # unit rows
        self.register_buffer("scales", (raw_stds / spread).float(), persistent=False)

    def map(self, z: Tensor, truncation: float) -> Tensor:
        """Latents `[B, D]` of standard normal `z` `[B, D]`."""
        hidden = torch.nn.functional.leaky_relu(z @ self.first.T, _LEAK)
        latents = hidden @ self.output.T + self.bias
        return latents if truncation == 1.0 else self.mean + truncation * (latents - self.mean)

    def parameters_of(self, latents: Tensor) -> Tensor:
        """Raw parameters `[B, I + N]` of latents `[B, D]`."""
        return (latents - self.mean) @ self.rows.T * self.scales

    def latents_of(self, parameters: Tensor) -> Tensor:
        """The latents nearest to the mean that have the raw `parameters` `[B, I + N]`."""
        return self.mean + (parameters / self.scales) @ self.rows


def _orthogonal(seed: int, purpose: str, size: int) -> Tensor:
    """A random orthogonal matrix, uniform over all (Mezzadri 2007: fix the signs of R's diagonal)."""
    q, r = torch.linalg.qr(torch.from_numpy(stream(seed, purpose).standard_normal((size, size))))
    return q * torch.sign(torch.diagonal(r))
