"""The captures with the embedded world itself: sides in the picture are the sides of the classes."""

import numpy as np
import pytest

from brownid.databases.decoding import load_rgb
from brownid.facemodel.loading import load_generator
from brownid.samples import png
from brownid.verification.bins import read_bin
from brownid.world.benchmarks import capture_benchmark
from brownid.world.databases import capture_multipie
from brownid.world.people import GenuineWorld
from brownid.world.settings import BenchmarkCapture, MultipieCapture

SIDE = 32


@pytest.fixture(scope="module")
def world():
    return GenuineWorld(
        load_generator({"family": "procedural", "image_size": SIDE, "latent_dim": 512, "world_seed": 1}), seed=2
    )


def test_light_from_the_left_brightens_the_left_half_of_the_face(world, tmp_path):
    settings = MultipieCapture(first_person=0, subjects=2, cameras=("05_1",), expressions=("neutral",), nuisance_std=0)
    capture_multipie(world, tmp_path / "root", settings)
    face = slice(SIDE // 4, 3 * SIDE // 4)
    for picture in settings.pictures():
        brightness = load_rgb(tmp_path / "root" / picture.path)[face, face].mean(axis=(0, 2))
        difference = brightness[SIDE // 4 :].mean() - brightness[: SIDE // 4].mean()
        assert {"left": difference < -5, "right": difference > 5, "frontal": abs(difference) < 5}[picture.illumination]


def test_a_turned_head_leaves_the_background_on_the_side_that_the_nose_points_to(world, tmp_path):
    """The head turns about its own axis and is wider behind than in front, so the face's features move to that side."""
    settings = MultipieCapture(
        first_person=0,
        subjects=2,
        cameras=("13_0", "05_1", "04_1"),
        flashes=(7,),
        expressions=("neutral",),
        nuisance_std=0,
    )
    capture_multipie(world, tmp_path / "root", settings)
    pictures = settings.pictures()
    images = [load_rgb(tmp_path / "root" / picture.path).astype(float) for picture in pictures]
    for start in range(0, len(images), 3):
        left, frontal, right = images[start : start + 3]
        asymmetry = [np.abs(image - image[:, ::-1]).mean() for image in (left, frontal, right)]
        assert asymmetry[1] < min(asymmetry[0], asymmetry[2])
        # a head turned right is about the mirror image of the same head turned left
        assert np.abs(left - right[:, ::-1]).mean() < np.abs(left - right).mean()


def test_a_benchmark_of_the_world_holds_photographs_of_its_side(world, tmp_path):
    settings = BenchmarkCapture("cfp_fp", first_person=50, pairs=20, people=20)
    capture_benchmark(world, tmp_path / "cfp.bin", settings, seed=0)
    images, same = read_bin(tmp_path / "cfp.bin")
    decoded = np.stack([png.decode(image, SIDE) for image in images])
    assert len(same) == 20 and same.sum() == 10
    assert decoded.std(axis=(1, 2, 3)).min() > 10
