"""The video of a projection: targets above, what descent shows below; written whole, by the ending of its name."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from brownid.covariates.video import LAST_FRAME_SECONDS, MOST_IMAGES, RATE, ProgressVideo
from brownid.runtime.errors import BrownidError

TARGETS = torch.linspace(-1, 1, 8).view(8, 1, 1, 1).expand(8, 3, 8, 8)
BLACK = -torch.ones(8, 3, 8, 8)


def recorded(iterations=4):
    video = ProgressVideo(TARGETS, range(8), iterations)
    for items in (range(4), range(4, 8)):
        for iteration in range(iterations + 1):
            video(iteration, items, BLACK[: len(items)], torch.zeros(len(items)))
    return video


def test_the_first_images_are_shown_below_their_targets():
    video = recorded()
    assert len(video.frames) == 2 * 5 and video.frames[0].shape == (16, 8 * MOST_IMAGES, 3)
    assert (video.frames[0][8:, :32] == 0).all()
    np.testing.assert_array_equal(video.frames[0][8:, 32:], video.frames[0][:8, 32:])  # their batch has not begun
    assert (video.frames[-1][8:] == 0).all()


def test_long_projections_are_shown_in_steps_and_to_the_end():
    frames = len(recorded(iterations=1000).frames)
    assert frames == 2 * 251


@pytest.mark.parametrize("name", ["video.mp4", "video.gif", "video.png"])
def test_a_video_is_written_by_the_ending_of_its_name(tmp_path, name):
    video = recorded()
    video.save(tmp_path / name)
    if name.endswith("mp4"):
        frames = int(cv2.VideoCapture(str(tmp_path / name)).get(cv2.CAP_PROP_FRAME_COUNT))
        assert frames == len(video.frames) + LAST_FRAME_SECONDS * RATE
    else:
        with Image.open(tmp_path / name) as image:
            assert image.n_frames > 1 and image.size == (48, 16)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_video_that_opencv_could_not_write_whole_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda path: type("Cut", (), {"get": lambda self, _: 3.0})())
    with pytest.raises(BrownidError, match=r"video\.mp4: the video could not be written whole; make room there"):
        recorded().save(tmp_path / "video.mp4")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(BrownidError, match=r"video\.avi: a video is written as \.mp4, \.gif"):
        recorded().save(tmp_path / "video.avi")
    monkeypatch.setattr(cv2.VideoWriter, "isOpened", lambda self: False, raising=False)
    monkeypatch.setattr(cv2, "VideoWriter", lambda *_: type("Closed", (), {"isOpened": lambda self: False})())
    monkeypatch.setattr(cv2, "VideoWriter_fourcc", lambda *_: 0, raising=False)
    with pytest.raises(BrownidError, match=r"cannot write \.mp4 files; choose a name that ends in \.gif"):
        recorded().save(tmp_path / "video.mp4")
    assert not list(tmp_path.iterdir())
