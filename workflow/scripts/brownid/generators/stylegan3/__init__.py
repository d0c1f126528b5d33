"""StyleGAN3, the alias-free generator: our own plain-PyTorch module that loads the published weights."""

from brownid.generators.stylegan3.generator import StyleGAN3, random_stylegan3
from brownid.generators.stylegan3.settings import StyleGAN3Settings

__all__ = ["StyleGAN3", "StyleGAN3Settings", "random_stylegan3"]
