"""Margin heads: from embeddings and labels to the logits of a softmax cross entropy.

With cosine c_j of an embedding and the weight of class j, label y, scale s, all heads give s·c_j for j ≠ y; they
differ in the logit of the label.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

COSINE_LIMIT = 1 - 1e-6  # arccos has a finite gradient up to here


class MarginHead(nn.Module):
    """Class weights and the logits without margin; a subclass gives the label's logit."""

    def __init__(self, embedding_dim: int, classes: int, *, margin: float, scale: float):
        super().__init__()
        self.margin = margin
        self.scale = scale
        self.weight = nn.Parameter(F.normalize(torch.randn(classes, embedding_dim)))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Logits `[B, classes]` of unnormalised embeddings `[B, E]` with labels int64 `[B]`; computed in float32."""
        return self.logits(self.cosines(embeddings), embeddings, labels)

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Cosines `[B, classes]` with the class weights, without any margin."""
        return F.linear(F.normalize(embeddings.float()), F.normalize(self.weight))

    def logits(self, cosines: Tensor, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The scaled cosines with the margin on each row's label."""
        norms = self.norms(embeddings)
        self.observe(norms)
        return self.margined(cosines, norms, labels)

    @staticmethod
    def norms(embeddings: Tensor) -> Tensor:
        """Norms `[B]` of embeddings, float32, without gradient."""
        return torch.linalg.vector_norm(embeddings.detach().float(), dim=1)

    def observe(self, norms: Tensor) -> None:
        """Take note of the norms `[B]` of a whole batch."""

    def margined(self, cosines: Tensor, norms: Tensor, labels: Tensor) -> Tensor:
        """The logits of rows whose batch has been observed."""
        rows = labels.unsqueeze(1)
        target = self.label_cosine(cosines.gather(1, rows).squeeze(1), norms)
        return self.scale * cosines.scatter(1, rows, target.unsqueeze(1))

    def label_cosine(self, cosines: Tensor, norms: Tensor) -> Tensor:
        """The label's cosine `[B]` with the margin applied; `norms` `[B]` are those of the embeddings."""
        raise NotImplementedError


class CosFaceHead(MarginHead):
    """s (cos θ_y − m): "CosFace" (Wang et al., CVPR 2018), equation 4."""

    def __init__(self, embedding_dim: int, classes: int, *, margin: float = 0.35, scale: float = 64.0):
        super().__init__(embedding_dim, classes, margin=margin, scale=scale)

    def label_cosine(self, cosines: Tensor, norms: Tensor) -> Tensor:
        return cosines - self.margin


class ArcFaceHead(MarginHead):
    """s cos(θ_y + m), m in radians: "ArcFace" (Deng et al., CVPR 2019), equation 3.

    Where θ_y + m exceeds π the cosine would rise again; there cos θ_y − m sin m, which keeps falling, takes its place.
    """

    def __init__(self, embedding_dim: int, classes: int, *, margin: float = 0.5, scale: float = 64.0):
        super().__init__(embedding_dim, classes, margin=margin, scale=scale)

    def label_cosine(self, cosines: Tensor, norms: Tensor) -> Tensor:
        angles = torch.acos(cosines.clamp(-COSINE_LIMIT, COSINE_LIMIT))
        beyond = cosines - self.margin * math.sin(self.margin)
        return torch.where(angles + self.margin < math.pi, torch.cos(angles + self.margin), beyond)


class AdaFaceHead(MarginHead):
    """A margin that follows the embedding's norm as a sign of image quality.

    "AdaFace" (Kim et al., CVPR 2022), section 3.3: the image quality indicator is ẑ = clip((‖z‖ − μ) / (σ/h), −1, 1),
    without gradient, where μ and σ are running statistics of the norms; with g_angle = −m ẑ and g_add = m ẑ + m, the
    label's logit is s (cos(θ_y + g_angle) − g_add). The statistics start at 20 and 100, as in the published code.
    """

    ANGLE_LIMIT = 1e-3  # radians from 0 and π, as published
    NORM_LIMITS = 0.001, 100.0  # as published
    norm_mean: Tensor  # μ
    norm_std: Tensor  # σ

    def __init__(
        self,
        embedding_dim: int,
        classes: int,
        *,
        margin: float = 0.4,
        scale: float = 64.0,
        h: float = 0.333,
        t_alpha: float = 0.01,
    ):
        super().__init__(embedding_dim, classes, margin=margin, scale=scale)
        self.h = h
        self.t_alpha = t_alpha

        self.register_buffer("norm_mean", torch.tensor(20.0))
        self.register_buffer("norm_std", torch.tensor(100.0))

    @torch.no_grad()
    def observe(self, norms: Tensor) -> None:
        if self.training and len(norms) > 1:
            norms = norms.clamp(*self.NORM_LIMITS)
            self.norm_mean.lerp_(norms.mean(), self.t_alpha)
            self.norm_std.lerp_(norms.std(), self.t_alpha)

    def label_cosine(self, cosines: Tensor, norms: Tensor) -> Tensor:
        norms = norms.clamp(*self.NORM_LIMITS)
        quality = ((norms - self.norm_mean) / (self.norm_std + 1e-3) * self.h).clamp(-1, 1)  # 68 % within ±h
        angles = torch.acos(cosines.clamp(-COSINE_LIMIT, COSINE_LIMIT)) - self.margin * quality
        angles = angles.clamp(self.ANGLE_LIMIT, math.pi - self.ANGLE_LIMIT)
        return torch.cos(angles) - (self.margin * quality + self.margin)


HEADS = {"adaface": AdaFaceHead, "arcface": ArcFaceHead, "cosface": CosFaceHead}
