"""The log of a training has a row per batch, also where the training was interrupted."""

import csv
import os
import signal
import sys
from dataclasses import replace

import pytest
import torch

from brownid.jobs.distributed import SINGLE
from brownid.jobs.resume import StateFile, Terminated
from brownid.runtime import process
from brownid.runtime.errors import BrownidError
from brownid.training import loop, steplog
from brownid.training.data import TrainingImages
from brownid.training.loop import Training, _Reports
from brownid.training.settings import TrainingSettings
from brownid.training.steplog import StepLog

SETTINGS = TrainingSettings(
    architecture="slim_plain", embedding_dim=8, epochs=2, batch_size=5, precision="float32", milestones=(1,)
)


@pytest.fixture
def training(shards):
    data = TrainingImages(shards[:1], 32)

    def made(**changes):
        options = {"image_size": 32, "seed": 1, "device": torch.device("cpu"), "threads": 1, "group": SINGLE}
        return Training(replace(SETTINGS, **changes), data, **options)

    return made


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_each_batch_has_a_row_also_behind_an_interruption(tmp_path, training, monkeypatch):
    step, path = Training._step, tmp_path / "log" / "steps.csv"

    def killed(self, batch):
        if batch.number == 3:
            raise RuntimeError("killed")
        return step(self, batch)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(Training, "_step", killed)
        training().run(StateFile(tmp_path / "state", {}), path)  # which keeps the first epoch
    with open(path, "a") as file:
        file.write("3,2,1.5,9.0,0.1\n4,2,1.")  # what a killed process has written
    again = training()
    again.run(StateFile(tmp_path / "state", {}), path)
    found = rows(path)
    assert [(row["batch"], row["epoch"]) for row in found] == [("1", "1"), ("2", "1"), ("3", "2"), ("4", "2")]
    assert [float(row["learning_rate"]) for row in found] == pytest.approx([0.1, 0.1, 0.01, 0.01])
    losses = [float(row["loss"]) for row in found]
    assert sum(losses[2:]) / 2 == pytest.approx(again.history[1].loss, rel=1e-5)
    assert all(float(row["images_per_second"]) > 0 for row in found)


def test_a_training_from_the_start_begins_a_new_log(tmp_path, training):
    path = tmp_path / "steps.csv"
    for _ in range(2):
        training().run(None, path)
        assert len(rows(path)) == 4


def test_rows_are_written_whole_every_few_seconds(tmp_path, monkeypatch):
    log = StepLog(tmp_path / "steps.csv", 0)
    log.add(1, 1, 2.0, 64, 0.1)
    assert rows(tmp_path / "steps.csv") == []
    monkeypatch.setattr(steplog, "FLUSH_SECONDS", 0)
    log.add(2, 1, 3.0, 64, 0.1)
    assert [row["loss"] for row in rows(tmp_path / "steps.csv")] == ["2", "3"]


def test_the_rate_is_that_of_the_last_batches(monkeypatch):
    clock = iter([0.0, 1.0, *range(2, 100)])
    monkeypatch.setattr(steplog.time, "monotonic", lambda: next(clock))
    log = StepLog(None, 0)
    for batch in range(40):
        log.add(batch, 1, 1.0, 10 if batch < 19 else 30, 0.1)
    assert log.last.images_per_second == 30
    assert log.status() == "loss 1.000, 30 images/s, learning rate 0.1"


def test_tensorboard_gets_the_rows_where_it_is_installed(tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder, purge_step):
            written.append((folder, purge_step))

        def add_scalar(self, name, value, batch):
            written.append((name, value, batch))

        def flush(self):
            written.append("flush")

    monkeypatch.setattr(steplog.importlib.util, "find_spec", lambda name: name == "tensorboard")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", type("tensorboard", (), {"SummaryWriter": Writer}))
    log = StepLog(tmp_path / "seed_1.steps.csv", 6)
    log.add(7, 2, 1.5, 8, 0.1)
    log.flush()
    assert written[0] == (str(tmp_path / "seed_1.steps"), 7)
    assert ("loss", 1.5, 7) in written and ("learning_rate", 0.1, 7) in written and written[-1] == "flush"


def test_a_tensorboard_that_cannot_be_imported_is_done_without(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(steplog.importlib.util, "find_spec", lambda name: name == "tensorboard")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    log = StepLog(tmp_path / "steps.csv", 0)
    log.add(1, 1, 2.0, 64, 0.1)
    log.flush()
    assert len(rows(tmp_path / "steps.csv")) == 1
    assert "tensorboard is installed, but fails" in caplog.text


class Lagging(_Reports):
    """Those of a GPU, which are read two batches later."""

    def __init__(self, device):
        super().__init__(device)
        self.behind = 2


def test_reports_that_lag_behind_ask_for_one_save(tmp_path, training, monkeypatch):
    monkeypatch.setattr(loop, "_Reports", Lagging)
    state, saved, asked = StateFile(tmp_path / "state", {}), [], iter([True] * 3 + [False] * 9)
    monkeypatch.setattr(StateFile, "due", lambda *_: next(asked))  # until a save, 2 batches behind the first report
    monkeypatch.setattr(StateFile, "save", lambda _, epochs, tensors: saved.append(int(tensors.get("batches", 0))))
    training(batch_size=2, epochs=1).run(state)
    assert saved == [3, 0], "behind the third batch of five, and behind the epoch"


def test_a_log_holds_the_batches_of_the_state_where_reports_lag_behind(tmp_path, training, monkeypatch):
    monkeypatch.setattr(loop, "_Reports", Lagging)
    step, path = Training._step, tmp_path / "steps.csv"

    def asked(self, batch):
        if batch.number == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch)

    monkeypatch.setattr(Training, "_step", asked)
    with pytest.raises(Terminated):
        training(batch_size=2, epochs=1).run(StateFile(tmp_path / "state", {}), path)
    state = StateFile(tmp_path / "state", {}).load()
    assert len(rows(path)) == int(state.tensors["batches"]) == 4


def test_the_log_has_the_batch_that_diverged(tmp_path, training):
    with pytest.raises(BrownidError, match="diverged in epoch 1, up to batch 2 of 2"):
        training(optimiser="adamw", learning_rate=1e30).run(None, tmp_path / "steps.csv")
    assert [row["batch"] for row in rows(tmp_path / "steps.csv")] == ["1", "2"]


def test_a_progress_bar_and_a_log_show_how_it_goes(monkeypatch, caplog, capsys):
    caplog.set_level("INFO")
    monkeypatch.setattr(process, "LOG_SECONDS", -1)
    assert list(process.progress(range(2), "epoch 1", "batch", status=lambda: "loss 2")) == [0, 1]
    assert "epoch 1: 1 batch of 2" in caplog.text and caplog.text.rstrip().endswith("s each, loss 2")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(process.progress(range(2), "epoch 1", "batch", status=lambda: "loss 2")) == [0, 1]
    assert "epoch 1" in capsys.readouterr().err
