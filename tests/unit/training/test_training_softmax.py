"""A softmax shared between processes is that over all classes; a sampled one that over the sampled classes."""

import numpy as np
import pytest
import torch
from forked import in_processes
from test_training_processes import assert_close, trained
from torch.nn import functional as F

from brownid.jobs.distributed import SINGLE, own_rows
from brownid.jobs.resume import StateFile
from brownid.recognition.heads import HEADS
from brownid.training.loop import Training
from brownid.training.module import Optimiser
from brownid.training.settings import TrainingSettings
from brownid.training.softmax import Sampled, sampled_classes, shared_softmax

CLASSES, LABELS = 10, torch.tensor([3, 0, 9, 3, 6])


def head_and_embeddings(name):
    torch.manual_seed(3)
    head = HEADS[name](6, CLASSES, scale=8.0)
    return head, (torch.randn(len(LABELS), 6) * 9).requires_grad_()


def whole(name, chosen=None):
    """Loss, gradients, hits and statistics by torch's cross entropy over all classes, or over some."""
    head, embeddings = head_and_embeddings(name)
    weight, labels = head.weight, LABELS
    if chosen is not None:
        head.weight = torch.nn.Parameter(weight.detach()[list(chosen)])
        labels = torch.tensor([list(chosen).index(label) for label in LABELS])
    loss = F.cross_entropy(head(embeddings, labels), labels)
    loss.backward()
    hits = (head.cosines(embeddings).argmax(1) == labels).sum()
    return [loss.item(), hits.item(), embeddings.grad.tolist(), head.weight.grad.tolist(), statistics(head)]


def statistics(head):
    return [buffer.item() for buffer in head.buffers()]


def shared(group, chosen=None, heads=HEADS, rounded=torch.Tensor.float):
    """The same by processes that hold the weights of their classes, for each head."""
    found = {}
    for name in heads:
        head, embeddings = head_and_embeddings(name)
        own = own_rows(group, CLASSES)
        head.weight = torch.nn.Parameter(head.weight.detach()[own])
        mine = rounded(embeddings.detach()[own_rows(group, len(LABELS))]).requires_grad_()
        rows = None if chosen is None else torch.tensor([c - own.start for c in chosen if own.start <= c < own.stop])
        outcome = shared_softmax(head, mine, LABELS, own.start, None if rows is None else rows.long(), group)
        outcome.loss.backward()
        of_weight = head.weight.grad if chosen is None else outcome.sampled.values.grad
        gradients = [mine.grad.tolist(), [] if of_weight is None else of_weight.tolist()]
        found[name] = [outcome.loss.item(), outcome.hits.item(), *gradients, statistics(head)]
    return found


CHOSEN = (None, (0, 3, 4, 6, 9), (0, 3, 6, 9), tuple(range(CLASSES)))


@pytest.fixture(scope="module")
def by_four():
    """What each of four processes finds, for each choice."""
    return in_processes(4, lambda group: [shared(group, chosen) for chosen in CHOSEN])


@pytest.mark.parametrize("chosen", CHOSEN)
def test_processes_share_the_softmax_over_all_classes_and_over_some(chosen, by_four):
    """Of four processes each has two or three classes, and of (0, 3, 6, 9) one; (7, 8) are in none."""
    number_of_choice = CHOSEN.index(chosen)
    for found in ([shared(SINGLE, chosen)], [process[number_of_choice] for process in by_four]):
        for name in HEADS:
            loss, hits, of_embeddings, of_weight, running = whole(name, chosen)
            for process in found:
                np.testing.assert_allclose(process[name][0], loss, rtol=1e-5)
                assert process[name][1] == hits
                np.testing.assert_allclose(process[name][4], running, rtol=1e-6)
            for number, expected in ((2, of_embeddings), (3, of_weight)):
                joined = [row for process in found for row in process[name][number]]
                np.testing.assert_allclose(joined, expected, rtol=1e-5, atol=1e-5)


