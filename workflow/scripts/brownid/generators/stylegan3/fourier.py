"""The input of the synthesis: a picture of plane waves that turns and shifts with w (Karras et al. 2021, section 3.2).

Positions are in widths of the image, (0, 0) is its centre, x runs right and y down. What the waves are rotated and
translated by, the face in the image is rotated and translated by, because all that follows is equivariant.
"""

import math

import torch
from torch import Tensor, nn

from brownid.generators.stylegan3.dense import Dense
from brownid.generators.stylegan3.schedule import Signal


class SynthesisInput(nn.Module):
    """w `[B, W]` to the first signal `[B, C, N, N]`: waves of fixed frequency and phase, mixed by `weight`.

    From w comes a pose (cos, sin, x, y), of which the first two are normalised. The buffer `transform` `[3, 3]` is the
    user's own: where a pixel (x, y, 1) of the image reads from, so the inverse of what the image is to do; waves that
    it makes finer than the sampling rate holds fade out. `pose` `[4]`, where it is not None, replaces what w says; it
    is not part of the state. Parameters and waves begin as zeros.
    """

    def __init__(self, w_dim: int, signal: Signal) -> None:
        super().__init__()
        self.size, self.rate, self.bandwidth = signal.size, signal.rate, signal.cutoff
        self.weight = nn.Parameter(torch.zeros(signal.channels, signal.channels))
        self.affine = Dense(w_dim, 4)
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", torch.zeros(signal.channels, 2))  # cycles over the width of the image
        self.register_buffer("phases", torch.zeros(signal.channels))  # turns
        self.register_buffer("pose", None, persistent=False)

    def forward(self, w: Tensor) -> Tensor:
        matrix = self.reading_positions(w)  # [B, 2, 3]
        freqs = self.freqs @ matrix[:, :, :2]  # [B, C, 2]
        phases = self.phases + (self.freqs @ matrix[:, :, 2:]).squeeze(2)  # [B, C]
        fading = (freqs.norm(dim=2) - self.bandwidth) / (self.rate / 2 - self.bandwidth)
        amplitudes = (1 - fading).clamp(0, 1)  # [B, C]
        centres = (torch.arange(self.size, device=w.device, dtype=w.dtype) + 0.5 - self.size / 2) / self.rate
        along_x = centres[:, None] * freqs[:, None, :, 0]  # [B, N, C], turns
        along_y = centres[:, None] * freqs[:, None, :, 1] + phases[:, None]
        waves = torch.sin(2 * math.pi * (along_y[:, :, None] + along_x[:, None])) * amplitudes[:, None, None]
        mixed = waves @ (self.weight / math.sqrt(len(self.weight))).T  # [B, N, N, C]
        return mixed.permute(0, 3, 1, 2)

    def pose_of(self, w: Tensor) -> Tensor:
        """(cos, sin, x, y) `[B, 4]`, as predicted from w; the translation is in widths of the image."""
        pose = self.affine(w)
        return pose / pose[:, :2].norm(dim=1, keepdim=True)

    def reading_positions(self, w: Tensor) -> Tensor:
        """The affine map `[B, 2, 3]` from a position in the image to one in the field of waves."""
        pose = self.pose_of(w) if self.pose is None else self.pose.expand(len(w), 4)
        cosine, sine, x, y = pose.unbind(dim=1)
        rotation = torch.stack([cosine, -sine, sine, cosine], dim=1).view(-1, 2, 2)
        shift = rotation @ torch.stack([-x, -y], dim=1).unsqueeze(2)  # translated first, then rotated
        return torch.cat([rotation, shift], dim=2) @ self.transform
