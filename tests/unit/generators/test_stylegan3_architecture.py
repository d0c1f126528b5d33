"""StyleGAN3's layers, names and filters, against those of the published networks."""

import dataclasses
import math

import pytest
import torch

from brownid.generators.stylegan3.generator import StyleGAN3
from brownid.generators.stylegan3.resampling import low_pass, radial_low_pass
from brownid.generators.stylegan3.settings import StyleGAN3Settings, layer_plans
from brownid.runtime.errors import BrownidError

CONFIG_R = {"conv_kernel": 1, "channel_max": 1024, "use_radial_filters": True}
PUBLISHED = {
    "T 1024": StyleGAN3Settings(),
    "R 1024": StyleGAN3Settings(channel_base=65536, **CONFIG_R),
    "T 256": StyleGAN3Settings(img_resolution=256, channel_base=16384),
    "R 256": StyleGAN3Settings(img_resolution=256, channel_base=32768, **CONFIG_R),
}
SIZES_1024 = (36, 36, 52, 52, 84, 148, 148, 276, 276, 532, 1044, 1044, 1044, 1024, 1024)
SIZES_256 = (36, 36, 36, 52, 52, 84, 84, 148, 148, 148, 276, 276, 276, 256, 256)
CHANNELS = {
    "T 1024": (512,) * 7 + (323, 203, 128, 81, 51, 32, 32, 3),
    "R 1024": (1024,) * 7 + (645, 406, 256, 161, 102, 64, 64, 3),
    "T 256": (512,) * 7 + (362, 256, 181, 128, 91, 64, 64, 3),
    "R 256": (1024,) * 7 + (724, 512, 362, 256, 181, 128, 128, 3),
}


@pytest.fixture(scope="module", params=PUBLISHED)
def published(request):
    return request.param, StyleGAN3(PUBLISHED[request.param])


def test_layers_have_the_published_names(published):
    name, generator = published
    sizes = SIZES_1024 if "1024" in name else SIZES_256
    expected = [f"L{i}_{size}_{c}" for i, (size, c) in enumerate(zip(sizes, CHANNELS[name], strict=True))]
    assert generator.synthesis.layer_names == expected
    assert generator.layers == 16


