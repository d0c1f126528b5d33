"""FR networks by family and architecture, with the parameter names and shapes of the published checkpoints."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from brownid.runtime.errors import BrownidError, suggestion

DEPTHS = {
    "iresnet18": (2, 2, 2, 2),
    "iresnet34": (3, 4, 6, 3),
    "iresnet50": (3, 4, 14, 3),
    "iresnet100": (3, 13, 30, 3),
}
WIDTHS = (64, 128, 256, 512)


@dataclass(frozen=True)
class Description:
    """Description of a network, saved with its weights."""

    family: str
    architecture: str
    image_size: int  # pixels; the crops it reads are side × side
    embedding_dim: int


class FaceNetwork(nn.Module):
    """Maps images `[B, 3, S, S]` to embeddings `[B, embedding_dim]`, and says which images it reads."""

    description: Description
    colour_order: str  # "RGB" or "BGR"
    input_range: tuple[float, float]  # pixel values of black and white; (-1, 1) where there is none

    def residual_units(self) -> "tuple[ResidualUnit, ...]":
        """The units between `stem` and `head`, where the network is made of them alone; none for others."""
        return ()

    def stem(self) -> tuple[nn.Conv2d, nn.BatchNorm2d, nn.PReLU]:
        """What comes before the residual units."""
        raise NotImplementedError

    def head(self, x: Tensor) -> Any:
        """The output, of what the residual units put out."""
        raise NotImplementedError


class ResidualUnit(NamedTuple):
    """The modules of a residual unit BN-Conv-BN-PReLU-Conv-BN."""

    bn1: nn.BatchNorm2d
    conv1: nn.Conv2d
    bn2: nn.BatchNorm2d
    prelu: nn.PReLU
    conv2: nn.Conv2d
    bn3: nn.BatchNorm2d
    shortcut: nn.Module | None  # a convolution with its batch-norm, or None for the input itself, or every other pixel


class IResNet(FaceNetwork):
    """RGB images `[B, 3, S, S]` in [-1, 1] to unnormalised embeddings `[B, embedding_dim]`.

    The four stages halve the side four times (rounding up); `fc` reads what is left: its shape depends on `image_size`.
    `train_scale=False` keeps the scale of the last batch-norm at one, as arcface_torch does.
    """

    colour_order = "RGB"
    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(
        self,
        architecture: str,
        image_size: int = 112,
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
        self.fc = nn.Linear(incoming * final_side(image_size, halvings=4) ** 2, embedding_dim)
        self.features = nn.BatchNorm1d(embedding_dim, eps=epsilon)
        self.features.weight.requires_grad_(train_scale)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.1)  # the batch-norm behind each convolution sets the scale

    def forward(self, images: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(images)))
        return self.head(self.layer4(self.layer3(self.layer2(self.layer1(x)))))

    def residual_units(self) -> tuple[ResidualUnit, ...]:
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        return tuple(cast(IBasicBlock, block).parts() for layer in layers for block in layer)

    def stem(self) -> tuple[nn.Conv2d, nn.BatchNorm2d, nn.PReLU]:
        return self.conv1, self.bn1, self.prelu

    def head(self, x: Tensor) -> Tensor:
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

    def parts(self) -> ResidualUnit:
        """The unit's modules by name."""
        return ResidualUnit(self.bn1, self.conv1, self.bn2, self.prelu, self.conv2, self.bn3, self.downsample)


def final_side(side: int, halvings: int) -> int:
    """The side of the feature map after a number of convolutions of stride 2, each rounding up."""
    for _ in range(halvings):
        side = (side + 1) // 2
    return side


IR_DEPTHS = {"ir_18": (2, 2, 2, 2), "ir_34": (3, 4, 6, 3), "ir_50": (3, 4, 14, 3), "ir_101": (3, 13, 30, 3)}


