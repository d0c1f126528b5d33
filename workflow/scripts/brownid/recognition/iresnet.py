"""The improved residual networks of ArcFace, with the parameter names and shapes of the published checkpoints.

Architecture: "ArcFace: Additive Angular Margin Loss" (Deng et al., CVPR 2019), section 3.2: residual units
BN-Conv-BN-PReLU-Conv-BN, and the embedding head BN-Dropout-FC-BN. Names: those of `arcface_torch` and of the
nizhib conversion, which share their keys.
"""

import torch
from torch import Tensor, nn

DEPTHS = {
    "iresnet18": (2, 2, 2, 2),
    "iresnet34": (3, 4, 6, 3),
    "iresnet50": (3, 4, 14, 3),
    "iresnet100": (3, 13, 30, 3),
}
WIDTHS = (64, 128, 256, 512)


class IResNet(nn.Module):
    """RGB images `[B, 3, side, side]` in [-1, 1] to unnormalised embeddings `[B, embedding_dim]`.

    The four stages halve the side four times (rounding up); `fc` reads what is left, so its shape depends on `side`.
    `train_scale=False` keeps the scale of the last batch-norm at one, as arcface_torch does.
    """

    colour_order = "RGB"

    def __init__(
        self,
        architecture: str,
        side: int = 112,
        embedding_dim: int = 512,
        *,
        epsilon: float = 1e-5,
        dropout: float = 0.0,
        train_scale: bool = False,
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0], eps=epsilon)
        self.prelu = nn.PReLU(WIDTHS[0])
        incoming = WIDTHS[0]
        for stage, (width, depth) in enumerate(zip(WIDTHS, DEPTHS[architecture], strict=True), start=1):
            blocks = [IBasicBlock(incoming, width, 2, epsilon)]
            blocks += [IBasicBlock(width, width, 1, epsilon) for _ in range(depth - 1)]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            incoming = width
        self.bn2 = nn.BatchNorm2d(incoming, eps=epsilon)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(incoming * final_side(side, halvings=4) ** 2, embedding_dim)
        self.features = nn.BatchNorm1d(embedding_dim, eps=epsilon)
        self.features.weight.requires_grad_(train_scale)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.1)  # the batch-norm behind each convolution sets the scale

    def forward(self, images: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(images)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.dropout(torch.flatten(self.bn2(x), 1))
        return self.features(self.fc(x))


class IBasicBlock(nn.Module):
    """The residual unit BN-Conv-BN-PReLU-Conv-BN; the second convolution carries the stride."""

    def __init__(self, incoming: int, width: int, stride: int, epsilon: float):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(incoming, eps=epsilon)
        self.conv1 = nn.Conv2d(incoming, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width, eps=epsilon)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width, eps=epsilon)
        self.downsample = None
        if stride != 1 or incoming != width:
            self.downsample = nn.Sequential(
                nn.Conv2d(incoming, width, 1, stride, bias=False), nn.BatchNorm2d(width, eps=epsilon)
            )

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.bn3(self.conv2(x)) + identity


def final_side(side: int, halvings: int) -> int:
    """The side of the feature map after so many convolutions of stride 2, each rounding up."""
    for _ in range(halvings):
        side = (side + 1) // 2
    return side
