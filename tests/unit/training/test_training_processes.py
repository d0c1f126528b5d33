"""Processes that share every batch train the network that one process trains."""

import os
import shutil
import signal
import time

import numpy as np
import pytest
import torch
from forked import in_processes
from torch import nn

from brownid.jobs.distributed import SINGLE, gather
from brownid.jobs.resume import StateFile, Terminated
from brownid.runtime.errors import BrownidError
from brownid.training.data import EpochBatches, TrainingImages
from brownid.training.layers import AddressedDropout, Place, address_dropout, share_batch_norm
from brownid.training.loop import Training
from brownid.training.settings import TrainingSettings

SIDE = 32
TINY = {
    "architecture": "slim_plain", "embedding_dim": 8, "scale": 8.0, "margin": 0.2, "epochs": 2, "batch_size": 5,
    "learning_rate": 1e-3, "precision": "float32",
}  # fmt: skip


@pytest.fixture(scope="module")
def data(shards) -> TrainingImages:
    return TrainingImages(shards, SIDE)


def trained(data, group, state=None, shard_head_from=100, **changes):
    training = Training(
        TrainingSettings(**(TINY | changes)), data,
        image_size=SIDE, seed=1, device=torch.device("cpu"), threads=1, group=group, shard_head_from=shard_head_from,
    )  # fmt: skip
    training.run(state)
    state = training.weights()
    assert bool(state) == (group.rank == 0)
    for name, tensor in training.module.state_dict().items():  # which the others do not get
        shared = training.own_classes is not None and name == "head.weight"
        whole = gather(group, tensor, data.classes) if shared else tensor
        assert torch.equal(state.get(name, whole), whole)
        state[name] = whole
    numbers = {name: tensor.tolist() for name, tensor in state.items()}
    return numbers | {
        "loss": [row.loss for row in training.history],
        "hits": [row.accuracy for row in training.history],
    }


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(
            torch.tensor(found[name]),
            torch.tensor(values),
            rtol=1e-5,
            atol=1e-5,
            msg=lambda text, n=name: f"{n}: {text}",
        )


@pytest.mark.parametrize(
    "size, changes",
    [
        pytest.param(2, {"head": "cosface", "optimiser": "adamw", "learning_rate": 1e-5}, marks=pytest.mark.nightly),
        (3, {}),
    ],
)
def test_several_processes_train_the_network_of_one(few, compiler, size, changes):
    """Batches of five images, which neither two nor three processes can share equally."""
    alone = trained(few, SINGLE, **changes)
    found = in_processes(size, lambda group: trained(few, group, **changes))
    for numbers in found:
        assert_close(numbers, alone)
        assert numbers == found[0], "the processes never drift apart"


def test_what_two_processes_keep_goes_on_in_three_and_in_one(few, compiler, tmp_path, monkeypatch):
    """SIGTERM reaches one of them; both stop behind the same batch, inside an epoch."""
    step = Training._step

    def asked(training, batch):
        if batch.number == 2 and training.group.rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(training, batch)

    def stopped(group):
        with pytest.raises(Terminated):
            trained(few, group, StateFile(tmp_path / "state", {}), epochs=3)
        return int(StateFile(tmp_path / "state", {}).load().tensors.get("batches", 0))

    def slowly(state, *saved):
        time.sleep(0.1)
        save(state, *saved)

    save = StateFile.save
    with monkeypatch.context() as patch:
        patch.setattr(Training, "_step", asked)
        patch.setattr(StateFile, "save", slowly)
        assert in_processes(2, stopped) == [1, 1], "none ends while the first one saves"
    whole = trained(few, SINGLE, epochs=3)
    seen = []
    monkeypatch.setattr(Training, "_step", lambda training, batch: seen.append(batch.number) or step(training, batch))
    for left in ("alone", "shared"):
        shutil.copy(tmp_path / "state", tmp_path / left)
    assert_close(trained(few, SINGLE, StateFile(tmp_path / "alone", {}), epochs=3), whole)
    assert seen == [3, 4, 5]
    for numbers in in_processes(3, lambda group: trained(few, group, StateFile(tmp_path / "shared", {}), epochs=3)):
        assert_close(numbers, whole)