class AdaFaceIR(FaceNetwork):
    """BGR images `[B, 3, S, S]` in [-1, 1] to (unit embeddings `[B, embedding_dim]`, norms `[B, 1]`)."""

    colour_order = "BGR"

    def __init__(self, architecture: str, image_size: int = 112, embedding_dim: int = 512):
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.PReLU(WIDTHS[0])
        )
        units, incoming = [], WIDTHS[0]
        for width, depth in zip(WIDTHS, IR_DEPTHS[architecture], strict=True):
            units += [BasicUnit(incoming if i == 0 else width, width, 2 if i == 0 else 1) for i in range(depth)]
            incoming = width
        self.body = nn.Sequential(*units)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(incoming),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(incoming * final_side(image_size, halvings=4) ** 2, embedding_dim),
            nn.BatchNorm1d(embedding_dim, affine=False),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(self.body(self.input_layer(images)))

    def residual_units(self) -> tuple[ResidualUnit, ...]:
        return tuple(cast(BasicUnit, unit).parts() for unit in self.body)

    def stem(self) -> tuple[nn.Conv2d, nn.BatchNorm2d, nn.PReLU]:
        return cast(tuple[nn.Conv2d, nn.BatchNorm2d, nn.PReLU], tuple(self.input_layer))

    def head(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.output_layer(x)
        norms = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        return features / norms.clamp_min(1e-12), norms


class BasicUnit(nn.Module):
    """The residual unit BN-Conv-BN-PReLU-Conv-BN; the shortcut of equal widths only drops pixels."""

    def __init__(self, incoming: int, width: int, stride: int):
        super().__init__()
        self.shortcut_layer: nn.Module
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

    def parts(self) -> ResidualUnit:
        """The unit's modules by name."""
        shortcut = None if isinstance(self.shortcut_layer, nn.MaxPool2d) else self.shortcut_layer
        bn1, conv1, bn2, prelu, conv2, bn3 = cast(Any, tuple(self.res_layer))
        return ResidualUnit(bn1, conv1, bn2, prelu, conv2, bn3, shortcut)


# stem width, then one width a stage; each stage halves the side
SLIM_WIDTHS = {
    "slim_iresnet": (16, (32, 48, 96)),  # 0.23 M parameters, 7 M multiplications at side 56
    "slim_iresnet_wide": (24, (48, 96, 128)),  # 0.50 M parameters, 18 M multiplications at side 56
}
SLOPE = 0.25  # where PReLU starts


class SlimIResNet(FaceNetwork):
    """RGB images `[B, 3, S, S]` in [-1, 1] to unnormalised embeddings `[B, embedding_dim]`."""

    colour_order = "RGB"

    def __init__(self, architecture: str = "slim_iresnet", image_size: int = 56, embedding_dim: int = 512):
        super().__init__()
        stem, stages = SLIM_WIDTHS[architecture]
        self.conv1 = nn.Conv2d(3, stem, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.activation = nn.LeakyReLU(SLOPE)
        self.stages = nn.Sequential(*(SlimBlock(i, o) for i, o in zip((stem, *stages[:-1]), stages, strict=True)))
        final = final_side(image_size, halvings=1 + len(stages))
        self.bn2 = nn.BatchNorm2d(stages[-1])
        self.pool = nn.Conv2d(stages[-1], stages[-1], final, groups=stages[-1], bias=False)
        self.fc = nn.Linear(stages[-1], embedding_dim, bias=False)
        self.features = nn.BatchNorm1d(embedding_dim)

    def forward(self, images: Tensor) -> Tensor:
        x = self.activation(self.bn1(self.conv1(images)))
        x = self.pool(self.bn2(self.stages(x))).flatten(1)
        return self.features(self.fc(x))


class SlimBlock(nn.Module):
    """The residual unit Conv(stride 2)-BN-LeakyReLU-Conv-BN with a projected shortcut."""

    def __init__(self, incoming: int, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(incoming, width, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.activation = nn.LeakyReLU(SLOPE)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = nn.Sequential(nn.Conv2d(incoming, width, 1, stride=2, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.activation(self.bn1(self.conv1(x))))) + self.downsample(x)


PLAIN_WIDTHS = {"slim_plain": (16, 32, 64, 128)}  # 1.1 M parameters, 4 M multiplications at side 56


class SlimPlain(FaceNetwork):
    """RGB images `[B, 3, S, S]` in [-1, 1] to unnormalised embeddings `[B, embedding_dim]`, without shortcuts.

    Stages Conv(stride 2)-BN-ReLU, then a fully connected layer on all positions, as in VGG (Simonyan, Zisserman 2015).
    """

    colour_order = "RGB"

    def __init__(self, architecture: str = "slim_plain", image_size: int = 56, embedding_dim: int = 512):
        super().__init__()
        widths = PLAIN_WIDTHS[architecture]
        stages = [
            (nn.Conv2d(incoming, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
            for incoming, width in zip((3, *widths[:-1]), widths, strict=True)
        ]
        self.stages = nn.Sequential(*(layer for stage in stages for layer in stage))
        positions = final_side(image_size, halvings=len(widths)) ** 2
        self.fc = nn.Linear(widths[-1] * positions, embedding_dim, bias=False)
        self.features = nn.BatchNorm1d(embedding_dim)

    def forward(self, images: Tensor) -> Tensor:
        return self.features(self.fc(self.stages(images).flatten(1)))


def _slim(architecture: str, image_size: int, embedding_dim: int) -> FaceNetwork:
    build = SlimPlain if architecture in PLAIN_WIDTHS else SlimIResNet
    return build(architecture, image_size, embedding_dim)


SMALLEST_SIDE = 32


class Family(NamedTuple):
    """The names of its architectures, and what makes one: called with (architecture, side, embedding_dim)."""

    architectures: tuple[str, ...]
    build: Callable[[str, int, int], FaceNetwork]


FAMILIES = {
    "insightface": Family(tuple(DEPTHS), IResNet),
    "nizhib": Family(
        ("iresnet34", "iresnet50", "iresnet100"),
        partial(IResNet, epsilon=2e-5, dropout=0.4, train_scale=True),
    ),
    "adaface": Family(tuple(IR_DEPTHS), AdaFaceIR),
    "slim": Family((*SLIM_WIDTHS, *PLAIN_WIDTHS), _slim),
}


def backbone(family: str, architecture: str, image_size: int = 112, embedding_dim: int = 512) -> FaceNetwork:
    """A network with fresh weights for crops of `image_size` pixels; `.description` says what it is.

    The forward pass maps images `[B, 3, S, S]` in [-1, 1], in the network's own `.colour_order` (adaface BGR, all
    others RGB), to unnormalised embeddings `[B, embedding_dim]` (family adaface: to unit embeddings and norms).
    `brownid.recognition.embedding` hides these differences. Raises `BrownidError` for names it does not know.
    """
    check_names(family, architecture)
    if isinstance(image_size, bool) or not isinstance(image_size, int) or image_size < SMALLEST_SIDE:
        raise BrownidError(
            f"image_size of a recognition network must be at least {SMALLEST_SIDE} pixels, not {image_size!r}."
        )
    if isinstance(embedding_dim, bool) or not isinstance(embedding_dim, int) or embedding_dim < 2:
        raise BrownidError(f"embedding_dim must be a whole number of at least 2, not {embedding_dim!r}.")
    network = FAMILIES[family].build(architecture, image_size, embedding_dim)
    network.description = Description(family, architecture, image_size, embedding_dim)
    return network


def check_names(family: str, architecture: str) -> None:
    """Raise `BrownidError`, listing the known names, unless the family and its architecture exist."""
    if family not in FAMILIES:
        raise BrownidError(f"Unknown recognition family {family!r}; {suggestion(family, FAMILIES)}")
    if architecture not in FAMILIES[family].architectures:
        hint = suggestion(architecture, FAMILIES[family].architectures)
        raise BrownidError(f"Unknown architecture {architecture!r} of recognition family {family!r}; {hint}")
