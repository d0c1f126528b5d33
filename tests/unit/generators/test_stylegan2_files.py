"""Names and shapes of StyleGAN2's state equal those of NVIDIA's files."""

import pytest
import torch

from brownid.generators.stylegan2.generator import StyleGAN2, random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.runtime.errors import BrownidError

FFHQ_256 = StyleGAN2Settings(resolution=256, channel_base=16384)


def shapes(settings: StyleGAN2Settings) -> dict[str, list[int]]:
    with torch.device("meta"):
        return {name: list(tensor.shape) for name, tensor in StyleGAN2(settings).state_dict().items()}


def expected_shapes(channels: dict[int, int], dim: int) -> dict[str, list[int]]:
    expected = {"mapping.w_avg": [dim]}
    for number in range(8):
        expected |= {f"mapping.fc{number}.weight": [dim, dim], f"mapping.fc{number}.bias": [dim]}
    for side, width in channels.items():
        block = f"synthesis.b{side}"
        expected[f"{block}.resample_filter"] = [4, 4]
        convolutions = {"conv1": width}
        if side == 4:
            expected[f"{block}.const"] = [width, 4, 4]
        else:
            convolutions["conv0"] = channels[side // 2]
        for name, inputs in convolutions.items():
            expected |= {
                f"{block}.{name}.weight": [width, inputs, 3, 3],
                f"{block}.{name}.bias": [width],
                f"{block}.{name}.affine.weight": [inputs, dim],
                f"{block}.{name}.affine.bias": [inputs],
                f"{block}.{name}.noise_const": [side, side],
                f"{block}.{name}.noise_strength": [],
                f"{block}.{name}.resample_filter": [4, 4],
            }
        expected |= {
            f"{block}.torgb.weight": [3, width, 1, 1],
            f"{block}.torgb.bias": [3],
            f"{block}.torgb.affine.weight": [width, dim],
            f"{block}.torgb.affine.bias": [width],
        }
    return expected


def test_state_of_the_256_pixel_generator_has_the_published_names_and_shapes():
    channels = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64}
    assert shapes(FFHQ_256) == expected_shapes(channels, 512)


def test_state_of_the_1024_pixel_generator_has_the_published_names_and_shapes():
    channels = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64, 1024: 32}
    assert shapes(StyleGAN2Settings(resolution=1024)) == expected_shapes(channels, 512)


def test_numbers_of_parameters_are_the_published_ones():
    def parameters(settings: StyleGAN2Settings) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in StyleGAN2(settings).parameters())

    assert parameters(FFHQ_256) == 24_767_458
    assert parameters(StyleGAN2Settings(resolution=1024)) == 30_370_060


def test_a_generator_for_labels_without_noise_has_the_published_names():
    found = shapes(StyleGAN2Settings(resolution=8, c_dim=5, use_noise=False, label_width=7, mapping_width=11))
    assert found["mapping.embed.weight"] == [7, 5] and found["mapping.embed.bias"] == [7]
    assert found["mapping.fc0.weight"] == [11, 519] and found["mapping.fc7.weight"] == [512, 11]
    assert not any("noise" in name for name in found)


def test_a_state_loads_strictly_and_gives_the_same_images():
    settings = StyleGAN2Settings(resolution=8, z_dim=6, w_dim=6, channel_max=4)
    first, second = random_stylegan2(settings, seed=1), StyleGAN2(settings, channels_last=True)
    second.load_state_dict(first.state_dict(), strict=True)
    w = first.map(torch.randn(2, 6, generator=torch.Generator().manual_seed(1)))
    assert torch.allclose(first.render(w), second.render(w), atol=1e-5)
    assert first.render(w).std() > 0.1
    assert not torch.allclose(first.render(w), random_stylegan2(settings, seed=2).render(w))


def test_nvidia_constructor_arguments_become_settings():
    arguments = {
        **{"z_dim": 512, "c_dim": 0, "w_dim": 512, "img_resolution": 256, "img_channels": 3},
        "mapping_kwargs": {"num_layers": 8, "w_avg_beta": 0.995},
        "synthesis_kwargs": {
            **{"channel_base": 16384, "channel_max": 512, "num_fp16_res": 4, "conv_clamp": 256},
            **{"architecture": "skip", "resample_filter": [1, 3, 3, 1]},
        },
    }
    assert StyleGAN2Settings.from_nvidia(arguments) == StyleGAN2Settings(256, channel_base=16384, conv_clamp=256)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("synthesis_kwargs", {"architecture": "resnet"}, "synthesis_kwargs.architecture = 'resnet'"),
        ("synthesis_kwargs", {"resample_filter": [1, 2, 1]}, r"resample_filter = \[1, 2, 1\]"),
        ("mapping_kwargs", {"activation": "relu"}, "mapping_kwargs.activation = 'relu'"),
        ("synthesis_kwargs", {"magnitude_ema_beta": 0.5}, "magnitude_ema_beta"),
    ],
)
def test_an_architecture_that_it_does_not_know_is_refused_by_name(part, change, message):
    arguments = {"z_dim": 8, "c_dim": 0, "w_dim": 8, "img_resolution": 16, "img_channels": 3, part: change}
    with pytest.raises(BrownidError, match=message):
        StyleGAN2Settings.from_nvidia(arguments)


def test_missing_and_grey_arguments_are_refused():
    with pytest.raises(BrownidError, match="lack c_dim, img_resolution"):
        StyleGAN2Settings.from_nvidia({"z_dim": 8, "w_dim": 8})
    with pytest.raises(BrownidError, match="img_channels = 1"):
        StyleGAN2Settings.from_nvidia({"z_dim": 8, "c_dim": 0, "w_dim": 8, "img_resolution": 16, "img_channels": 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 48}, "power of two"),
        ({"resolution": 2}, "resolution is 2, but must be a whole number, at least 4"),
        ({"z_dim": 0}, "z_dim is 0, but must be a whole number"),
        ({"channel_base": 128}, "no channel at 256 pixels"),
        ({"conv_clamp": 0.0}, "conv_clamp is 0.0, but must be a number, above 0"),
        ({"mapping_rate": 0.0}, "mapping_rate is 0.0, but must be"),
    ],
)
def test_settings_without_sense_are_refused(change, message):
    with pytest.raises(BrownidError, match=message):
        StyleGAN2Settings(**change)
