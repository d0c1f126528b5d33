"""What is stored and shown: no image of numbers that are none, and every face under its own label."""

import numpy as np
import pytest
import torch

from brownid.facemodel.loading import render
from brownid.generators.protocol import GeneratorDefaults
from brownid.runtime.errors import BrownidError
from brownid.samples.images import write_image_shard
from show_faces import show_faces


class Broken(GeneratorDefaults):
    def render(self, latents):
        images = torch.zeros(len(latents), 3, 4, 4)
        images[1, 0, 0, 0] = float("nan")
        return images


class FromEmbeddings(GeneratorDefaults):
    embedding_conditioned = True

    def render_embeddings(self, embeddings, noise_key):
        return embeddings[:, :, None, None].expand(-1, 3, 4, 4)


def test_images_that_are_not_finite_are_refused_and_not_stored_black():
    with pytest.raises(BrownidError, match="1 of 3 images of a batch hold NaN"):
        render(Broken(), lambda images: images, torch.zeros(3, 8))


def test_an_embedding_conditioned_generator_is_given_embeddings():
    shades = render(FromEmbeddings(), lambda images: images, torch.tensor([[-1.0] * 3, [1.0] * 3]))
    assert shades.shape == (2, 4, 4, 3) and np.unique(shades[0]) == [0] and np.unique(shades[1]) == [255]


def test_a_face_that_was_left_out_leaves_its_place_empty(tmp_path, monkeypatch):
    shown = {}
    monkeypatch.setattr("show_faces.image_grid", lambda cells, figure, **more: shown.update(cells=cells, **more))
    labels = ["reference", "augmentation_0", "augmentation_1"]
    pixels = np.stack([np.full((8, 8, 3), shade, np.uint8) for shade in (10, 60, 110)])
    kept = [0, 2, 0, 1, 2]  # of the first identity, augmentation_0 was left out
    identities = np.array([0, 0, 1, 1, 1])
    write_image_shard(tmp_path / "faces.arrow", "faces", identities, [labels[row] for row in kept], pixels[kept])
    show_faces({"dataset": "faces"}, images=[tmp_path / "faces.arrow"], identities=None, figure=tmp_path / "a.png")
    assert shown["column_labels"] == ["reference", "0", "1"]
    assert [[int(cell.max()) for cell in row] for row in shown["cells"]] == [[10, 255, 110], [10, 60, 110]]
