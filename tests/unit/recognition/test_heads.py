"""Margins by hand, in degrees, on two-dimensional embeddings."""

import math

import pytest
import torch

from brownid.recognition.heads import HEADS, AdaFaceHead, ArcFaceHead, CosFaceHead


def at(degrees: float, norm: float = 1.0) -> torch.Tensor:
    return norm * torch.tensor([[math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]])


def with_classes(head, *degrees: float):
    """The head with one class weight in each direction."""
    with torch.no_grad():
        head.weight.copy_(torch.cat([at(d, norm=3.0) for d in degrees]))
    return head


LABEL = torch.tensor([0])


def test_arcface_adds_its_margin_to_the_angle_of_the_label_alone():
    head = with_classes(ArcFaceHead(2, 2, margin=math.radians(20), scale=10.0), 0, 90)
    logits = head(at(40, norm=7.0), LABEL)
    assert logits[0].tolist() == pytest.approx([10 * math.cos(math.radians(60)), 10 * math.cos(math.radians(50))])


def test_cosface_subtracts_its_margin_from_the_cosine_of_the_label_alone():
    head = with_classes(CosFaceHead(2, 2, margin=0.25, scale=8.0), 0, 90)
    logits = head(at(60), LABEL)
    assert logits[0].tolist() == pytest.approx([8 * (0.5 - 0.25), 8 * math.cos(math.radians(30))])


@pytest.mark.parametrize("quality", [-1.0, 0.0, 0.5, 1.0])
def test_adaface_turns_its_margin_from_angle_to_addition_with_the_norm(quality):
    head = with_classes(AdaFaceHead(2, 2, margin=0.4, scale=16.0, h=0.5, t_alpha=0.01), 0, 90).eval()
    head.norm_mean.fill_(20.0)
    head.norm_std.fill_(4.0 - 1e-3)
    norm = 20.0 + quality * 4.0 / 0.5  # ẑ = (norm − 20) / 4 · 0.5
    logits = head(at(60, norm), LABEL)
    expected = math.cos(math.radians(60) - 0.4 * quality) - (0.4 * quality + 0.4)
    assert logits[0].tolist() == pytest.approx([16 * expected, 16 * math.cos(math.radians(30))], abs=1e-4)


def test_adaface_clips_the_quality():
    head = with_classes(AdaFaceHead(2, 1, scale=1.0), 0).eval()
    head.norm_std.fill_(1e-3)
    best, better = head(at(60, norm=90.0), LABEL), head(at(60, norm=99.0), LABEL)
    assert best.item() == pytest.approx(better.item(), abs=1e-6)
    assert best.item() == pytest.approx(math.cos(math.radians(60) - 0.4) - 0.8, abs=1e-5)


def test_adaface_follows_the_norms_only_while_training():
    head = AdaFaceHead(2, 2, t_alpha=0.25)
    assert (head.norm_mean.item(), head.norm_std.item()) == (20.0, 100.0)
    embeddings = torch.cat([at(0, norm=8.0), at(90, norm=12.0)])
    head(embeddings, torch.tensor([0, 1]))
    assert head.norm_mean.item() == pytest.approx(0.75 * 20 + 0.25 * 10)
    assert head.norm_std.item() == pytest.approx(0.75 * 100 + 0.25 * math.sqrt(8), rel=1e-6)
    before = head.norm_mean.item()
    head.eval()(embeddings, torch.tensor([0, 1]))
    assert head.norm_mean.item() == before
    head.train()(embeddings[:1], LABEL)  # one norm has no spread
    assert head.norm_mean.item() == before


def test_adaface_statistics_take_no_gradient():
    head = AdaFaceHead(2, 2, t_alpha=1.0)
    embeddings = torch.cat([at(10, norm=8.0), at(70, norm=12.0)]).requires_grad_()
    head(embeddings, torch.tensor([0, 1])).sum().backward()
    radial = (embeddings.grad * embeddings.detach()).sum(1)  # the logits depend on the direction alone
    assert radial.abs().max() < 1e-4


@pytest.mark.parametrize("name", list(HEADS))
@pytest.mark.parametrize("degrees", [0.0, 180.0])
def test_forces_are_finite_on_the_class_weight_and_opposite_to_it(name, degrees):
    head = with_classes(HEADS[name](2, 2, margin=0.4, scale=64.0), 0, 90)
    embedding = at(degrees, norm=20.0).requires_grad_()
    torch.nn.functional.cross_entropy(head(embedding, LABEL), LABEL).backward()
    assert torch.isfinite(embedding.grad).all() and torch.isfinite(head.weight.grad).all()


def test_the_arcface_logit_falls_with_the_angle_up_to_180_degrees():
    head = with_classes(ArcFaceHead(2, 1, margin=0.5, scale=1.0), 0)
    angles = torch.cat([at(d) for d in range(1, 180)])
    logits = head(angles, torch.zeros(179, dtype=torch.int64)).squeeze(1)
    assert (logits.diff() < 0).all()


@pytest.mark.parametrize("name", list(HEADS))
def test_margins_make_the_task_harder_and_none_leaves_it(name):
    torch.manual_seed(0)
    embeddings, labels = torch.randn(16, 8) * 5, torch.randint(0, 4, (16,))
    with_margin = HEADS[name](8, 4, margin=0.3, scale=4.0).eval()
    without = HEADS[name](8, 4, margin=0.0, scale=4.0).eval()
    without.weight.data.copy_(with_margin.weight.data)
    rows = torch.arange(16)
    assert (with_margin(embeddings, labels)[rows, labels] < without(embeddings, labels)[rows, labels]).all()
    cosines = torch.nn.functional.normalize(embeddings) @ torch.nn.functional.normalize(without.weight).T
    assert torch.allclose(without(embeddings, labels), 4 * cosines, atol=1e-4)
