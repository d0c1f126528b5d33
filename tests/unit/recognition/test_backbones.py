"""Keys and shapes of the networks equal those of the published checkpoints."""

import pytest
import torch

from brownid.recognition.backbones import FAMILIES, backbone
from brownid.runtime.errors import BrownidError


def shapes(family: str, architecture: str, image_size: int = 112) -> dict[str, list[int]]:
    with torch.device("meta"):
        network = backbone(family, architecture, image_size)
    return {name: list(tensor.shape) for name, tensor in network.state_dict().items()}


def parameters(family: str, architecture: str, image_size: int = 112) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in backbone(family, architecture, image_size).parameters())


def test_iresnet50_has_the_published_keys_and_shapes():
    found = shapes("insightface", "iresnet50")
    expected = {
        "conv1.weight": [64, 3, 3, 3],
        "bn1.running_var": [64],
        "prelu.weight": [64],
        "layer1.0.bn1.weight": [64],
        "layer1.0.conv1.weight": [64, 64, 3, 3],
        "layer1.0.downsample.0.weight": [64, 64, 1, 1],
        "layer1.0.downsample.1.num_batches_tracked": [],
        "layer2.0.conv1.weight": [128, 64, 3, 3],
        "layer3.13.conv2.weight": [256, 256, 3, 3],
        "layer3.13.prelu.weight": [256],
        "layer4.2.bn3.running_mean": [512],
        "bn2.weight": [512],
        "fc.weight": [512, 25088],
        "fc.bias": [512],
        "features.weight": [512],
        "features.running_var": [512],
    }
    assert {name: found[name] for name in expected} == expected
    assert "layer3.14.conv1.weight" not in found and "layer1.1.downsample.0.weight" not in found
    assert not any(name.startswith("dropout") for name in found)


def test_ir_50_has_the_published_keys_and_shapes():
    found = shapes("adaface", "ir_50")
    expected = {
        "input_layer.0.weight": [64, 3, 3, 3],
        "input_layer.1.running_mean": [64],
        "input_layer.2.weight": [64],
        "body.0.res_layer.0.weight": [64],
        "body.0.res_layer.1.weight": [64, 64, 3, 3],
        "body.3.shortcut_layer.0.weight": [128, 64, 1, 1],
        "body.3.shortcut_layer.1.weight": [128],
        "body.7.res_layer.1.weight": [256, 128, 3, 3],
        "body.21.shortcut_layer.0.weight": [512, 256, 1, 1],
        "body.23.res_layer.4.weight": [512, 512, 3, 3],
        "output_layer.0.weight": [512],
        "output_layer.3.weight": [512, 25088],
        "output_layer.3.bias": [512],
        "output_layer.4.running_mean": [512],
    }
    assert {name: found[name] for name in expected} == expected
    assert "body.24.res_layer.0.weight" not in found
    assert "body.0.shortcut_layer.0.weight" not in found  # equal widths only drop pixels
    assert "output_layer.4.weight" not in found  # the last batch-norm has no scale of its own


@pytest.mark.parametrize(
    "family, architecture, millions",
    [
        ("insightface", "iresnet18", 24.03),
        ("insightface", "iresnet34", 34.14),
        ("insightface", "iresnet50", 43.59),
        ("insightface", "iresnet100", 65.16),
        ("nizhib", "iresnet100", 65.16),
        ("adaface", "ir_18", 24.02),
        ("adaface", "ir_50", 43.59),
        ("adaface", "ir_101", 65.15),
    ],
)
def test_published_networks_have_the_published_number_of_parameters(family, architecture, millions):
    assert parameters(family, architecture) / 1e6 == pytest.approx(millions, abs=0.006)


def test_slim_networks_are_slim():
    assert parameters("slim", "slim_iresnet", 56) == 232_880
    assert parameters("slim", "slim_iresnet_wide", 56) == 502_808
    assert parameters("slim", "slim_plain", 56) == 1_147_280


def test_families_differ_in_the_epsilon_of_the_batch_norm():
    def epsilons(family):
        with torch.device("meta"):
            network = backbone(family, "iresnet34")
        return {m.eps for m in network.modules() if isinstance(m, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d)}

    assert epsilons("insightface") == {1e-5}
    assert epsilons("nizhib") == {2e-5}
    assert shapes("insightface", "iresnet34") == shapes("nizhib", "iresnet34")


@pytest.mark.parametrize("family, architecture", [("insightface", "iresnet18"), ("adaface", "ir_18")])
@pytest.mark.parametrize("image_size, final", [(56, 4), (112, 7)])
def test_the_side_sets_the_input_of_the_fully_connected_layer(family, architecture, image_size, final):
    name = "fc.weight" if family == "insightface" else "output_layer.3.weight"
    assert shapes(family, architecture, image_size)[name] == [512, 512 * final**2]


@pytest.mark.parametrize(
    "family, architecture", [("insightface", "iresnet18"), ("adaface", "ir_18"), ("slim", "slim_iresnet")]
)
def test_networks_run_at_an_odd_side(family, architecture):
    network = backbone(family, architecture, image_size=35, embedding_dim=16).eval()
    output = network(torch.zeros(2, 3, 35, 35))
    if family == "adaface":
        unit, norms = output
        assert norms.shape == (2, 1)
        assert torch.allclose(torch.linalg.vector_norm(unit, dim=1), torch.ones(2), atol=1e-5)
    else:
        assert output.shape == (2, 16)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(BrownidError, match=r"'resnet'; known are insightface, nizhib, adaface, slim"):
        backbone("resnet", "iresnet50")
    for name, family in FAMILIES.items():
        with pytest.raises(BrownidError, match=", ".join(family.architectures)):
            backbone(name, "vit")


@pytest.mark.parametrize("image_size", [8, 56.0, True, None])
def test_an_impossible_side_is_refused(image_size):
    with pytest.raises(BrownidError, match="image_size"):
        backbone("slim", "slim_iresnet", image_size)
