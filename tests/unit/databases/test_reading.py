"""Reading: damaged images are listed with their paths, too many of them stop the stage."""

import cv2
import numpy as np
import pytest
from PIL import Image

from brownid.alignment.templates import template
from brownid.databases.decoding import load_rgb
from brownid.databases.index import Sample
from brownid.databases.reading import read_images, resize, squared, write_failures
from brownid.runtime.errors import BrownidError


@pytest.fixture
def database(tmp_path):
    """Ten 8x8 images of five persons, image i in the grey of 10 i; number 3 is missing, 4 truncated, 5 is text."""
    samples = [Sample(f"k{i}", f"{i}.png", i // 2) for i in range(10)]
    noise = np.random.default_rng(0).integers(0, 10, (8, 8, 3), np.uint8)
    for i, sample in enumerate(samples):
        Image.fromarray(10 * i + noise).save(tmp_path / sample.path)
    (tmp_path / "3.png").unlink()
    (tmp_path / "4.png").write_bytes((tmp_path / "4.png").read_bytes()[:80])
    (tmp_path / "5.png").write_text("nothing to see")
    return tmp_path, samples


def test_what_cannot_be_read_is_listed_and_the_rest_is_kept(database):
    root, samples = database
    images, kept, failures = read_images(samples, root, 8, maximum_failed_share=0.3)
    assert images.shape == (7, 8, 8, 3)
    assert [sample.key for sample in kept] == ["k0", "k1", "k2", "k6", "k7", "k8", "k9"]
    assert [path for path, _ in failures] == ["3.png", "4.png", "5.png"]
    assert failures[0][1] == "the file is missing"
    np.testing.assert_array_equal(images[3], load_rgb(root / "6.png"))


def test_more_failures_than_allowed_stop_with_the_first_of_them(database):
    root, samples = database
    with pytest.raises(BrownidError, match=r"3 of 10 images .* 0\.29 .*3\.png: the file is missing"):
        read_images(samples, root, 8, maximum_failed_share=0.29)


def test_resizing_averages_and_leaves_the_right_side_alone():
    image = np.zeros((4, 4, 3), np.uint8)
    image[::2] = 200
    assert resize(image, 4) is image
    np.testing.assert_array_equal(resize(image, 2), np.full((2, 2, 3), 100))


TALL = np.random.default_rng(1).integers(1, 255, (112, 96, 3), np.uint8)
# where the crops of 96 x 112 pixels have their landmarks that SphereFace's and CosFace's authors align to
SPHEREFACE = np.array(
    [(30.2946, 51.6963), (65.5318, 51.5014), (48.0252, 71.7366), (33.5493, 92.3655), (62.7299, 92.2041)]
)


def test_an_image_that_is_not_square_names_the_key_that_says_how():
    for image in (TALL, TALL.swapaxes(0, 1)):
        with pytest.raises(BrownidError, match=r"96 x 112|112 x 96 pixels.* set `not_square` .*pad, stretch or crop"):
            resize(image, 112)
    with pytest.raises(BrownidError, match="not_square is 'fill'; it is one of pad, stretch, crop"):
        resize(TALL, 112, "fill")
    with pytest.raises(BrownidError, match="1 x 60000 pixels, which is no crop of a face"):
        resize(np.zeros((60000, 1, 3), np.uint8), 112, "pad")


def test_padding_is_black_and_about_the_centre_so_that_narrow_crops_lie_on_the_arcface_template():
    padded = squared(TALL, "pad")
    np.testing.assert_array_equal(padded[:, 8:104], TALL)
    assert not padded[:, :8].any() and not padded[:, 104:].any()
    np.testing.assert_allclose(SPHEREFACE + np.array((8, 0)), template("arcface", 112))
    assert squared(TALL[:, :95], "pad").shape == (112, 112, 3)


def test_stretching_and_cutting_keep_the_centre():
    assert squared(TALL, "stretch").shape == (112, 112, 3)
    np.testing.assert_array_equal(squared(TALL, "crop"), TALL[8:104])
    np.testing.assert_array_equal(squared(TALL.swapaxes(0, 1), "crop"), TALL.swapaxes(0, 1)[:, 8:104])
    flat = np.full((112, 96, 3), 77, np.uint8)
    for how in ("stretch", "crop"):
        np.testing.assert_array_equal(resize(flat, 56, how), np.full((56, 56, 3), 77))
    square = TALL[:96]
    assert squared(square, "pad") is square


def test_an_image_in_which_no_face_is_found_is_a_failure(database):
    root, samples = database

    def align(image, sample):
        if sample.key == "k6":
            raise BrownidError("no face was detected")
        return image[:4, :4]

    images, kept, failures = read_images(samples[6:], root, 4, 0.5, align)
    assert images.shape == (3, 4, 4, 3)
    assert [sample.key for sample in kept] == ["k7", "k8", "k9"]
    assert failures == [("6.png", "no face was detected")]


@pytest.mark.parametrize("error", [cv2.error("too large"), MemoryError(), np.linalg.LinAlgError("no convergence")])
def test_an_image_that_a_library_cannot_align_is_a_failure(database, error):
    root, samples = database

    def align(image, sample):
        if sample.key == "k6":
            raise error
        return image

    _, kept, failures = read_images(samples[6:], root, 8, 0.5, align)
    assert [sample.key for sample in kept] == ["k7", "k8", "k9"]
    assert failures == [("6.png", f"its 8 x 8 pixels cannot be aligned ({str(error) or 'MemoryError'})")]


def test_failures_are_written_as_a_table(tmp_path):
    write_failures(tmp_path / "none.csv", [])
    write_failures(tmp_path / "some.csv", [("a,b.png", "it is damaged")])
    assert (tmp_path / "none.csv").read_text() == "path,reason\n"
    assert (tmp_path / "some.csv").read_text() == 'path,reason\n"a,b.png",it is damaged\n'
