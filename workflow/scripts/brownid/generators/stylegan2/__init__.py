"""StyleGAN2 in plain PyTorch, loadable from NVIDIA's state dicts."""

from brownid.generators.stylegan2.generator import StyleGAN2, random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings

__all__ = ["StyleGAN2", "StyleGAN2Settings", "random_stylegan2"]
