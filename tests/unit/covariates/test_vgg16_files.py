"""VGG16 is read from the layouts in which it is published, and refused where a tensor is missing, unknown or wrong."""

import pytest
import torch
from safetensors.torch import save_file
from vgg16_weights import convolutions, linear, named, write_torchscript

from brownid.covariates.features import NVIDIA, TORCHVISION, PerceptualFeatures, load_perceptual_features
from brownid.runtime.errors import BrownidError

PAIRS, LINEAR = convolutions(), linear()
EXPECTED = PerceptualFeatures(PAIRS, LINEAR).state_dict()
CHANNELS = {f"lin{block}.model.1.weight": weights.view(1, -1, 1, 1) for block, weights in enumerate(LINEAR)}


@pytest.fixture(scope="module")
def torchvision(tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg16") / "vgg16-397923af.pth"
    torch.save(named(PAIRS, TORCHVISION), path)
    return path


def agrees(features, expected=EXPECTED):
    found = features.state_dict()
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def test_torchvisions_file_is_read_with_the_lpips_packages_channel_weights(torchvision, tmp_path):
    torch.save(CHANNELS, tmp_path / "vgg.pth")
    assert agrees(load_perceptual_features(torchvision, tmp_path / "vgg.pth"))


def test_without_channel_weights_all_channels_of_torchvisions_file_count_alike(torchvision):
    assert agrees(load_perceptual_features(torchvision), PerceptualFeatures(PAIRS).state_dict())


@pytest.mark.filterwarnings("ignore")  # TorchScript is no longer recommended for new files
def test_nvidias_archive_is_read_with_its_own_channel_weights(tmp_path):
    write_torchscript(tmp_path / "vgg16.pt", PAIRS, LINEAR)
    assert agrees(load_perceptual_features(tmp_path / "vgg16.pt"))


def test_a_state_dict_with_nvidias_names_is_read_too(tmp_path):
    weights = {name: tensor.view(-1, 1, 1) for name, tensor in zip(NVIDIA.linear, LINEAR, strict=True)}
    save_file({**named(PAIRS, NVIDIA), **weights}, tmp_path / "vgg16.safetensors")
    assert agrees(load_perceptual_features(tmp_path / "vgg16.safetensors"))


@pytest.mark.parametrize(
    ("layout", "change", "words"),
    [
        (
            TORCHVISION,
            {"features.28.bias": None, "features.0.weight": None},
            "2 missing: features.0.weight, features.28",
        ),
        (TORCHVISION, {"features.1.running_mean": torch.zeros(64)}, "1 unknown: features.1.running_mean"),
        (TORCHVISION, {"features.0.bias": torch.zeros(3)}, "features.0.bias [3], not [64]"),
        (NVIDIA, {}, "5 missing: lpips0, lpips1, lpips2, lpips3, lpips4."),
        (NVIDIA, {"lpips1": torch.ones(5, 1, 1)}, "lpips1 [5, 1, 1], not 128 numbers"),
    ],
)
def test_a_wrong_file_is_refused_with_the_names_of_its_tensors(tmp_path, layout, change, words):
    tensors = named(PAIRS, layout) | change
    torch.save({name: tensor for name, tensor in tensors.items() if tensor is not None}, tmp_path / "vgg16.pth")
    with pytest.raises(BrownidError) as caught:
        load_perceptual_features(tmp_path / "vgg16.pth")
    said = str(caught.value)
    assert said.startswith(f"{tmp_path}/vgg16.pth (VGG16, {layout.name}'s names)")
    assert words in said


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (-CHANNELS["lin2.model.1.weight"], r"lin2\.model\.1\.weight has negative numbers"),
        (torch.ones(1, 3, 1, 1), r"lin2\.model\.1\.weight \[1, 3, 1, 1\], not 256 numbers"),
    ],
)
def test_wrong_channel_weights_are_refused(torchvision, tmp_path, wrong, words):
    torch.save(CHANNELS | {"lin2.model.1.weight": wrong}, tmp_path / "vgg.pth")
    with pytest.raises(BrownidError, match=rf"vgg\.pth .*{words}"):
        load_perceptual_features(torchvision, tmp_path / "vgg.pth")
