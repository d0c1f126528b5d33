"""MTCNN: proposals in an image pyramid, then two networks that refine them (parameter names of facenet-pytorch).

Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", IEEE Signal
Processing Letters, 2016.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.alignment.faces import (
    Detection,
    corrected,
    enlarged,
    resized,
    squared,
    suppress_overlaps,
)
from brownid.alignment.settings import MTCNNSettings
from brownid.alignment.warp import check_colour_image

PROPOSAL_SIDE = 12  # pixels that one output of P-Net sees
PROPOSAL_STRIDE = 2


class PNet(nn.Module):
    """Images `[1, 3, H, W]` to probabilities `[1, h, w]` and corrections `[1, 4, h, w]`, one for every second pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.pool1 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1 = nn.Conv2d(32, 2, 1)
        self.conv4_2 = nn.Conv2d(32, 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self.pool1(self.prelu1(self.conv1(images)))
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_1(x).softmax(1)[:, 1], self.conv4_2(x)


class RNet(nn.Module):
    """Crops `[B, 3, 24, 24]` to probabilities `[B]` and corrections `[B, 4]`."""

    side = 24

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1 = nn.Linear(128, 2)
        self.dense5_2 = nn.Linear(128, 4)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        x = self.pool1(self.prelu1(self.conv1(crops)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.prelu4(self.dense4(_flat(self.prelu3(self.conv3(x)))))
        return self.dense5_1(x).softmax(1)[:, 1], self.dense5_2(x)


class ONet(nn.Module):
    """Crops `[B, 3, 48, 48]` to probabilities `[B]`, corrections `[B, 4]` and landmarks `[B, 2, 5]`.

    Landmarks are x, then y, of eyes, nose and corners of the mouth as shares of the crop, left in the image first.
    """

    side = 48

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.pool3 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1 = nn.Linear(256, 2)
        self.dense6_2 = nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.pool1(self.prelu1(self.conv1(crops)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.pool3(self.prelu3(self.conv3(x)))
        x = self.prelu5(self.dense5(_flat(self.prelu4(self.conv4(x)))))
        return self.dense6_1(x).softmax(1)[:, 1], self.dense6_2(x), self.dense6_3(x).view(-1, 2, 5)


def _flat(x: Tensor) -> Tensor:
    """`[B, C, H, W]` as `[B, W · H · C]`: the published dense layers count columns first, then rows, then channels."""
    return torch.flatten(x.permute(0, 3, 2, 1), 1)


PROPOSAL_THRESHOLD, REFINEMENT_THRESHOLD = 0.6, 0.7
OVERLAP_IN_LEVEL, OVERLAP = 0.5, 0.7
PYRAMID_FACTOR = 0.709  # √½: every level has half the pixels
CROPS_AT_ONCE = 512
BLACK = (0 - 127.5) / 128


class MTCNN:
    """A `Detector`. `threshold` is the least score of the last network.

    Photographs are shrunk to `max_side`; there, faces from `smallest_face` pixels on are looked for. Crops that reach
    beyond the photograph are filled with black, as in the authors' program.
    """

    def __init__(
        self,
        pnet: PNet,
        rnet: RNet,
        onet: ONet,
        settings: MTCNNSettings,
    ) -> None:
        for network in (pnet, rnet, onet):
            network.requires_grad_(False).eval()
        self.pnet, self.rnet, self.onet = pnet, rnet, onet
        self.device = self.pnet.conv1.weight.device
        self.threshold, self.max_side = settings.threshold, settings.max_side
        self.smallest_face = settings.smallest_face

    @classmethod
    def load(cls, pnet: Path, rnet: Path, onet: Path, settings: MTCNNSettings, device: str = "cpu") -> MTCNN:
        """The cascade with the weights of three files; BrownidError where one does not fit its network."""
        from brownid.weights.state_dict import load_strictly, read_weights

        networks = PNet(), RNet(), ONet()
        for path, network in zip((pnet, rnet, onet), networks, strict=True):
            weights = read_weights(path, network.state_dict())
            load_strictly(network, weights, f"{path} (as {type(network).__name__} of MTCNN)")
            network.to(device)
        return cls(*networks, settings)

    @torch.inference_mode()
    def detect(self, image: np.ndarray) -> list[Detection]:
        """The faces of a uint8 RGB photograph `[H, W, 3]`, best score first."""
        check_colour_image(image)
        small, ratio = resized(image, min(self.max_side, max(image.shape[:2])))
        # a copy, since decoded photographs are not writable, which torch's tensors must be
        pixels = torch.from_numpy(np.array(small, order="C")).to(self.device).permute(2, 0, 1)[None]
        pixels = (pixels.float() - 127.5) / 128
        boxes = self._refined(pixels, self._proposals(pixels))
        boxes, scores, points = self._final(pixels, boxes)
        return [
            # the edge of a pixel is half a pixel before its centre, where positions are counted from
            Detection(
                tuple(enlarged(box.reshape(2, 2) - 0.5, ratio).ravel().tolist()), float(score), enlarged(five, ratio)
            )
            for box, score, five in zip(boxes, scores, points, strict=True)
        ]

    def _proposals(self, pixels: Tensor) -> np.ndarray:
        """P-Net at every level of the pyramid: squares `[n, 4]` that may be faces."""
        sizes = pyramid_sizes(pixels.shape[2], pixels.shape[3], self.smallest_face)
        found = [self._proposals_at(pixels, size) for size in sizes]
        boxes, scores, corrections = (np.concatenate(parts) for parts in zip(*found, _nothing(), strict=True))
        kept = suppress_overlaps(boxes, scores, OVERLAP)
        return squared(corrected(boxes[kept], corrections[kept]))

    def _proposals_at(self, pixels: Tensor, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes `[n, 4]`, scores and corrections in the image resized to `size` (height, width); boxes in full size."""
        probabilities, corrections = self.pnet(F.adaptive_avg_pool2d(pixels, size))
        rows, columns = torch.nonzero(probabilities[0] >= PROPOSAL_THRESHOLD, as_tuple=True)
        scores = probabilities[0, rows, columns].double().cpu().numpy()
        corrections = corrections[0, :, rows, columns].T.double().cpu().numpy()
        first = PROPOSAL_STRIDE * torch.stack([columns, rows], 1).double().cpu().numpy()
        ratio = np.array((pixels.shape[3] / size[1], pixels.shape[2] / size[0]))
        boxes = np.concatenate([first * ratio, (first + PROPOSAL_SIDE) * ratio], axis=1)
        kept = suppress_overlaps(boxes, scores, OVERLAP_IN_LEVEL)
        return boxes[kept], scores[kept], corrections[kept]

    def _refined(self, pixels: Tensor, boxes: np.ndarray) -> np.ndarray:
        """R-Net on the proposals: the squares that stay, their edges corrected."""
        scores, corrections = _outputs(self.rnet, pixels, boxes)
        passed = scores > REFINEMENT_THRESHOLD
        boxes, scores, corrections = boxes[passed], scores[passed], corrections[passed]
        kept = suppress_overlaps(boxes, scores, OVERLAP)
        return squared(corrected(boxes[kept], corrections[kept]))

    def _final(self, pixels: Tensor, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """O-Net: boxes `[n, 4]`, scores `[n]` and landmarks `[n, 5, 2]` of the faces, best score first."""
        scores, corrections, landmarks = _outputs(self.onet, pixels, boxes)
        passed = scores > self.threshold
        boxes, scores, corrections, landmarks = boxes[passed], scores[passed], corrections[passed], landmarks[passed]
        # the network learned landmarks from the first pixel's centre on, so these are positions of centres already
        points = boxes[:, None, :2] + landmarks.transpose(0, 2, 1) * (boxes[:, 2:] - boxes[:, :2])[:, None]
        boxes = corrected(boxes, corrections)
        kept = suppress_overlaps(boxes, scores, OVERLAP, of_smaller=True)
        return boxes[kept], scores[kept], points[kept]


def pyramid_sizes(height: int, width: int, smallest_face: int) -> list[tuple[int, int]]:
    """(height, width) of each level, the finest first: there a face of `smallest_face` pixels fills P-Net's window."""
    sizes, scale = [], PROPOSAL_SIDE / smallest_face
    while min(height, width) * scale >= PROPOSAL_SIDE:
        sizes.append((round(height * scale), round(width * scale)))
        scale *= PYRAMID_FACTOR
    return sizes


def _outputs(network: RNet | ONet, pixels: Tensor, boxes: np.ndarray) -> list[np.ndarray]:
    """Outputs of the network for each square, `[n, ...]` float64."""
    batches = [boxes[start : start + CROPS_AT_ONCE] for start in range(0, len(boxes), CROPS_AT_ONCE)] or [boxes]
    outputs = [network(_crops(pixels, batch, network.side)) for batch in batches]
    return [torch.cat(parts).double().cpu().numpy() for parts in zip(*outputs, strict=True)]


def _crops(pixels: Tensor, boxes: np.ndarray, side: int) -> Tensor:
    """The squares `[n, 4]` of the image at `side` pixels, `[n, 3, side, side]`; black beyond the image."""
    height, width = pixels.shape[2:]
    crops = pixels.new_empty(len(boxes), 3, side, side)
    for crop, (left, top, right, bottom) in zip(crops, boxes.astype(int).tolist(), strict=True):
        part = pixels[0, :, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        beyond = (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0))
        if 0 in part.shape:
            crop.fill_(BLACK)
        else:
            crop.copy_(F.adaptive_avg_pool2d(F.pad(part, beyond, value=BLACK), side))
    return crops


def _nothing() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """No boxes, scores and corrections."""
    return np.empty((0, 4)), np.empty(0), np.empty((0, 4))
