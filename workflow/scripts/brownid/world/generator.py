"""The procedural generator behind the generator protocol, and its latent space."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from brownid.generators.protocol import GeneratorDefaults
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import stream
from brownid.world.anatomy import IDENTITY_NAMES, NUISANCE, NUISANCE_NAMES, identity_settings, nuisance_settings
from brownid.world.renderer import Renderer
from brownid.world.settings import ProceduralSettings

MEAN_RADIUS = 10.0
_BASE_GAIN = 0.25
_IDENTITY_GAIN = 0.6
_NUISANCE_GAIN = 0.15
_LEAK = 0.2
_SAMPLES = 1024  # for the mean radius: its error is then 0.2 %
WARP_SCALE = 0.5  # τ, about the spread of one coordinate of a latent


class Warp(torch.nn.Module):
    """A smooth, invertible bend of the latent space, after which nuisance is not linear in the latent.

    The linear latent w of a latent v is w = v + s A₂ tanh(A₁ (v - v̄) / τ), with random orthogonal A₁ and A₂, the
    `strength` s, τ = `WARP_SCALE`, and the mean latent v̄, which stays where it is. For s < τ the bend is a
    contraction, so v is the only fixed point of v = w - s A₂ tanh(A₁ (v - v̄) / τ) (Banach).
    """

    first: Tensor  # [D, D], A₁
    second: Tensor  # [D, D], A₂

    def __init__(self, latent_dim: int, strength: float, seed: int) -> None:
        super().__init__()
        self.strength = strength
        for name in ("first", "second"):
            matrix = _orthogonal(seed, f"world/warp/{name}", latent_dim)
            self.register_buffer(name, matrix.float(), persistent=False)

    def linear(self, offsets: Tensor) -> Tensor:
        """w - v̄ of offsets v - v̄, both `[B, D]`."""
        return offsets + self.strength * torch.tanh(offsets @ self.first.T / WARP_SCALE) @ self.second.T

    def warped(self, linear: Tensor) -> Tensor:
        """v - v̄ of w - v̄, both `[B, D]`: the inverse of `linear`, exact up to rounding and differentiable."""
        return _WarpInverse.apply(linear, self)

    def tangent(self, direction: Tensor) -> Tensor:
        """The direction `[D]` in v at the mean that moves w along `direction` `[D]`."""
        slope = self.strength / WARP_SCALE
        return _fixed_point(lambda moved: direction - slope * moved @ self.first.T @ self.second.T, direction, slope)


class _WarpInverse(torch.autograd.Function):
    """`Warp.warped`, with the derivative of an implicit function: its Jacobian is the inverse of that of `linear`."""

    @staticmethod
    def forward(ctx: Any, linear: Tensor, warp: Warp) -> Tensor:
        strength, slope = warp.strength, warp.strength / WARP_SCALE

        def step(offsets: Tensor) -> Tensor:
            return linear - strength * torch.tanh(offsets @ warp.first.T / WARP_SCALE) @ warp.second.T

        offsets = _fixed_point(step, linear, slope)
        ctx.save_for_backward(offsets)
        ctx.warp = warp
        return offsets

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        warp, (offsets,) = ctx.warp, ctx.saved_tensors
        slopes = warp.strength / WARP_SCALE * (1.0 - torch.tanh(offsets @ warp.first.T / WARP_SCALE).square())

        def step(solved: Tensor) -> Tensor:  # towards Jᵀu = g, with J = I + A₂ diag(slopes) A₁ of `linear`
            return gradient - (solved @ warp.second * slopes) @ warp.first

        return _fixed_point(step, gradient, warp.strength / WARP_SCALE), None


def _fixed_point(step: Callable[[Tensor], Tensor], start: Tensor, contraction: float) -> Tensor:
    """The fixed point of a map that shrinks distances at least by the factor `contraction`, up to rounding."""
    epsilon = torch.finfo(start.dtype).eps
    tolerance = 4.0 * epsilon * torch.linalg.vector_norm(start, ord=math.inf, dim=-1)
    point = start
    for _ in range(math.ceil(math.log(epsilon) / math.log(contraction))):  # enough from any start
        last, point = point, step(point)
        if (torch.linalg.vector_norm(point - last, ord=math.inf, dim=-1) <= tolerance).all():
            break
    return point


class LatentSpace(torch.nn.Module):
    """The maps of one world; `nuisance_stds` [N] are those of the raw nuisance parameters over random latents.

    Raw parameters are a linear map of linear latents, which are the latents themselves unless `warp` bends the space.
    """

    first: Tensor  # [D, D], W₁
    output: Tensor  # [D, D]
    bias: Tensor  # [D]
    mean: Tensor  # [D], of the latents
    rows: Tensor  # [I + N, D], orthonormal: a raw parameter's direction
    scales: Tensor  # [I + N]

    def __init__(self, latent_dim: int, identity_dim: int, nuisance_stds: Tensor, seed: int, warp: float) -> None:
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
        gains = torch.full((parameters,), _BASE_GAIN + _NUISANCE_GAIN, dtype=torch.float64)
        gains[:identity_dim] = _BASE_GAIN + _IDENTITY_GAIN
        gains *= std * MEAN_RADIUS / radius
        raw_stds = torch.cat([torch.ones(identity_dim, dtype=torch.float64), nuisance_stds.double()])
        output = shape @ second
        self.register_buffer("first", first.float(), persistent=False)
        self.register_buffer("output", output.float(), persistent=False)
        self.register_buffer("bias", bias.float(), persistent=False)
        self.register_buffer("mean", (bias + output.sum(1) * mean).float(), persistent=False)
        self.register_buffer("rows", basis.T.contiguous().float(), persistent=False)
        self.register_buffer("scales", (raw_stds / gains).float(), persistent=False)
        self.warp = Warp(latent_dim, warp, seed) if warp else None

    def map(self, z: Tensor, truncation: float) -> Tensor:
        """Latents `[B, D]` of standard normal `z` `[B, D]`."""
        hidden = torch.nn.functional.leaky_relu(z @ self.first.T, _LEAK)
        latents = self.warped(hidden @ self.output.T + self.bias)
        return latents if truncation == 1.0 else self.mean + truncation * (latents - self.mean)

    def parameters_of(self, latents: Tensor) -> Tensor:
        """Raw parameters `[B, I + N]` of latents `[B, D]`."""
        return (self.linear(latents) - self.mean) @ self.rows.T * self.scales

    def linear_latents_of(self, parameters: Tensor) -> Tensor:
        """The linear latents nearest to the mean that have the raw `parameters` `[B, I + N]`."""
        return self.mean + (parameters / self.scales) @ self.rows

    def linear(self, latents: Tensor) -> Tensor:
        """The linear latents `[B, D]` of latents `[B, D]`."""
        return latents if self.warp is None else self.mean + self.warp.linear(latents - self.mean)

    def warped(self, linear: Tensor) -> Tensor:
        """The latents `[B, D]` of linear latents `[B, D]`."""
        return linear if self.warp is None else self.mean + self.warp.warped(linear - self.mean)


def _orthogonal(seed: int, purpose: str, size: int) -> Tensor:
    """A random orthogonal matrix, uniform over all (Mezzadri 2007: fix the signs of R's diagonal)."""
    q, r = torch.linalg.qr(torch.from_numpy(stream(seed, purpose).standard_normal((size, size))))
    return q * torch.sign(torch.diagonal(r))


# Attributes that the covariates name, and the nuisance parameters they are. Positive pose turns the subject to the
# image's right, positive illumination puts the lamp on the image's right.
ATTRIBUTES: tuple[str, ...] = ("pose", "illumination", "smile", "scream", "disgust", "squint", "surprise")
_PARAMETER_OF = {"pose": "yaw", "illumination": "light_yaw"}

EYES_112: tuple[tuple[float, float], tuple[float, float]] = (
    (38.2946, 51.6),
    (73.5318, 51.6),
)  # of the average face at side 112
_CHUNK_PIXELS = 16 * 56 * 56  # rendered at a time on a CPU: small enough for the cache, large enough to fill it


class ProceduralGenerator(GeneratorDefaults):
    """A differentiable face generator without weights: everything follows from `world_seed` and `warp`.

    `image_size` is the image's height and width in pixels; latents, parameters and faces do not depend on it. `warp`
    bends the latent space: the same raw parameters, with the same image, have another latent.
    """

    def __init__(
        self,
        latent_dim: int = ProceduralSettings.latent_dim,
        image_size: int = ProceduralSettings.image_size,
        world_seed: int = ProceduralSettings.world_seed,
        warp: float = ProceduralSettings.warp,
        device: str | torch.device = "cpu",
    ) -> None:
        ProceduralSettings(latent_dim, image_size, world_seed, warp)  # refuses what is out of bounds
        self.latent_dim, self.resolution, self.world_seed = latent_dim, image_size, world_seed
        # pixel edges keep their place from side to side, pixel centres do not
        self.landmarks = tuple(
            ((x + 0.5) * image_size / 112 - 0.5, (y + 0.5) * image_size / 112 - 0.5) for x, y in EYES_112
        )
        self.identity_dim, self.nuisance_dim = len(IDENTITY_NAMES), len(NUISANCE_NAMES)
        stds = torch.tensor([amount.generator_std for amount in NUISANCE.values()])
        self.device = torch.device(device)
        self._space = LatentSpace(latent_dim, self.identity_dim, stds, world_seed, warp).to(self.device)
        self._renderer = Renderer(image_size).to(self.device)

    @property
    def latent_mean(self) -> Tensor:
        """The mean `[D]` of mapped latents."""
        return self._space.mean

    def to(self, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> "ProceduralGenerator":
        """Move to a device or a floating-point type, in place."""
        self._space.to(device=device, dtype=dtype)
        self._renderer.to(device=device, dtype=dtype)
        self.device = self._space.mean.device
        return self

    def map(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """Standard normal `[B, D]` to latents `[B, D]`."""
        return self._space.map(z, truncation)

    def render(self, latents: Tensor) -> Tensor:
        """RGB images `[B, 3, H, W]` in (-1, 1) of latents `[B, D]`, differentiable."""
        raw = self._space.parameters_of(latents)
        return self.render_parameters(raw[:, : self.identity_dim], raw[:, self.identity_dim :])

    def render_parameters(self, identity: Tensor, nuisance: Tensor) -> Tensor:
        """RGB images `[B, 3, H, W]` in (-1, 1) of raw parameters `[B, I]` and `[B, N]`."""
        settings = torch.cat([identity_settings(identity), nuisance_settings(nuisance)], dim=1)
        chunk = max(1, _CHUNK_PIXELS // self.resolution**2) if self.device.type == "cpu" else max(1, len(settings))
        return torch.cat([self._renderer(part) for part in settings.split(chunk)])

    def identity_of(self, latents: Tensor) -> Tensor:
        """The true raw identity `[B, I]`."""
        return self._space.parameters_of(latents)[:, : self.identity_dim]

    def nuisance_of(self, latents: Tensor) -> Tensor:
        """The true raw nuisance `[B, N]`."""
        return self._space.parameters_of(latents)[:, self.identity_dim :]

    def latents_from(self, identity: Tensor, nuisance: Tensor) -> Tensor:
        """Latents `[B, D]` with these raw parameters: those whose linear latents are nearest to the mean."""
        return self._space.warped(self._space.linear_latents_of(torch.cat([identity, nuisance], dim=1)))

    def reset_nuisance(self, latents: Tensor) -> Tensor:
        """The latents with every nuisance neutral (raw 0) and all else of their linear latents kept."""
        nuisance = self.nuisance_of(latents)
        only_nuisance = torch.cat([torch.zeros_like(self.identity_of(latents)), nuisance], dim=1)
        change = self._space.linear_latents_of(only_nuisance) - self.latent_mean
        return self._space.warped(self._space.linear(latents) - change)

    def attribute_direction(self, name: str) -> Tensor:
        """The unit direction `[D]` along which the attribute's raw parameter alone changes, and grows.

        With a warp this holds at the mean latent only, of which it is the tangent: elsewhere the direction is another.
        """
        if name not in ATTRIBUTES:
            raise BrownidError(f"The attribute {name!r} is unknown: use one of {', '.join(ATTRIBUTES)}.")
        direction = self._space.rows[self.identity_dim + NUISANCE_NAMES.index(_PARAMETER_OF.get(name, name))].clone()
        if self._space.warp is None:
            return direction
        tangent = self._space.warp.tangent(direction)
        return tangent / torch.linalg.vector_norm(tangent)


def procedural(settings: ProceduralSettings, device: str | torch.device = "cpu") -> ProceduralGenerator:
    """The generator of these settings."""
    return ProceduralGenerator(settings.latent_dim, settings.image_size, settings.world_seed, settings.warp, device)
