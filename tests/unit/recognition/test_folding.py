"""Batch-norms folded into convolutions change embeddings and gradients by rounding only."""

import pytest
import torch
from torch import nn

from brownid.facemodel.model import GeneratorFaceModel
from brownid.recognition.backbones import FaceNetwork, backbone
from brownid.recognition.embedding import raw_embeddings
from brownid.recognition.folding import folded


class Nothing(nn.Module):
    """A generator that is never asked to render."""

    latent_mean = torch.zeros(1)


def trained(family: str, architecture: str, side: int) -> FaceNetwork:
    """A network in which every batch-norm shifts and scales, and slopes have both signs."""
    torch.manual_seed(3)
    network = backbone(family, architecture, side, 16)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 1.5)
            if module.affine:
                module.bias.data.normal_(std=0.3)
                module.weight.data.uniform_(0.5, 1.5)
        elif isinstance(module, nn.PReLU):
            module.weight.data.normal_(std=0.3)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return network.eval().requires_grad_(False)


def embedded(network: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit embeddings, and the gradient of the first component."""
    leaf = images.clone().requires_grad_()
    rows = nn.functional.normalize(raw_embeddings(network, leaf))
    return rows.detach(), torch.autograd.grad(rows[:, 0].sum(), leaf)[0]


@pytest.mark.parametrize(
    ("family", "architecture", "side"),
    [("insightface", "iresnet18", 33), ("nizhib", "iresnet34", 32), ("adaface", "ir_18", 32)],
)
def test_a_folded_network_gives_the_same(family, architecture, side):
    network = trained(family, architecture, side).double()
    images = torch.randn(2, 3, side, side, dtype=torch.float64).clamp(-1, 1)
    other = folded(network)
    assert other is not network and not list(other.parameters())
    assert (other.description, other.colour_order) == (network.description, network.colour_order)
    for ours, theirs in zip(embedded(other, images), embedded(network, images), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)
    single, images = network.float(), images.float()
    for ours, theirs in zip(embedded(folded(single), images), embedded(single, images), strict=True):
        assert (ours - theirs).norm() < 1e-4 * theirs.norm()


def test_bfloat16_is_as_near_as_without_folding():
    network = trained("insightface", "iresnet18", 32)
    images = torch.randn(4, 3, 32, 32).clamp(-1, 1)
    exact, _ = embedded(network, images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain, _ = embedded(network, images)
        ours, _ = embedded(folded(network, torch.bfloat16), images)
    assert (ours - exact).norm() < 1.5 * (plain - exact).norm()


def test_other_networks_are_left_as_they_are():
    slim, own = backbone("slim", "slim_iresnet", 32, 16), nn.Flatten()
    assert folded(slim) is slim and folded(own, torch.bfloat16) is own


def test_a_face_model_steers_by_the_folded_network_and_keeps_its_own():
    network = trained("insightface", "iresnet18", 32)
    images = torch.randn(2, 3, 32, 32).clamp(-1, 1)
    expected, _ = embedded(network, images)
    for channels_last in (True, False):
        model = GeneratorFaceModel(Nothing(), nn.Identity(), network, channels_last=channels_last)
        assert model.network is network and model.steering is not network
        torch.testing.assert_close(model.embed_crops(images), expected, atol=1e-4, rtol=1e-3)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        assert model.steering.units[0].weight1.is_contiguous(memory_format=layout)


@pytest.mark.nightly
def test_a_folded_network_can_be_compiled(monkeypatch):
    monkeypatch.setattr("brownid.facemodel.model.BACKEND", "eager")
    network = trained("insightface", "iresnet18", 32)
    images = torch.randn(2, 3, 32, 32).clamp(-1, 1)
    first, second = (GeneratorFaceModel(Nothing(), nn.Identity(), network, compile=c) for c in (False, True))
    torch.testing.assert_close(second.embed_crops(images), first.embed_crops(images))
