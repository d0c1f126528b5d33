"""Published files of generator weights, read without executing anything in them, and our own, which say what they are.

NVIDIA's network pickles of StyleGAN2 and StyleGAN3, rosinality's `.pt` of StyleGAN2, and safetensors of ours.
"""

from brownid.generators.checkpoints.files import GeneratorFile, convert, read_generator_file, save_generator_file

__all__ = ["GeneratorFile", "convert", "read_generator_file", "save_generator_file"]