def test_a_process_without_a_sampled_class_takes_no_part():
    """Nor does it in bfloat16, where the loss is that of the same numbers in float32."""
    chosen = (0, 3, 6, 9)
    alone = whole("arcface", chosen)
    forms = [torch.Tensor.float, torch.Tensor.bfloat16, lambda embeddings: embeddings.bfloat16().float()]
    found = in_processes(5, lambda group: [shared(group, chosen, ["arcface"], form)["arcface"] for form in forms])
    assert [] in [plain[3] for plain, _, _ in found]
    for plain, rounded, same in found:
        assert plain[:2] == [pytest.approx(alone[0], rel=1e-5), alone[1]]
        assert rounded[:2] == same[:2] and rounded[3:] == same[3:]
        np.testing.assert_allclose(rounded[2], same[2], rtol=0.01)


def test_sampled_classes_belong_to_seed_and_batch_and_hold_those_of_the_images():
    labels = np.array([5, 5, 77, 91])
    found = sampled_classes(100, labels, 0.2, seed=1, batch=3)
    assert len(found) == 20 and {5, 77, 91} <= set(found) and list(found) == sorted(set(found))
    assert list(found) == list(sampled_classes(100, labels, 0.2, seed=1, batch=3))
    assert list(found) != list(sampled_classes(100, labels, 0.2, seed=1, batch=4))
    assert list(sampled_classes(100, labels, 0.01, seed=1, batch=3)) == [5, 77, 91]
    assert list(sampled_classes(100, labels, 1.0, seed=1, batch=3)) == list(range(100))
    counts = np.zeros(100)
    for batch in range(400):
        counts[sampled_classes(100, labels, 0.2, seed=1, batch=batch)] += 1
    others = np.delete(counts, [5, 77, 91])
    assert (counts[[5, 77, 91]] == 400).all() and others.mean() == pytest.approx(17 / 97 * 400)
    assert others.std() < 15


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_classes_that_are_not_sampled_keep_their_weights_and_moments(few, optimiser):
    settings = TrainingSettings(
        architecture="slim_plain", embedding_dim=8, batch_size=4, optimiser=optimiser, class_sample_rate=0.5
    )
    training = Training(settings, few, image_size=32, seed=1, device=torch.device("cpu"), threads=1)
    before = training.module.head.weight.detach().clone()
    batch = training.batches(0)[0]
    training._step(batch)
    after, rows = training.module.head.weight.detach(), batch.classes
    assert len(rows) == 5
    moved = (after != before).any(1)
    assert moved.nonzero().squeeze(1).tolist() == rows.tolist()
    names = training.optimiser.names_of(training.module.head.weight)
    assert len(names) == (1 if optimiser == "sgd" else 2)
    for name in names:
        assert (training.optimiser.moments()[name] != 0).any(1).tolist() == moved.tolist()


def test_a_step_on_sampled_rows_is_that_of_these_rows_alone():
    settings = TrainingSettings(optimiser="sgd", weight_decay=0.1)
    linear, few_rows = torch.nn.Linear(3, 4, bias=False), torch.nn.Linear(3, 2, bias=False)
    rows = torch.tensor([1, 3])
    few_rows.weight.data = linear.weight.detach()[rows].clone()
    ours, theirs = Optimiser(linear, settings), Optimiser(few_rows, settings)
    for update in range(3):
        values = linear.weight.detach()[rows].requires_grad_()
        values.grad = torch.full_like(values, update + 1.0)
        few_rows.weight.grad = torch.full_like(values, update + 1.0)
        ours.step(update, 0.1, Sampled(linear.weight, rows, values))
        theirs.step(update, 0.1)
    assert torch.equal(linear.weight[rows], few_rows.weight)


@pytest.mark.parametrize(
    "changes", [pytest.param({}, marks=pytest.mark.nightly), {"class_sample_rate": 0.6, "epochs": 1}]
)
def test_processes_that_share_the_head_train_the_network_of_one(few, compiler, tmp_path, monkeypatch, changes):
    """And what they keep is whole: one process goes on from it."""
    alone = trained(few, SINGLE, **changes)

    def kept(group):
        return trained(few, group, StateFile(tmp_path / "state", {}), shard_head_from=2, **changes)

    for numbers in in_processes(3, kept):
        assert_close(numbers, alone)
    seen = []
    monkeypatch.setattr(Training, "_step", lambda *_: seen.append(True))
    assert_close(trained(few, SINGLE, StateFile(tmp_path / "state", {}), **changes), alone)
    assert not seen, "all was done"
