"""How much memory generators and FR networks take: numbers that were counted, and the formulas that spread them."""

from collections.abc import Mapping
from typing import Any

from brownid.preflight.sizes import resolution

FLOAT32 = 4  # bytes
FOR_BACKWARD_AT_112 = {  # MB an image, float32: what autograd keeps of one crop of 112 pixels, counted
    "insightface": {"iresnet18": 46, "iresnet34": 61, "iresnet50": 71, "iresnet100": 112},
    "nizhib": {"iresnet34": 61, "iresnet50": 71, "iresnet100": 112},
    "adaface": {"ir_18": 50, "ir_34": 70, "ir_50": 83, "ir_101": 138},
    "slim": {"slim_iresnet": 1.8, "slim_iresnet_wide": 2.7},
}
PARAMETERS = {  # millions, with embeddings of 512 numbers and crops of 112 pixels, counted
    "insightface": {"iresnet18": 24.0, "iresnet34": 34.1, "iresnet50": 43.6, "iresnet100": 65.2},
    "nizhib": {"iresnet34": 34.1, "iresnet50": 43.6, "iresnet100": 65.2},
    "adaface": {"ir_18": 24.0, "ir_34": 34.1, "ir_50": 43.6, "ir_101": 65.2},
    "slim": {"slim_iresnet": 0.25, "slim_iresnet_wide": 0.52},
}
STYLEGAN2_KEPT = 2.2  # numbers that autograd keeps for each number of a layer's output, counted at 64 to 256 pixels
STYLEGAN3_AT_256 = 880e6  # bytes an image, config t with channel_base 16384, counted; grows as the side
STYLEGAN3_RADIAL = 2.0  # config r has twice the channels
PROCEDURAL_KEPT = 300  # numbers that autograd keeps for each pixel, counted at 56 and 112 pixels
GENERATOR_WEIGHTS = 120e6  # bytes; StyleGAN2-256 has 100 MB with its buffers
FULL_CHANNELS_FROM = 512  # pixels: NVIDIA's smaller FFHQ generators have half the channel_base


def network_activations(network: Mapping[str, Any]) -> float | None:
    """Bytes that a backward pass through an FR network needs for one image: as the area of the crop.

    `network` has a family, an architecture and a side; None for one of the user's own, and for ONNX, which has none.
    """
    counted = FOR_BACKWARD_AT_112.get(network.get("family"), {}).get(network.get("architecture"))
    return None if counted is None else counted * 1e6 * (network["side"] / 112) ** 2


def network_parameters(network: Mapping[str, Any]) -> float:
    """Parameters of an FR network that has activations."""
    return PARAMETERS[network["family"]][network["architecture"]] * 1e6


def generator_weights(spec: Mapping[str, Any]) -> float:
    """Bytes of a generator's weights and buffers."""
    return 0.0 if spec.get("family") == "procedural" else GENERATOR_WEIGHTS


def generator_activations(spec: Mapping[str, Any]) -> float | None:
    """Bytes that a backward pass through a generator needs for one image; None for a generator of the user's own.

    StyleGAN2: 4 bytes × 2.2 × Σ_r (layers at r) · c(r) · r², with c(r) = min(channel_base / r, channel_max) channels.
    """
    side, family = resolution(spec), spec.get("family")
    if family == "procedural":
        return FLOAT32 * PROCEDURAL_KEPT * side**2
    if family == "stylegan2":
        sizes = spec.get("random") or {}
        base = sizes.get("channel_base", 32768 if side >= FULL_CHANNELS_FROM else 16384)
        largest = sizes.get("channel_max", 512)
        sides = [2**power for power in range(2, side.bit_length())]
        numbers = sum((1 if r == 4 else 2) * min(base // r, largest) * r * r for r in sides)
        return FLOAT32 * STYLEGAN2_KEPT * numbers
    if family == "stylegan3":
        radial = STYLEGAN3_RADIAL if "stylegan3-r" in str(spec.get("file")) else 1.0
        return STYLEGAN3_AT_256 * radial * side / 256
    return None
