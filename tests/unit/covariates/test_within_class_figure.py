"""The figure of a within-class covariance shows faces at even steps from the mean latent, in W and W+."""

import numpy as np
import pytest
from PIL import Image
from tiny_stylegan2 import DIM, tiny_stylegan2

import show_within_class as job
from brownid.covariates.within_class import fit_within_class, save_within_class
from brownid.facemodel.loading import crop_for, render
from brownid.runtime.randomness import NoiseKey

LAYERS = 6
SETTINGS = {
    "seed": 3,
    "covariates": "photographs",
    "generator": {"factory": "tiny_stylegan2:make_tiny_stylegan2"},
    "generator_name": "tiny",
    "template": "two_eye",
    "image_size": 16,
}


def covariance(width):
    """Two directions of four persons in latents of this many numbers."""
    random = np.random.default_rng(width)
    directions = random.normal(size=(2, width))
    return fit_within_class(random.normal(size=(12, 2)) @ directions, np.repeat(np.arange(4), 3))


@pytest.mark.parametrize("width", [DIM, LAYERS * DIM])
def test_a_row_of_faces_goes_along_a_direction_through_the_mean_face(width):
    generator, found = tiny_stylegan2(noise="item"), covariance(width)
    faces = job._faces(generator, SETTINGS, found)
    assert faces.shape == (2, 5, 16, 16, 3) and faces.dtype == np.uint8
    np.testing.assert_array_equal(faces[0, 2], faces[1, 2])
    assert len({face.tobytes() for face in faces.reshape(10, -1)}) == 9
    latent = generator.latent_mean + 2 * found.variances[1] ** 0.5 * _of_generator(found.directions[1], generator)
    shown = render(
        generator, crop_for(generator, "two_eye", 16), latent[None].float(), NoiseKey(3, [0], iteration=None)
    )
    np.testing.assert_array_equal(shown[0], faces[1, 4])


def _of_generator(direction, generator):
    """A direction as the generator takes its latents: `[D]`, or `[L, D]`."""
    layered = generator.latent_mean.new_tensor(direction.reshape(-1, DIM))
    return layered[0] if len(layered) == 1 else layered


def test_the_job_draws_every_space_of_the_file(tmp_path):
    sizes = []
    for spaces in ({"w": DIM}, {"w": DIM, "w_plus": LAYERS * DIM}):
        file, figure = tmp_path / "within_class.h5", tmp_path / "figure.png"
        save_within_class(file, {space: covariance(width) for space, width in spaces.items()}, generator="tiny")
        job.show_within_class(SETTINGS, within_class=file, figure=figure)
        sizes.append(Image.open(figure).size)
    assert sizes[1][1] > 1.5 * sizes[0][1] and sizes[1][0] == sizes[0][0]
