"""A procedural face world: a differentiable renderer with a GAN's interface and a known ground truth."""

from brownid.generators.procedural.camera import Camera
from brownid.generators.procedural.generator import ATTRIBUTES, ProceduralGenerator
from brownid.generators.procedural.parameters import IDENTITY_NAMES, NUISANCE_NAMES
from brownid.generators.procedural.world import GenuineWorld

__all__ = ["ATTRIBUTES", "IDENTITY_NAMES", "NUISANCE_NAMES", "Camera", "GenuineWorld", "ProceduralGenerator"]
