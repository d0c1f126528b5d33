"""Chains of elementwise steps are compiled on a GPU that has a compiler, and run step by step otherwise."""

import logging
import os
import shutil
import weakref

import pytest
import torch

from brownid.facemodel.model import GeneratorFaceModel
from brownid.generators.stylegan2.generator import random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.runtime import fusing

CUDA = torch.device("cuda")


def start_anew(monkeypatch):
    """The state of a process that has compiled nothing."""
    for name, value in {"_programs": {}, "_chains": False, "_failed": False}.items():
        monkeypatch.setattr(fusing, name, value)


@pytest.fixture
def compiler(monkeypatch):
    """A stand-in for a GPU's compiler, which counts the programs it makes."""
    made = []

    def compile(graph, inputs):
        made.append(graph)
        return graph.forward

    monkeypatch.setattr(fusing, "_has_backend", lambda: True)
    monkeypatch.setattr(fusing, "BACKEND", compile)
    start_anew(monkeypatch)
    torch._dynamo.reset()
    return made


@fusing.chain
def doubled(x: torch.Tensor, y: torch.Tensor | None) -> torch.Tensor:
    return 2 * x if y is None else 2 * x + y


def test_nothing_is_compiled_on_a_cpu_or_without_triton(compiler, monkeypatch):
    assert not fusing.compile_chains(torch.device("cpu"))
    monkeypatch.setattr(fusing, "_has_backend", lambda: False)
    assert not fusing.compile_chains(CUDA)
    assert doubled(torch.ones(3), None).tolist() == [2, 2, 2] and not compiler


def test_one_program_serves_all_sizes(compiler):
    assert fusing.compile_chains(CUDA)
    for size in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29):
        assert torch.equal(doubled(torch.ones(size, 2 * size), None), torch.full((size, 2 * size), 2.0))
    assert len(compiler) == 1


def test_a_compiler_that_fails_is_a_warning(compiler, monkeypatch, caplog):
    def refuse(graph, inputs):
        raise RuntimeError("no registers left")

    monkeypatch.setattr(fusing, "BACKEND", refuse)
    fusing.compile_chains(CUDA)
    with caplog.at_level(logging.WARNING, logger="brownid"):
        assert doubled(torch.ones(2), torch.ones(2)).tolist() == [3, 3]
        assert doubled(torch.ones(2), torch.ones(2)).tolist() == [3, 3]
    ours = [record for record in caplog.records if record.name == "brownid" and record.levelno == logging.WARNING]
    assert [record.message.count("no registers left") for record in ours] == [1]


def test_a_failed_program_lets_go_of_its_tensors_before_the_steps_run(compiler, monkeypatch):
    held, alive = [], []

    def fail(*arguments):
        large = torch.zeros(3)
        held.append(weakref.ref(large))
        raise RuntimeError("the driver is too old")

    def step(x):
        alive.append(held[0]())
        return x

    monkeypatch.setattr(torch, "compile", lambda *_, **__: fail)
    assert fusing.run_compiled(step, (1,)) == 1 and alive == [None]


def test_memory_that_runs_out_in_a_program_is_not_the_compilers_fault(compiler, monkeypatch, caplog):
    def exhaust(graph, inputs):
        def call(*arguments):
            raise torch.OutOfMemoryError("CUDA out of memory")

        return call

    monkeypatch.setattr(fusing, "BACKEND", exhaust)
    fusing.compile_chains(CUDA)
    with pytest.raises(torch.OutOfMemoryError):
        doubled(torch.ones(2), None)
    assert fusing._programs and "torch.compile failed" not in caplog.text


def test_a_face_model_compiles_chains_on_request(compiler, monkeypatch):
    asked = []
    monkeypatch.setattr("brownid.facemodel.model.compile_chains", asked.append)
    for compile in (False, "auto"):
        generator = random_stylegan2(StyleGAN2Settings(resolution=4, z_dim=4, w_dim=4, channel_max=2), 1)
        GeneratorFaceModel(generator, torch.nn.Identity(), torch.nn.Flatten(), compile=compile)
    assert asked == [torch.device("cpu")]


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler")
def test_chains_compiled_to_machine_code_give_the_same(monkeypatch):
    settings = StyleGAN2Settings(resolution=16, z_dim=4, w_dim=4, channel_base=64, channel_max=4, conv_clamp=1.0)
    generator, latents = random_stylegan2(settings, 1, noise="fixed"), torch.randn(3, 4)
    for layer in generator.synthesis.noisy_layers().values():
        layer.noise_strength.data.fill_(0.3)
    found = []
    start_anew(monkeypatch)
    for chains in (False, True):
        monkeypatch.setattr(fusing, "_chains", chains)
        w = latents.clone().requires_grad_()
        images = generator.render(w)
        found.append((images.detach(), torch.autograd.grad(images.square().sum(), w)[0]))
    assert len(fusing._programs) == 2
    torch.testing.assert_close(*found, atol=1e-4, rtol=1e-4)
