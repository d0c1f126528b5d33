"""The IR networks of AdaFace, with the parameter names and shapes of the published checkpoints.

"AdaFace: Quality Adaptive Margin for Face Recognition" (Kim et al., CVPR 2022). Two things to know: the input is BGR,
and the output is a pair, the unit embedding and its norm.
"""

import torch
from torch import Tensor, nn

from brownid.recognition.iresnet import WIDTHS, final_side

DEPTHS = {"ir_18": (2, 2, 2, 2), "ir_34": (3, 4, 6, 3), "ir_50": (3, 4, 14, 3), "ir_101": (3, 13, 30, 3)}


class AdaFaceIR(nn.Module):
    """BGR images `[B, 3, side, side]` in [-1, 1] to (unit embeddings `[B, embedding_dim]`, norms `[B, 1]`)."""

    colour_order = "BGR"

    def __init__(self, architecture: str, side: int = 112, embedding_dim: int = 512):
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.PReLU(WIDTHS[0])
        )
        units, incoming = [], WIDTHS[0]
        for width, depth in zip(WIDTHS, DEPTHS[architecture], strict=True):
            units += [BasicUnit(incoming if i == 0 else width, width, 2 if i == 0 else 1) for i in range(depth)]
            incoming = width
        self.body = nn.Sequential(*units)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(incoming),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(incoming * final_side(side, halvings=4) ** 2, embedding_dim),
            nn.BatchNorm1d(embedding_dim, affine=False),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.output_layer(self.body(self.input_layer(images)))
        norms = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        return features / norms.clamp_min(1e-12), norms


class BasicUnit(nn.Module):
    """The residual unit BN-Conv-BN-PReLU-Conv-BN; the shortcut of equal widths only drops pixels."""

    def __init__(self, incoming: int, width: int, stride: int):
        super().__init__()
        if incoming == width:
            self.shortcut_layer = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(incoming, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(incoming),
            nn.Conv2d(incoming, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.PReLU(width),
            nn.Conv2d(width, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)
