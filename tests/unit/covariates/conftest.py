"""A tiny StyleGAN2 for all tests of projection."""

import pytest
from tiny_stylegan2 import face_model

from brownid.recognition.facemodel import FaceModel


@pytest.fixture(scope="session")
def stylegan2() -> FaceModel:
    """A face model whose generator's noise is off unless it is given."""
    return face_model()
