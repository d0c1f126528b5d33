"""A tiny StyleGAN2 for all tests of projection."""

import pytest
from tiny_stylegan2 import face_model

from brownid.facemodel.model import GeneratorFaceModel


@pytest.fixture(scope="session")
def stylegan2() -> GeneratorFaceModel:
    """A face model whose generator's noise is off unless it is given."""
    return face_model()


@pytest.fixture(scope="session")
def whole() -> GeneratorFaceModel:
    """The same, showing the generator's whole images."""
    return face_model(frame="generator")
