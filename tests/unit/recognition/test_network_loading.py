"""Loading an FR network from its description: a family, an ONNX file, or a function of the user's own."""

import sys
import types

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from brownid.recognition.backbones import Description, backbone
from brownid.recognition.embedding import embed_images
from brownid.recognition.loading import load_network, save_backbone
from brownid.runtime.errors import BrownidError

SIDE = 32


class Own(nn.Module):
    """A user's network that reads BGR and returns unit embeddings and norms."""

    colour_order = "BGR"

    def __init__(self, **keywords):
        super().__init__()
        self.keywords = keywords

    def forward(self, images):
        means = images.mean((2, 3)) + 3
        norms = means.norm(dim=1, keepdim=True)
        return means / norms, norms


class Grey(Own):
    colour_order = "grey"


@pytest.fixture
def module(monkeypatch):
    made = types.ModuleType("a_users_networks")
    made.build, made.grey, made.image = Own, Grey, lambda weights, image_size, device: nn.Identity()
    made.nothing = lambda weights, image_size, device: None
    monkeypatch.setitem(sys.modules, "a_users_networks", made)


def spec(function, **options):
    return {"factory": f"a_users_networks:{function}", "options": options, "image_size": SIDE, "precision": "float32"}


def test_a_family_is_loaded_from_its_weights(tmp_path):
    network = backbone("slim", "slim_iresnet", SIDE, 16)
    save_backbone(tmp_path / "a", network)
    entry = {"family": "slim", "architecture": "slim_iresnet", "image_size": SIDE, "template": "arcface"}
    assert torch.equal(load_network(entry, tmp_path / "a").fc.weight, network.fc.weight)
    with pytest.raises(BrownidError, match="saved with image_size 32, not 56"):
        load_network({**entry, "image_size": 56}, tmp_path / "a")


def test_a_function_of_the_users_own_gets_its_options_the_weights_the_side_and_the_device(module):
    network = load_network(spec("build", depth=3), "mine.pt")
    assert network.keywords == {"depth": 3, "weights": "mine.pt", "image_size": SIDE, "device": "cpu"}
    assert not network.training and network.description == Description("a_users_networks:build", "", SIDE, 3)
    images = torch.rand(2, 3, SIDE, SIDE)
    expected = F.normalize(images.flip(1).mean((2, 3)) + 3)
    torch.testing.assert_close(embed_images(network, images), expected)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nothing", "is no torch module but NoneType"),
        ("grey", "colour_order 'grey': it must be RGB or BGR"),
        ("image", r"makes no embeddings of images \[2, 3, 32, 32\]"),
        ("absent", r"no function 'absent' \(network factory"),
    ],
)
def test_a_function_that_makes_no_network_is_a_sentence(module, function, message):
    with pytest.raises(BrownidError, match=message):
        load_network(spec(function), "mine.pt")


def test_options_that_the_function_does_not_take_are_a_sentence(module):
    with pytest.raises(BrownidError, match=r"The network of factory .* does not take the settings"):
        load_network(spec("image", depth=3), "mine.pt")