def test_processes_that_diverge_stop_together_with_one_sentence(few, compiler):
    steep = {"optimiser": "adamw", "learning_rate": 1e30}
    found = in_processes(2, lambda group: trained(few, group, **steep))
    assert [type(error) for error in found] == [BrownidError] * 2
    assert str(found[0]) == str(found[1]) and "diverged in epoch 1, up to batch 2 of 2" in str(found[0])


def test_processes_share_the_images_of_every_batch(data):
    class Share:
        def __init__(self, rank, size):
            self.rank, self.size = rank, size

    whole = EpochBatches(data, 48, seed=1, epoch=2)
    shares = [EpochBatches(data, 48, seed=1, epoch=2, group=Share(rank, 3)) for rank in range(3)]
    for number in range(len(whole)):
        batch, parts = whole[number], [share[number] for share in shares]
        assert torch.equal(torch.cat([part.images for part in parts]), batch.images)
        assert torch.equal(torch.cat([part.numbers for part in parts]), batch.numbers)
        assert torch.equal(torch.cat([part.own_labels for part in parts]), batch.labels)
        assert all(torch.equal(part.labels, batch.labels) for part in parts)


def norm_of(group):
    """Outputs, gradients and running statistics of a batch-norm over 7 images of 3 pixels, of which some are here."""
    random = np.random.default_rng(0)
    images, target = (torch.from_numpy(random.normal(2, 3, (7, 4, 3, 1))).float() for _ in range(2))
    network = nn.Sequential(nn.BatchNorm2d(4, momentum=0.3))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([1.0, 2.0, -0.5, 0.1]))
    rows = slice(0, 7)
    if group.size > 1:
        share_batch_norm(network, group)
        rows = (slice(0, 1), slice(1, 5), slice(5, 7))[group.rank]
    own = images[rows].clone().requires_grad_()
    output = network(own)
    (output - target[rows]).square().sum().backward()
    norm = network[0]
    sums = [norm.weight.grad, norm.bias.grad]
    rest = [norm.running_mean, norm.running_var, norm.num_batches_tracked]
    return [output.tolist(), own.grad.tolist()], [group.sum(each).tolist() for each in sums], [e.tolist() for e in rest]


def test_batch_norm_over_processes_is_that_of_torch_over_all_images():
    rows, sums, statistics = norm_of(SINGLE)
    found = in_processes(3, norm_of)
    for number in range(2):
        joined = [row for process in found for row in process[0][number]]
        np.testing.assert_allclose(joined, rows[number], rtol=1e-5, atol=1e-5)
    for process in found:
        for ours, theirs in zip([*process[1], *process[2]], [*sums, *statistics], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_dropout_belongs_to_the_batch_and_not_to_the_process():
    place = Place(seed=5, count=6, rows=slice(0, 6))
    network = nn.Sequential(nn.Dropout(0.4), nn.Flatten(), nn.Dropout(0.4))
    address_dropout(network, place)
    assert [type(each) for each in network] == [AddressedDropout, nn.Flatten, AddressedDropout]
    ones = torch.ones(6, 5, 10)
    whole = network(ones)
    assert torch.equal(network(ones), whole) and not torch.equal(
        network[0](ones).flatten(1), network[2](ones).flatten(1)
    )
    place.rows = slice(2, 5)
    assert torch.equal(network(ones[2:5]), whole[2:5])
    place.seed += 2
    assert not torch.equal(network(ones[2:5]), whole[2:5])
    many = AddressedDropout(0.4, Place(1, 100, slice(0, 100)), 0)(torch.ones(100, 100))
    assert many.unique().tolist() == pytest.approx([0, 1 / 0.6]) and abs(many.mean() - 1) < 0.03
    assert torch.equal(network.eval()(ones), ones.flatten(1))


def test_more_processes_than_images_in_a_batch_are_refused(data):
    class Group:
        rank, size = 0, 6

    with pytest.raises(BrownidError, match="6 processes cannot share batches of 5 images"):
        trained(data, Group())
