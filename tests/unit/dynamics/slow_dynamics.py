"""A toy face model, and the dynamics written as slowly and plainly as the equations, with autograd in float64."""

import torch

from brownid.runtime.randomness import normal, uniform


class ToyFaceModel:
    """A random linear map, tanh, another one, and normalisation: D latent numbers to E embedding numbers."""

    def __init__(self, latent_dim: int = 6, embedding_dim: int = 4, dtype: torch.dtype = torch.float64):
        generator = torch.Generator().manual_seed(3)
        self.first = torch.randn(latent_dim, 12, generator=generator, dtype=torch.float64).to(dtype)
        self.second = torch.randn(12, embedding_dim, generator=generator, dtype=torch.float64).to(dtype)
        self.latent_mean = torch.randn(latent_dim, generator=generator, dtype=torch.float64).to(dtype)
        self.batches: list[int] = []

    def embed(self, latents: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(latents))
        hidden = torch.tanh(0.5 * latents @ self.first.to(latents.dtype))
        return torch.nn.functional.normalize(hidden @ self.second.to(latents.dtype), dim=1)


class IdentityModel:
    """The embedding is the latent itself."""

    def __init__(self, dim: int):
        self.latent_mean = torch.zeros(dim, dtype=torch.float64)

    def embed(self, latents: torch.Tensor) -> torch.Tensor:
        return latents * 1.0


def random_latents(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def angle(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    cosine = (first * second).sum() / (first.square().sum() * second.square().sum()).sqrt()
    return torch.acos(0.999999 * cosine)


def pairwise_energy(embedding, others, coefficient, radius):
    """U of one embedding among others, all of them fixed."""
    energy = embedding.new_zeros(())
    for other in others:
        energy = energy + coefficient / 2 * torch.relu(radius - angle(embedding, other)) ** 2
    return energy


def clipped(force, clip):
    return force if clip is None or force.norm() <= clip else force * clip / force.norm()


def smallest_distance(latents):
    return min((latents[i] - latents[j]).norm() for i in range(len(latents)) for j in range(i))


def slow_langevin(model, latents, s, seed, fixed=(), items=None):
    """Latents after `s.iterations`, and for each iteration (energy, timestep, norms of F)."""
    items = list(range(len(latents))) if items is None else items
    history = []
    embeddings = torch.stack([model.embed(w[None])[0] for w in latents]).detach()
    for iteration in range(s.iterations):
        before = embeddings
        embeddings = torch.stack([model.embed(w[None])[0] for w in latents]).detach()
        neighbours = before if s.neighbours == "previous" else embeddings
        forces, energy = [], 0.0
        for i in range(len(latents)):
            w = latents[i].clone().requires_grad_(True)
            e = model.embed(w[None])[0]
            others = [neighbours[j] for j in range(len(latents)) if j != i]
            pairs = pairwise_energy(e, others, s.repulsion_coefficient, s.repulsion_radius)
            guard = pairwise_energy(e, fixed, s.repulsion_coefficient, s.fixed_distance)
            (gradient,) = torch.autograd.grad(pairs + guard, w)
            others = [embeddings[j] for j in range(len(latents)) if j != i]
            energy += float(pairwise_energy(e.detach(), others, s.repulsion_coefficient, s.repulsion_radius)) / 2
            energy += float(guard.detach())
            forces.append(clipped(-gradient + s.latent_force * (model.latent_mean - latents[i]), s.force_clip))
        forces = torch.stack(forces)
        step = s.timestep
        if step < 0:
            step = -step * s.viscous_coefficient * smallest_distance(latents) / forces.norm(dim=1).max()
        noise = normal(seed, "langevin/noise", items, (latents.shape[1],), iteration).to(latents)
        history.append((energy, float(step), forces.norm(dim=1)))
        latents = latents + step / s.viscous_coefficient * forces
        latents = latents + step**0.5 / s.viscous_coefficient * s.random_force * noise
    return latents, history


def slow_dispersion(model, references, targets, s, seed, covariates=None):
    """Latents after `s.iterations`, identity by identity, and for each identity and iteration (energy, timestep)."""
    results, histories = [], []
    for item, (reference, target) in enumerate(zip(references, targets, strict=True)):
        shape = (s.variations, len(reference))
        latents = reference + s.initial_noise * normal(seed, "dispersion/initial", [item], shape)[0].to(references)
        if covariates is not None:
            amplitudes = uniform(seed, "dispersion/covariates", [item], (s.variations, len(covariates)))[0] - 0.5
            for a in range(s.variations):
                for m in range(len(covariates)):
                    latents[a] += float(amplitudes[a, m]) * covariates[m]
        history = []
        for iteration in range(s.iterations):
            w = latents.clone().requires_grad_(True)
            energy = w.new_zeros(())
            for a in range(s.variations):
                energy = energy + s.embedding_coefficient / 4 * angle(model.embed(w[a][None])[0], target) ** 2
                for b in range(a):
                    overlap = torch.relu(s.latent_radius - (w[a] - w[b]).norm())
                    energy = energy + s.latent_coefficient / 2 * overlap**2
            (gradient,) = torch.autograd.grad(energy, w)
            forces = -gradient + s.latent_global_coefficient * (model.latent_mean - latents)
            forces = torch.stack([clipped(force, s.force_clip) for force in forces])
            step = s.timestep
            if step < 0:
                step = -step * s.viscous_coefficient * smallest_distance(latents) / forces.norm(dim=1).max()
            noise = normal(seed, "dispersion/noise", [item], shape, iteration)[0].to(references)
            history.append((float(energy.detach()), float(step)))
            latents = latents + step / s.viscous_coefficient * (forces + s.random_force * noise)
        results.append(latents)
        histories.append(history)
    return torch.stack(results), histories


def relative_difference(value: torch.Tensor, truth: torch.Tensor) -> float:
    return float((value - truth).norm() / truth.norm())
