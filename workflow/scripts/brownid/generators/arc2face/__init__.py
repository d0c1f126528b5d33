"""Arc2Face, a latent diffusion model that turns the embedding of a face into pictures of that person."""

from brownid.generators.arc2face.generator import Arc2Face
from brownid.generators.arc2face.loading import arc2face
from brownid.generators.arc2face.settings import Arc2FaceSettings, RandomSizes
from brownid.models.folders import arc2face_files

__all__ = ["Arc2Face", "Arc2FaceSettings", "RandomSizes", "arc2face", "arc2face_files"]
