"""A slim residual network for crops of 32 to 112 pixels, fast on one CPU thread.

It keeps the plan of iResNet (residual units without activation behind the sum, BN-FC-BN at the end) and departs where
one CPU thread loses its time: the strides come early (in the stem and in the first convolution of a unit), the
batch-norm before a unit is left out because its input is normalised already, LeakyReLU stands for PReLU (whose
gradient is slow on a CPU, above all in bfloat16), and a global depthwise convolution (MobileFaceNet, Chen et al. 2018)
replaces the large fully connected layer.
"""

from torch import Tensor, nn

from brownid.recognition.iresnet import final_side

# stem width, then one width a stage; each stage halves the side
WIDTHS = {
    "slim_iresnet": (16, (32, 48, 96)),  # 0.23 M parameters, 7 M multiplications at side 56
    "slim_iresnet_wide": (24, (48, 96, 128)),  # 0.50 M parameters, 18 M multiplications at side 56
}
SLOPE = 0.25  # where PReLU starts


class SlimIResNet(nn.Module):
    """RGB images `[B, 3, side, side]` in [-1, 1] to unnormalised embeddings `[B, embedding_dim]`."""

    colour_order = "RGB"

    def __init__(self, architecture: str = "slim_iresnet", side: int = 56, embedding_dim: int = 512):
        super().__init__()
        stem, stages = WIDTHS[architecture]
        self.conv1 = nn.Conv2d(3, stem, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.activation = nn.LeakyReLU(SLOPE)
        self.stages = nn.Sequential(*(SlimBlock(i, o) for i, o in zip((stem, *stages[:-1]), stages, strict=True)))
        final = final_side(side, halvings=1 + len(stages))
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
