"""From settings to images: rays, relief, paint, light, and the frame."""

import torch
from torch import Tensor

from brownid.generators.procedural.bumps import BUMPS
from brownid.generators.procedural.ellipses import SLOTS, EllipseTable, expand, monomials
from brownid.generators.procedural.geometry import Surface, intersect
from brownid.generators.procedural.layers import LAYERS
from brownid.generators.procedural.mixtures import softmax_mix
from brownid.generators.procedural.painting import Painting
from brownid.generators.procedural.palette import HEAD_TONES, SCENE_TONES, Palette, head_palette
from brownid.generators.procedural.parameters import NUISANCE, SETTING_NAMES
from brownid.generators.procedural.pose import Pose, pose
from brownid.generators.procedural.surroundings import SURROUNDINGS

_LEVEL, _A, _B = (SLOTS.index(name) for name in ("level", "a", "b"))
_EDGE = 0.014  # softness of the head's outline, in half sides
_TERMINATOR = 0.03  # softness of the boundary between light and shade
_SHININESS = 24.0
_EAR_DEPTH = -0.08  # behind the head's centre


class Renderer(torch.nn.Module):
    """Images of settings `[B, S]` (in the order of `SETTING_NAMES`); nothing but the pixel grid depends on `side`."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.bumps = EllipseTable(expand(BUMPS), SETTING_NAMES)
        self.head = Painting(LAYERS, "skin", HEAD_TONES, SETTING_NAMES)
        self.scene = Painting(SURROUNDINGS, "background", SCENE_TONES, SETTING_NAMES)
        self.palette = Palette(SETTING_NAMES)
        # the frame reaches from -1 to 1 between the outer pixel edges, at every side: all sides show one picture
        grid = (torch.arange(side, dtype=torch.float64) + 0.5) * (2.0 / side) - 1.0
        x, y = grid.repeat(side)[None], (-grid).repeat_interleave(side)[None]
        self.register_buffer("pixels", torch.cat([torch.ones_like(x), x, y]).float(), persistent=False)  # [3, P]
        self.register_buffer("pixel_monomials", monomials(x, y)[0].float(), persistent=False)  # [9, P]
        self.side = side

    def forward(self, settings: Tensor) -> Tensor:
        """RGB images `[B, 3, side, side]` in (-1, 1)."""
        value = dict(zip(SETTING_NAMES, settings.unbind(1), strict=True))
        view = pose(value)
        colours = self.palette(settings)
        bump_slots = self.bumps.slots(settings)
        surface = intersect(
            torch.matmul(view.rays, self.pixels),
            view.direction,
            self.bumps.polynomials(bump_slots),
            bump_slots[..., _LEVEL],
        )
        head = self._head(settings, value, colours, view, surface)
        behind = self._scene(settings, value, colours, view)
        cover = torch.sigmoid(surface.clearance / _EDGE)
        linear = torch.addcmul(behind, head - behind, cover[:, None])
        # film: 1 − exp(−exposure) saturates softly, so that every pixel keeps a gradient
        image = 1.0 - 2.0 * torch.exp(-linear * colours["camera"][:, :, None])
        return image.view(-1, 3, self.side, self.side)

    def _head(
        self, settings: Tensor, value: dict[str, Tensor], colours: dict[str, Tensor], view: Pose, surface: Surface
    ) -> Tensor:
        slots = self.head.slots(settings)
        tones = self.head.colours(head_palette(colours))
        skin_gloss = 0.16 * torch.exp(0.7 * value["skin_shine"])
        gloss = self.head.gloss + torch.nn.functional.pad(skin_gloss[:, None], (0, len(self.head.gloss) - 1))
        paints = torch.cat([tones, gloss[..., None]], dim=2)
        painted = softmax_mix(self.head.logits(slots), paints.transpose(1, 2), surface.monomials)
        # one product: components towards camera-up, lamp and bisector; the length from the head's own axes
        up = view.rotation[:, 1] / view.radii
        towards = torch.stack([view.lamp, view.half, up], dim=1)
        dots = torch.bmm(towards, surface.gradient)
        stretched = surface.gradient / view.radii[:, :, None]
        dots = dots * torch.rsqrt((stretched * stretched).sum(1) + 1e-8)[:, None]
        key = 0.5 * (dots[:, 0] + torch.sqrt(dots[:, 0] * dots[:, 0] + _TERMINATOR))
        strength, ambient = self._lamps(value)
        shade = (ambient[:, None] * (1.0 + 0.22 * dots[:, 2]))[:, None] + (strength[:, None] * colours["light"])[
            :, :, None
        ] * key[:, None]
        shine = strength[:, None] * painted[:, 3] * torch.exp(_SHININESS * (dots[:, 1] - 1.0))
        return painted[:, :3] * shade + shine[:, None]

    def _scene(self, settings: Tensor, value: dict[str, Tensor], colours: dict[str, Tensor], view: Pose) -> Tensor:
        slots = self._place(self.scene.slots(settings), view)
        strength, ambient = self._lamps(value)
        front = (ambient + 0.6 * strength)[:, None]
        sideways = view.lamp_direction[:, 0]
        neck = colours["skin"] * colours["skin"].new_tensor([0.72, 0.64, 0.60])

        def lit(lean: float) -> Tensor:
            return (ambient + strength * (0.55 + lean * sideways))[:, None]

        tones = {
            "background": colours["background"],
            "background_light": colours["background"] * torch.exp(0.5 * value["background_gradient"])[:, None],
            "clothes": colours["clothes"] * front,
            "neck_left": neck * lit(-0.4),
            "neck_right": neck * lit(0.4),
            "neck_shade": neck * 0.45 * front,
            "ear": colours["skin"] * colours["skin"].new_tensor([1.0, 0.90, 0.87]) * front,
            "ear_shade": colours["skin"] * colours["skin"].new_tensor([0.60, 0.45, 0.42]) * front,
            "hair_dark": colours["hair"] * 0.8 * front,
        }
        palette = torch.stack([tones[name] for name in SCENE_TONES], dim=1)
        return softmax_mix(self.scene.logits(slots), self.scene.colours(palette).transpose(1, 2), self.pixel_monomials)

    def _lamps(self, value: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        strength = NUISANCE["light_strength"].of_setting(value["light_strength"])
        return 0.85 * strength, 0.46 * NUISANCE["ambient"].of_setting(value["ambient"])

    def _place(self, slots: Tensor, view: Pose) -> Tensor:
        """Move what belongs to the head to where the pose puts it: the ears turn with it, the body only follows."""
        ears = [row for row, name in enumerate(self.scene.names) if name.startswith("ear")]
        body = [row for row, name in enumerate(self.scene.names) if name.startswith(("neck", "hair", "clothes"))]
        across, up = slots[:, ears, _A], slots[:, ears, _B]
        moved = view.rotation @ torch.stack([across, up, torch.full_like(across, _EAR_DEPTH)], dim=1)
        result = slots.clone()
        result[:, ears, _A] = moved[:, 0] * view.zoom[:, None] + view.shift[:, :1]
        result[:, ears, _B] = moved[:, 1] * view.zoom[:, None] + view.shift[:, 1:]
        result[:, body, _A] = slots[:, body, _A] + view.shift[:, :1]
        result[:, body, _B] = slots[:, body, _B] + 0.5 * view.shift[:, 1:]
        return result
