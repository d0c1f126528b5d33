"""A video of projection: each target above what descent shows at an iteration."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from brownid.recognition.embedding import as_bytes
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path

MOST_FRAMES, MOST_IMAGES, MOST_PIXELS = 250, 6, 256  # all frames are held: at most 600 MB
RATE = 25  # frames a second
LAST_FRAME_SECONDS = 2
ANIMATIONS = (".gif", ".png", ".webp")  # written by Pillow, where OpenCV has no encoder for .mp4


class ProgressVideo:
    """Collects frames while it watches a projection of the first images in a run; `save` writes them."""

    def __init__(self, targets: Tensor, items: Sequence[int], iterations: int) -> None:
        """`targets` `[n, 3, S, S]` in [-1, 1] with their item numbers; the first six are shown."""
        self.rows = {item: row for row, item in enumerate(items[:MOST_IMAGES])}
        self.targets = _columns(targets[:MOST_IMAGES])
        self.shown = self.targets.copy()  # images of batches that have not begun stand for themselves
        self.every = max(1, -(-iterations // MOST_FRAMES))
        self.iterations = iterations
        self.frames: list[np.ndarray] = []  # uint8 RGB [2S, nS, 3]

    def __call__(self, iteration: int, items: Sequence[int], images: Tensor, losses: Tensor) -> None:
        """Callback of `project`, after each iteration and at its end."""
        seen = [(row, self.rows[item]) for row, item in enumerate(items) if item in self.rows]
        if not seen or (iteration % self.every and iteration != self.iterations):
            return
        side = len(self.shown)
        drawn = _columns(images[[row for row, _ in seen]])
        for place, (_, column) in enumerate(seen):
            self.shown[:, column * side : (column + 1) * side] = drawn[:, place * side : (place + 1) * side]
        self.frames.append(np.concatenate([self.targets, self.shown]))

    def save(self, path: str | Path) -> None:
        """Write the frames: .mp4, or an animation .gif, .png or .webp, by the ending of the name.

        Raises `BrownidError` for any other ending, and where OpenCV was built without an encoder.
        """
        path = Path(path)
        check_ending(path)
        frames = [*self.frames, *[self.frames[-1]] * (LAST_FRAME_SECONDS * RATE)]
        with atomic_path(path) as temporary:
            if path.suffix == ".mp4":
                _write_mp4(frames, temporary, path)
            else:
                first, *others = map(Image.fromarray, frames)
                kind, drawn = path.suffix[1:].upper(), io.BytesIO()  # Pillow hides why it cannot write a file
                first.save(drawn, kind, save_all=True, append_images=others, duration=1000 // RATE, loop=0)
                temporary.write_bytes(drawn.getvalue())


def check_ending(path: str | Path) -> None:
    """Refuse a name whose ending is of no video that can be written."""
    if Path(path).suffix not in (".mp4", *ANIMATIONS):
        raise BrownidError(f"{path}: a video is written as .mp4, {', '.join(ANIMATIONS)}: choose one of these endings.")


def _columns(images: Tensor) -> np.ndarray:
    """Images `[n, 3, S, S]` side by side, uint8 RGB `[S, nS, 3]`, S being even and at most 256."""
    side = min(images.shape[-1], MOST_PIXELS) // 2 * 2
    if side != images.shape[-1]:
        images = F.interpolate(images, size=(side, side), mode="area")
    return np.concatenate(list(as_bytes(images)), axis=1)


def _write_mp4(frames: Sequence[np.ndarray], temporary: Path, path: Path) -> None:
    height, width = frames[0].shape[:2]
    with TemporaryDirectory(dir=path.parent, prefix=".video-") as folder:  # OpenCV wants the ending in the name
        inside = Path(folder) / "video.mp4"
        writer = cv2.VideoWriter(str(inside), int.from_bytes(b"mp4v", "little"), RATE, (width, height))
        if not writer.isOpened():
            raise BrownidError(f"{path}: this OpenCV cannot write .mp4 files; choose a name that ends in .gif.")
        for frame in frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        if int(cv2.VideoCapture(str(inside)).get(cv2.CAP_PROP_FRAME_COUNT)) != len(frames):  # it does not say so
            raise BrownidError(f"{path}: the video could not be written whole; make room there, then run again.")
        os.replace(inside, temporary)
