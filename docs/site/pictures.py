"""Draw the pictures of docs/concepts.md: the algorithms of the library on a face model that can be seen whole.

python docs/site/pictures.py    # writes docs/images/{langevin,dispersion,hyperface}.png
"""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import numpy as np
import torch
from matplotlib import pyplot as plt
from PIL import Image
from torch.nn import functional as F

from brownid import (
    DispersionSettings,
    LangevinSettings,
    PackingSettings,
    WithinClassSettings,
    dispersion,
    langevin,
    pack,
)

IMAGES = Path(__file__).parents[1] / "images"
BLUE, ORANGE, GREY = "#1f5fa8", "#d1641f", "#9aa3ab"


class Plane:
    """A face model whose latents are points of a plane; the embedding is the direction to a point seen from above."""

    latent_mean = torch.zeros(2)

    def render(self, latents: torch.Tensor) -> torch.Tensor:
        """Images of one pixel, which only shows that a face model has some."""
        return latents.new_zeros(len(latents), 3, 1, 1)

    def embed(self, latents: torch.Tensor) -> torch.Tensor:
        """Unit embeddings `[B, 3]`."""
        return F.normalize(torch.cat([latents, torch.ones_like(latents[:, :1])], dim=1), dim=1)


def axes(columns: int, titles: list[str]) -> tuple[plt.Figure, np.ndarray]:
    """A row of square plots without ticks."""
    figure, plots = plt.subplots(1, columns, figsize=(3.1 * columns, 3.3), constrained_layout=True)
    for plot, title in zip(plots, titles, strict=True):
        plot.set_title(title, fontsize=10)
        plot.set_aspect("equal")
        plot.set_xticks([])
        plot.set_yticks([])
    return figure, plots


def save(figure: plt.Figure, name: str) -> None:
    """Write a picture with few colours: a small file."""
    path = IMAGES / f"{name}.png"
    figure.savefig(path, dpi=130, bbox_inches="tight", pad_inches=0.08)
    plt.close(figure)
    with Image.open(path) as image:
        image.convert("RGB").quantize(64).save(path, optimize=True)
    print(path.name, path.stat().st_size)


def draw_langevin() -> None:
    """Identities before and after, and the angle to the nearest neighbour."""
    start = 0.35 * torch.randn(40, 2, generator=torch.Generator().manual_seed(3))
    settings = LangevinSettings(iterations=60, repulsion_radius=0.4, latent_force=0.05, timestep=0.2, random_force=0.01)
    states = [start] + [
        langevin(Plane(), start, LangevinSettings(**{**vars(settings), "iterations": n}), seed=1).latents
        for n in range(2, 61, 2)
    ]
    nearest = langevin(Plane(), start, settings, seed=1).statistics["nn_mean"]
    figure, plots = axes(
        3, ["start: latents of 40 identities", "after 60 iterations", "angle to the nearest neighbour"]
    )
    for plot, latents in zip(plots[:2], (states[0], states[-1]), strict=True):
        plot.scatter(*latents.T, s=26, color=BLUE, zorder=3)
        plot.plot(0, 0, "+", color=ORANGE, ms=10)
    for path in torch.stack(states).transpose(0, 1):
        plots[1].plot(*path.T, color=GREY, lw=0.7)
    reach = float(states[-1].abs().max()) * 1.15
    for plot in plots[:2]:
        plot.set_xlim(-reach, reach)
        plot.set_ylim(-reach, reach)
    plots[2].plot(nearest, color=BLUE)
    plots[2].axhline(settings.repulsion_radius, color=ORANGE, lw=1, ls="--")
    plots[2].text(60, settings.repulsion_radius, "$d_0$", color=ORANGE, va="bottom", ha="right")
    plots[2].set_aspect("auto")
    plots[2].set_ylim(0, settings.repulsion_radius * 1.15)
    plots[2].set_xticks([0, 30, 60])
    plots[2].set_yticks([0, 0.2, 0.4])
    plots[2].set_xlabel("iteration", fontsize=9)
    plots[2].set_ylabel("mean, radians", fontsize=9)
    save(figure, "langevin")


def draw_dispersion() -> None:
    """Starts and ends of the variations of one identity: Dispersion, DisCo and within-class."""
    model, reference = Plane(), torch.tensor([[0.55, 0.25]])
    embedding = model.embed(reference)
    shared = {"variations": 40, "iterations": 20, "latent_radius": 0.35, "embedding_coefficient": 4.0, "timestep": 0.05}
    shared |= {"random_force": 0.01, "latent_global_coefficient": 0.1}
    pose = torch.tensor([[0.75, 0.5]])
    root = torch.tensor([[0.24, 0.16], [-0.05, 0.075]])
    kinds = {
        "Dispersion": (DispersionSettings(**shared, initial_noise=0.03), {}),
        "DisCo, one covariate": (DispersionSettings(**shared, initial_noise=0.03), {"covariates": pose}),
        "within-class": (WithinClassSettings(**shared, initial_noise=0.0), {"within_class": root}),
    }
    figure, plots = axes(3, list(kinds))
    for plot, (settings, directions) in zip(plots, kinds.values(), strict=True):
        starts = dispersion(
            model, reference, embedding, type(settings)(**{**vars(settings), "iterations": 0}), seed=2, **directions
        ).latents[0]
        ends = dispersion(model, reference, embedding, settings, seed=2, **directions).latents[0]
        plot.scatter(*starts.T, s=14, color=GREY, label="start")
        plot.scatter(*ends.T, s=20, color=BLUE, label="end")
        plot.plot(*reference[0], marker="*", ms=13, color=ORANGE, ls="", label="reference")
        plot.set_xlim(-0.1, 1.2)
        plot.set_ylim(-0.4, 0.9)
    plots[0].legend(fontsize=8, loc="upper left", frameon=False)
    save(figure, "dispersion")


def draw_hyperface() -> None:
    """References on a sphere before and after the packing, seen from the front."""
    generator = torch.Generator().manual_seed(5)
    faces = F.normalize(
        torch.randn(60, 3, generator=generator) * torch.tensor([0.6, 0.6, 0.2]) + torch.tensor([0, 0, 1.0])
    )
    start = faces[:30]
    settings = PackingSettings(iterations=3000, decay_every=500, gallery_coefficient=0.5)
    packed = {
        "start: embeddings of 30 faces": start,
        r"packed near the gallery ($\alpha$ = 0.5)": pack(start, faces, settings, seed=1).references,
        r"packed without a gallery ($\alpha$ = 0)": pack(start, None, settings, seed=1).references,
    }
    figure, plots = axes(3, list(packed))
    for plot, references in zip(plots, packed.values(), strict=True):
        plot.add_patch(plt.Circle((0, 0), 1, fill=False, color=GREY, lw=1))
        plot.scatter(*faces.T[:2], s=10, color=GREY, label="gallery")
        front = references[:, 2] >= 0
        plot.scatter(*references[front].T[:2], s=26, color=BLUE, label="reference", zorder=3)
        plot.scatter(*references[~front].T[:2], s=26, facecolors="none", edgecolors=BLUE, label="on the far side")
        plot.set_xlim(-1.1, 1.1)
        plot.set_ylim(-1.1, 1.1)
        plot.axis("off")
    plots[2].legend(fontsize=7, loc="lower right", frameon=False, bbox_to_anchor=(1.08, -0.08))
    save(figure, "hyperface")


if __name__ == "__main__":
    draw_langevin()
    draw_dispersion()
    draw_hyperface()
