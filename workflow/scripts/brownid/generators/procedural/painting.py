"""Layers of colour: their logits as polynomials and their paints."""

from collections.abc import Sequence

import torch
from torch import Tensor

from brownid.generators.procedural.ellipses import MONOMIALS, SLOTS, Ellipse, EllipseTable, expand

_LEVEL = SLOTS.index("level")


class Painting(torch.nn.Module):
    """The polynomials and colours of a sequence of layers over a ground (bare skin, or the background)."""

    def __init__(
        self, ellipses: Sequence[Ellipse], ground: str, tones: Sequence[str], setting_names: Sequence[str]
    ) -> None:
        super().__init__()
        ellipses = expand(ellipses)
        self.table = EllipseTable(ellipses, setting_names)
        self.names = [ellipse.name for ellipse in ellipses]
        nesting = torch.eye(len(ellipses))
        for row, ellipse in enumerate(ellipses):
            if ellipse.inside is not None:
                nesting[row] += nesting[self.names.index(ellipse.inside)]  # the outer one stands earlier in the list
        sign = torch.tensor([-1.0 if ellipse.outside else 1.0 for ellipse in ellipses])
        sharpness = sign * torch.tensor([ellipse.sharpness for ellipse in ellipses])
        paints = [ground, *(ellipse.tone for ellipse in ellipses)]
        self.register_buffer("nesting", nesting, persistent=False)
        self.register_buffer("sharpness", sharpness, persistent=False)
        self.register_buffer("paints", torch.tensor([list(tones).index(paint) for paint in paints]), persistent=False)
        gloss = torch.tensor([0.0] + [ellipse.gloss for ellipse in ellipses])
        self.register_buffer("gloss", gloss, persistent=False)

    def slots(self, settings: Tensor) -> Tensor:
        """The slots `[B, K, 8]` of the layers' ellipses."""
        return self.table.slots(settings)

    def logits(self, slots: Tensor) -> Tensor:
        """The logits' polynomials `[B, 1 + K, 9]`; the first, of the ground, is 0."""
        polynomials = -self.sharpness[:, None] * self.table.polynomials(slots)
        constant = torch.zeros_like(polynomials[..., :1]) + (self.sharpness + slots[..., _LEVEL])[..., None]
        own = polynomials + torch.nn.functional.pad(constant, (0, MONOMIALS - 1))
        return torch.nn.functional.pad(self.nesting @ own, (0, 0, 1, 0))

    def colours(self, palette: Tensor) -> Tensor:
        """The layers' colours `[B, 1 + K, 3]` out of a palette `[B, T, 3]`."""
        return palette[:, self.paints]
