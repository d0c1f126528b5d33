"""Crop templates, similarity warps of photographs, and the differentiable crop of generated images."""

from brownid.alignment.crop import FixedCrop
from brownid.alignment.templates import ARCFACE_112, FFHQ_1024, TEMPLATES, TWO_EYE_112, Template, template
from brownid.alignment.warp import low_pass_kernel, similarity_from_points, warp_image

__all__ = [
    "ARCFACE_112",
    "FFHQ_1024",
    "TEMPLATES",
    "TWO_EYE_112",
    "FixedCrop",
    "Template",
    "low_pass_kernel",
    "similarity_from_points",
    "template",
    "warp_image",
]