def test_the_state_has_the_published_names_and_shapes(published):
    name, generator = published
    shapes = {key: tuple(value.shape) for key, value in generator.state_dict().items()}
    kernel, first = (1, 1024) if "R" in name else (3, 512)
    expected = {"mapping.w_avg": (512,)}
    expected |= {f"mapping.fc{i}.weight": (512, 512) for i in (0, 1)}
    expected |= {f"mapping.fc{i}.bias": (512,) for i in (0, 1)}
    for key, shape in {
        "weight": (first, first),
        "affine.weight": (4, 512),
        "affine.bias": (4,),
        "transform": (3, 3),
        "freqs": (first, 2),
        "phases": (first,),
    }.items():
        expected[f"synthesis.input.{key}"] = shape
    sizes = SIZES_1024 if "1024" in name else SIZES_256
    incoming, before = first, 16
    for index, (layer, size, channels) in enumerate(
        zip(generator.synthesis.layer_names, sizes, CHANNELS[name], strict=True)
    ):
        rate = size if index >= 13 else size - 20
        last, prefix = index == 14, f"synthesis.{layer}."
        side = 1 if last else kernel
        expected[prefix + "weight"] = (channels, incoming, side, side)
        expected[prefix + "bias"] = (channels,)
        expected[prefix + "affine.weight"] = (incoming, 512)
        expected[prefix + "affine.bias"] = (incoming,)
        expected[prefix + "magnitude_ema"] = ()
        if not last:
            expected[prefix + "up_filter"] = (12 * max(rate, before) // before,)
            radial = kernel == 1 and index < 12
            expected[prefix + "down_filter"] = (12, 12) if radial else (12,)
        incoming, before = channels, rate
    assert shapes == expected


def test_config_r_at_1024_has_the_published_numbers_of_parameters_and_buffers():
    generator = StyleGAN3(PUBLISHED["R 1024"])
    assert sum(p.numel() for p in generator.parameters()) == 15_093_151
    assert sum(b.numel() for b in generator.buffers()) == 5_600


def test_frequencies_of_the_1024_network_are_the_published_ones():
    plans = layer_plans(PUBLISHED["T 1024"])
    assert [p.outgoing.rate for p in plans] == [16, 16, 32, 32, 64, 128, 128, 256, 256, 512] + [1024] * 5
    cutoffs = [2, 3.1748, 5.03968, 8, 12.6992, 20.1587, 32, 50.7968, 80.6349, 128, 203.187, 322.54, 512, 512, 512]
    assert [p.outgoing.cutoff for p in plans] == pytest.approx(cutoffs, rel=1e-5)
    assert [plans[i].outgoing.half_width for i in (0, 2, 12)] == pytest.approx([6, 10.9603, 118.346], rel=1e-5)
    assert [(p.up, p.down) for p in plans[:3]] == [(2, 2), (2, 2), (4, 2)] and (plans[-1].up, plans[-1].down) == (1, 1)


@pytest.mark.parametrize("taps", [12, 24])
def test_filters_sum_to_one_and_are_symmetric(taps):
    line, plane = low_pass(taps, 5.0, 22.0, 64.0), radial_low_pass(taps, 5.0, 22.0, 64.0)
    for each in (line, plane):
        assert each.sum().item() == pytest.approx(1, abs=1e-6)
        torch.testing.assert_close(each, each.flip(0), rtol=0, atol=1e-8)
    torch.testing.assert_close(plane, plane.T, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("cutoff", "width", "rate", "half"),
    [
        (2.0, 12.0, 32.0, [0.000791902, 0.010018318, 0.038949522, 0.092412790, 0.156525615, 0.201301852]),
        (512.0, 236.7, 2048.0, [0.023372850, 0.034448066, -0.050879728, -0.078614623, 0.139610341, 0.432063094]),
    ],
)
def test_filters_have_the_taps_of_the_published_design(cutoff, width, rate, half):
    """Numbers of `scipy.signal.firwin(12, cutoff, width=width, fs=rate)`, with which the published code designs."""
    assert low_pass(12, cutoff, width, rate).tolist() == pytest.approx(half + half[::-1], abs=1e-8)


def test_the_radial_filter_passes_as_much_in_every_direction():
    def response(taps, across, along):
        place = (torch.arange(24) - 11.5) / 64
        waves = torch.cos(2 * math.pi * (across * place[:, None] + along * place[None, :]))
        return (taps * waves).sum().item()

    plane = radial_low_pass(24, 8.0, 16.0, 64.0)
    line = low_pass(24, 8.0, 16.0, 64.0)
    diagonal = 8.0 / math.sqrt(2)
    assert response(plane, 0, 8.0) == pytest.approx(response(plane, diagonal, diagonal), abs=0.02)
    square = torch.outer(line, line)
    assert response(square, diagonal, diagonal) > response(square, 0, 8.0) + 0.1
    for taps in (plane, square):
        assert response(taps, 0, 1.0) == pytest.approx(1, abs=0.02)
        assert response(taps, 0, 20.0) == pytest.approx(0, abs=0.01)


def test_settings_come_from_the_arguments_that_a_published_file_carries():
    arguments = {
        "z_dim": 512,
        "c_dim": 0,
        "w_dim": 512,
        "img_resolution": 256,
        "img_channels": 3,
        "mapping_kwargs": {"num_layers": 2, "w_avg_beta": 0.99},
        "channel_base": 32768,
        "magnitude_ema_beta": 0.9988915792636801,
        "num_fp16_res": 4,
        **CONFIG_R,
    }
    assert StyleGAN3Settings.from_nvidia(arguments) == PUBLISHED["R 256"]
    assert StyleGAN3Settings.from_nvidia(dataclasses.asdict(PUBLISHED["T 1024"])) == PUBLISHED["T 1024"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"c_dim": 25}, "class labels"),
        ({"architecture": "resnet"}, "unknown arguments architecture"),
        ({"mapping_kwargs": {"layer_features": 8}}, "mapping_kwargs.layer_features"),
        ({"z_dim": None}, "z_dim is None"),
        ({"img_resolution": 200}, "img_resolution is 200: it must be a power of two"),
        ({"conv_kernel": 5}, "conv_kernel is 5"),
        ({"num_critical": 14}, "num_layers is 14: it must be above num_critical"),
        ({"first_cutoff": 200.0}, "first_cutoff is 200.0"),
        ({"conv_clamp": 0}, "conv_clamp is 0"),
    ],
)
def test_settings_of_no_known_network_are_refused(changed, message):
    arguments = {"z_dim": 512, "w_dim": 512, "img_resolution": 256, **changed}
    with pytest.raises(BrownidError, match=message):
        StyleGAN3Settings.from_nvidia(arguments)


def test_missing_arguments_are_named():
    with pytest.raises(BrownidError, match="lack w_dim, z_dim"):
        StyleGAN3Settings.from_nvidia({"img_resolution": 256})
