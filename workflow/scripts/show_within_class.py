"""Show a within-class covariance: its spectrum, and faces along its first directions."""

from brownid.runtime.process import default_device, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from brownid.covariates.within_class import WithinClass, load_within_class, stored_spaces
from brownid.facemodel.loading import crop_for, load_generator, render_in_batches
from brownid.figures.within_class import Spectrum, plot_within_class
from brownid.generators.protocol import Generator, device_of
from brownid.runtime.randomness import NoiseKey

SHOWN_DIRECTIONS = 8
STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # standard deviations along a direction
HEADINGS = {"w": "W", "w_plus": "W+"}


def show_within_class(settings: Mapping[str, Any], *, within_class: Path, figure: Path) -> None:
    """Plot each within-class covariance of a file, in W and in W+ where there is one.

    Faces are the generator's, in the crop of the aligned images; all have the same noise.
    """
    generator = cast(Generator, load_generator(settings["generator"], default_device()))
    spectra = {}
    for space in stored_spaces(within_class):
        found = load_within_class(within_class, generator=settings["generator_name"], space=space)
        faces = _faces(generator, settings, found)
        spectra[HEADINGS[space]] = Spectrum(found.eigenvalues, found.variances, found.shrinkage, faces, STEPS)
        about = f"{settings['covariates']}: within-class covariance of {found.persons} persons, {found.images} images"
    plot_within_class(spectra, figure, title=about)


def _faces(generator: Generator, settings: Mapping[str, Any], found: WithinClass) -> np.ndarray:
    """Faces uint8 `[r, c, S, S, 3]` of the first directions, at the steps from the mean latent."""
    shown = slice(SHOWN_DIRECTIONS)
    deviations = np.sqrt(found.variances[shown, None]) * found.directions[shown]  # [r, D] or [r, L · D]
    moves = torch.tensor(STEPS)[:, None] * torch.from_numpy(deviations)[:, None]  # [r, c, ...]
    mean = generator.latent_mean
    latents = mean + moves.flatten(0, 1).unflatten(1, (-1, len(mean))).to(mean)  # [r · c, L, D], L = 1 in W
    if latents.shape[1] == 1:
        latents = latents[:, 0]
    crop = crop_for(generator, settings["template"], settings["image_size"])
    key = NoiseKey(settings["seed"], [0] * len(latents), iteration=None)
    images = np.concatenate(list(render_in_batches(generator, crop, latents.to(device_of(generator)), key)))
    return images.reshape(len(deviations), len(STEPS), *images.shape[1:])


if __name__ == "__main__":
    run(show_within_class, snakemake)
