"""Crop templates, face detection and warps of photographs; the crop of generated images, by torch, is in `crop`."""

from brownid.alignment.detection import detector
from brownid.alignment.faces import Detection, Detector, choose_face
from brownid.alignment.photographs import AlignedImage, NotAligned, align_ffhq, align_landmarks, align_photograph
from brownid.alignment.templates import (
    ARCFACE_112,
    FFHQ_1024,
    FFHQ_PUBLISHED_1024,
    TEMPLATES,
    TWO_EYE_112,
    Template,
    template,
)
from brownid.alignment.warp import low_pass_kernel, realign, similarity_from_points, warp_image

__all__ = [
    "ARCFACE_112",
    "FFHQ_1024",
    "FFHQ_PUBLISHED_1024",
    "TEMPLATES",
    "TWO_EYE_112",
    "AlignedImage",
    "Detection",
    "Detector",
    "NotAligned",
    "Template",
    "align_ffhq",
    "align_landmarks",
    "align_photograph",
    "choose_face",
    "detector",
    "low_pass_kernel",
    "realign",
    "similarity_from_points",
    "template",
    "warp_image",
]
