"""Both forms of StyleGAN2's low-pass filter give the same, and a GPU takes the faster one."""

import logging

import pytest
import torch

from brownid.generators.stylegan2 import lowpass
from brownid.generators.stylegan2.generator import random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings


@pytest.fixture
def times(monkeypatch):
    """Pretends that this device is a GPU, on which the forms take these times; what is measured is noted."""
    taken, measured = {"depthwise": 2.0, "slices": 1.0}, []

    def milliseconds(form, x, kernel, padding):
        name = next(name for name, other in lowpass.FORMS.items() if other is form)
        measured.append((name, tuple(x.shape[1:]), len(x)))
        if isinstance(taken[name], Exception):
            raise taken[name]
        return taken[name]

    monkeypatch.setattr(lowpass, "can_measure", lambda device: True)
    monkeypatch.setattr(lowpass, "milliseconds", milliseconds)
    monkeypatch.setattr(lowpass, "_chosen", {})
    return taken, measured


@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_both_forms_give_the_same(dtype, near):
    torch.manual_seed(1)
    x, kernel = torch.randn(2, 3, 9, 7).to(dtype), torch.randn(4, 4).to(dtype)
    for padding in (1, 2):
        for layout in (torch.contiguous_format, torch.channels_last):
            images = x.contiguous(memory_format=layout)
            first, second = (form(images, kernel, padding) for form in lowpass.FORMS.values())
            assert first.shape == second.shape == (2, 3, 9 + 2 * padding - 3, 7 + 2 * padding - 3)
            assert first.dtype == second.dtype == dtype
            assert torch.allclose(first, second, atol=near, rtol=near)


@pytest.mark.parametrize("form", lowpass.FORMS)
def test_gradients_equal_finite_differences(form, monkeypatch):
    monkeypatch.setattr(lowpass, "form_for", lambda *_: form)
    torch.manual_seed(1)
    x, kernel = torch.randn(1, 2, 5, 5, dtype=torch.float64, requires_grad=True), torch.randn(4, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: lowpass.low_passed(x, kernel, 1), [x])


def test_a_cpu_takes_the_convolution(caplog):
    with caplog.at_level(logging.INFO, logger="brownid"):
        assert lowpass.form_for(torch.zeros(1, 2, 5, 5), torch.zeros(4, 4), 1) == "depthwise"
    assert not caplog.records


def test_a_gpu_takes_the_faster_form_of_each_layer_and_says_so(times, caplog):
    taken, measured = times
    settings = StyleGAN2Settings(resolution=16, z_dim=4, w_dim=4, channel_base=64, channel_max=4, mapping_layers=1)
    generator = random_stylegan2(settings, 1)
    with caplog.at_level(logging.INFO, logger="brownid"):
        for batch in (2, 3):
            w = torch.randn(batch, 4, requires_grad=True)
            generator.render(w).sum().backward()
    sizes = [(4, 9, 9), (4, 17, 17), (4, 16, 16), (4, 8, 8)]  # up, and gradients back down
    assert [entry[:2] for entry in measured] == [(name, size) for size in sizes for name in ("depthwise", "slices")]
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 4
    assert messages[0].endswith("slices (depthwise 2.000 ms, slices 1.000 ms)")
    lowpass._chosen.clear()
    taken["slices"] = 3.0
    assert lowpass.form_for(torch.zeros(1, 2, 5, 5), torch.zeros(4, 4), 1) == "depthwise"


def test_forms_are_measured_on_some_pictures_of_a_batch(times, monkeypatch):
    _, measured = times
    monkeypatch.setattr(lowpass, "MEASURED", 250)
    for side in (5, 6, 20):
        lowpass.form_for(torch.zeros(7, 2, side, side), torch.zeros(4, 4), 1)
    assert [entry[2] for entry in measured[::2]] == [5, 3, 1]


def test_a_form_that_runs_out_of_memory_is_not_taken(times):
    taken, _ = times
    for slow in ("slices", "depthwise"):
        lowpass._chosen.clear()
        taken |= {"slices": 1.0, "depthwise": 1.0, slow: torch.OutOfMemoryError("CUDA out of memory")}
        assert lowpass.form_for(torch.zeros(1, 2, 5, 5), torch.zeros(4, 4), 1) != slow
    taken["slices"] = RuntimeError("an illegal memory access was encountered")
    lowpass._chosen.clear()
    with pytest.raises(RuntimeError, match="illegal"):
        lowpass.form_for(torch.zeros(1, 2, 5, 5), torch.zeros(4, 4), 1)


def test_images_differ_by_rounding_only(times):
    taken, _ = times
    settings = StyleGAN2Settings(resolution=16, z_dim=4, w_dim=4, channel_base=64, channel_max=4, mapping_layers=1)
    generator, w = random_stylegan2(settings, 1), torch.randn(2, 4)
    first = generator.render(w)
    lowpass._chosen.clear()
    taken["slices"] = 3.0
    assert torch.allclose(first, generator.render(w), atol=1e-5)
