"""Whole trainings on a toy problem: they learn, repeat themselves, resume, and say what went wrong."""

import csv
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.optim.lr_scheduler import MultiStepLR, OneCycleLR

from brownid.jobs.resume import Terminated
from brownid.recognition.backbones import Description, backbone
from brownid.recognition.embedding import embed_images
from brownid.recognition.loading import load_backbone
from brownid.runtime.errors import BrownidError
from brownid.samples.images import ImageShards, write_image_shard
from brownid.training import loop, run
from brownid.training.module import Optimiser, RecognitionModule, learning_rate, weight_decay_groups
from brownid.training.settings import TrainingSettings

SIDE = 32
SETTINGS = {
    "embedding_dim": 32,
    "scale": 16.0,
    "margin": 0.2,
    "epochs": 3,
    "batch_size": 32,
    "learning_rate": 0.1,
    "milestones": (2,),
    "precision": "float32",
}


def train(
    shards, folder: Path, *, state: Path | None = None, seed: int = 1, checksums=None, saving=None, **changes
) -> dict[str, torch.Tensor]:
    run.train_recognition(
        shards,
        TrainingSettings(**(SETTINGS | changes)),
        seed=seed,
        image_size=SIDE,
        output=folder / "model.safetensors",
        history=folder / "history.csv",
        checkpoint=folder / "model.ckpt",
        picture=folder / "train_data.png",
        state=state,
        checksums=checksums,
        saving=saving,
        device="cpu",
    )
    return load_backbone(folder / "model.safetensors").state_dict()


def history(folder: Path) -> list[dict[str, str]]:
    with open(folder / "history.csv") as file:
        return list(csv.DictReader(file))


def equal(first: dict, second: dict) -> bool:
    return all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize(
    "head, options",
    [
        ("adaface", {"schedule": "one_cycle"}),
        ("arcface", {"optimiser": "adamw", "learning_rate": 3e-3, "schedule": "one_cycle"}),
        ("cosface", {"precision": "bfloat16", "milestones": (5,)}),
    ],
)
def test_a_few_seconds_of_training_tell_ten_noisy_templates_apart(tmp_path, shards, head, options):
    train(shards, tmp_path, head=head, **({"epochs": 6} | options))
    assert float(history(tmp_path)[-1]["accuracy"]) > 0.9
    data = ImageShards(shards)
    embeddings = embed_images(load_backbone(tmp_path / "model.safetensors"), data.decode(range(len(data))))
    nearest = (embeddings @ embeddings.T).fill_diagonal_(-1).argmax(1)
    assert (data.identities[nearest.numpy()] == data.identities).mean() > 0.95


def test_training_writes_everything_it_names_and_nothing_else(tmp_path, shards, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(shards, tmp_path / "out", state=tmp_path / "state")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *("history.csv", "model.ckpt", "model.safetensors", "train_data.png"),
    ]
    rows = history(tmp_path / "out")
    assert list(rows[0]) == ["epoch", "images_seen", "loss", "accuracy", "learning_rate"]
    assert [row["images_seen"] for row in rows] == ["160", "320", "480"]
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([0.1, 0.1, 0.01])
    grid = np.asarray(Image.open(tmp_path / "out" / "train_data.png"))
    assert grid.shape == (8 * SIDE, 8 * SIDE, 3) and grid[:SIDE].std() > 20
    assert not grid[4 * SIDE :].any(), "the batch has 32 images"


def test_weights_and_checkpoint_hold_the_same_network(tmp_path, shards):
    weights = train(shards, tmp_path, epochs=1)
    network = load_backbone(tmp_path / "model.safetensors")
    assert network.description == Description("slim", "slim_iresnet", SIDE, 32)
    content = torch.load(tmp_path / "model.ckpt", weights_only=True)
    assert content["hyper_parameters"]["head"] == "adaface" and content["hyper_parameters"]["seed"] == 1
    assert content["state_dict"]["head.weight"].shape == (10, 32)
    assert content["epoch"] == 1 and content["global_step"] == 5 and content["pytorch-lightning_version"]
    assert content["history"][0]["images_seen"] == 160
    assert equal(weights, load_backbone(tmp_path / "model.ckpt", "slim", "slim_iresnet", SIDE, 32).state_dict())


def test_the_network_of_an_adaface_checkpoint_has_the_keys_and_shapes_of_adafaces_own_net():
    with torch.device("meta"):
        settings = TrainingSettings(family="adaface", architecture="ir_18")
        state = RecognitionModule(settings, classes=7, image_size=112, seed=1).state_dict()
    # as AdaFace's inference.py does
    loaded = {name[6:]: list(tensor.shape) for name, tensor in state.items() if name.startswith("model.")}
    assert loaded == adaface_ir(2, 2, 2, 2)
    assert {name.split(".")[0] for name in state} == {"model", "head"}


def adaface_ir(*depths):
    """Keys and shapes of a network of AdaFace's net.py at 112 pixels, from the depths of its four stages."""

    def norm(name, width, affine=True):
        shapes = {"weight": [width], "bias": [width]} if affine else {}
        shapes |= {"running_mean": [width], "running_var": [width], "num_batches_tracked": []}
        return {f"{name}.{key}": shape for key, shape in shapes.items()}

    found = {"input_layer.0.weight": [64, 3, 3, 3], **norm("input_layer.1", 64), "input_layer.2.weight": [64]}
    unit, incoming = 0, 64
    for width, depth in zip((64, 128, 256, 512), depths, strict=True):
        for _ in range(depth):
            here = f"body.{unit}"
            if incoming != width:
                found[f"{here}.shortcut_layer.0.weight"] = [width, incoming, 1, 1]
                found |= norm(f"{here}.shortcut_layer.1", width)
            found |= norm(f"{here}.res_layer.0", incoming)
            found[f"{here}.res_layer.1.weight"] = [width, incoming, 3, 3]
            found |= norm(f"{here}.res_layer.2", width)
            found[f"{here}.res_layer.3.weight"] = [width]
            found[f"{here}.res_layer.4.weight"] = [width, width, 3, 3]
            found |= norm(f"{here}.res_layer.5", width)
            unit, incoming = unit + 1, width
    found |= norm("output_layer.0", 512)
    found |= {"output_layer.3.weight": [512, 512 * 7 * 7], "output_layer.3.bias": [512]}
    return found | norm("output_layer.4", 512, affine=False)


def test_training_twice_gives_equal_weights_and_another_seed_others(tmp_path, shards):
    torch.manual_seed(0)
    first = train(shards, tmp_path / "a", epochs=1)
    torch.manual_seed(5)
    assert equal(first, train(shards, tmp_path / "b", epochs=1))
    assert not equal(first, train(shards, tmp_path / "c", epochs=1, seed=2))
    for name in ("model.safetensors", "model.ckpt", "history.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("images", [3, 5])
def test_an_odd_number_of_images_trains_in_batches_of_two(tmp_path, images):
    pixels = np.random.default_rng(0).integers(0, 256, (images, SIDE, SIDE, 3), np.uint8)
    write_image_shard(tmp_path / "few.arrow", "x", [0, 0, 1, 1, 1][:images], list("abcde")[:images], pixels)
    train([tmp_path / "few.arrow"], tmp_path, epochs=1, batch_size=2, schedule="one_cycle")
    assert history(tmp_path)[-1]["images_seen"] == str(images)


@contextmanager
def stopped_in(monkeypatch, batch, stop, seen=None):
    """A training that `stop` interrupts before a batch, counted over all epochs; `seen` gets those it trains on."""
    step = loop.Training._step

    def interrupted(training, found):
        if found.number == batch:
            stop()
        if seen is not None:
            seen.append(found.number)
        return step(training, found)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "_step", interrupted)
        yield


def killed(*_):
    raise RuntimeError("killed")


ADAMW = {"schedule": "one_cycle", "optimiser": "adamw", "learning_rate": 3e-3, "epochs": 2}
WITH_DROPOUT = {"architecture": "slim_plain", "epochs": 1, "batch_size": 80}


def dropping(*named):
    """A network with dropout before its last layer, which only large ones have."""
    network = backbone(*named)
    network.dropping = torch.nn.Dropout(0.4)
    network.features.register_forward_pre_hook(lambda _, given: (network.dropping(given[0]),))
    return network


@pytest.mark.parametrize(
    "changes, stopped, saving, going_on",
    [
        ({"epochs": 2}, 7, 0, 7),  # in an epoch of 5 batches, where each is kept
        ({"epochs": 2}, 7, 5, 5),  # where whole epochs are kept
        (ADAMW, 8, 0, 8),
        (WITH_DROPOUT, 1, 0, 1),  # of 2 batches
    ],
)
def test_an_interrupted_training_goes_on_and_ends_the_same(
    tmp_path, shards, monkeypatch, changes, stopped, saving, going_on
):
    if changes is WITH_DROPOUT:
        monkeypatch.setattr("brownid.training.module.backbone", dropping)
    whole = train(shards, tmp_path / "whole", **changes)
    saving = {"minutes": saving}
    with stopped_in(monkeypatch, stopped, killed), pytest.raises(RuntimeError, match="killed"):
        train(shards, tmp_path / "part", state=tmp_path / "state", saving=saving, **changes)
    assert not (tmp_path / "part" / "model.safetensors").exists()
    seen = []
    with stopped_in(monkeypatch, None, killed, seen):
        resumed = train(shards, tmp_path / "part", state=tmp_path / "state", **changes)
    assert seen[0] == going_on
    assert equal(whole, resumed)
    assert history(tmp_path / "part") == history(tmp_path / "whole")
    ours, theirs = (torch.load(tmp_path / name / "model.ckpt", weights_only=True) for name in ("part", "whole"))
    assert equal(theirs["state_dict"], ours["state_dict"]), "with the statistics of the head"


def test_a_state_belongs_to_its_images_by_checksums_that_are_not_calculated_again(tmp_path, shards, monkeypatch):
    arguments = {"seed": 1, "image_size": SIDE, "precision": "float32", "code": ""}
    owner = run._owner(["a", "b"], TrainingSettings(), **arguments)
    assert owner["images"] == ["a", "b"] and owner != run._owner(["a", "c"], TrainingSettings(), **arguments)
    monkeypatch.setattr(run, "sha256", killed)
    with pytest.raises(RuntimeError, match="killed"):
        train(shards, tmp_path, state=tmp_path / "state", epochs=1)
    train(shards, tmp_path, state=tmp_path / "state", epochs=1, checksums=["a", "b"])


def test_a_state_is_used_under_its_own_settings_alone_and_goes_with_the_folder(tmp_path, shards, monkeypatch):
    for folder, margin in (("a", 0.2), ("b", 0.3)):
        with monkeypatch.context() as patch:
            patch.setattr(run, "_write_history", killed)
            with pytest.raises(RuntimeError, match="killed"):
                train(shards, tmp_path / folder, state=tmp_path / "state", epochs=1, margin=margin)
    assert len(list((tmp_path / "state").iterdir())) == 2
    begun = []
    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "_train_epoch", lambda *_: begun.append(True))
        finished = train(shards, tmp_path / "b", state=tmp_path / "state", epochs=1, margin=0.3)
    assert not begun, "the interrupted training had done its epoch"
    assert equal(finished, train(shards, tmp_path / "c", epochs=1, margin=0.3))
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("batch", [0, 14])
def test_sigterm_keeps_the_batch_and_ends_a_training_with_143(tmp_path, shards, monkeypatch, caplog, batch):
    caplog.set_level("INFO")
    before = signal.getsignal(signal.SIGTERM)
    ask = lambda: os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731
    with stopped_in(monkeypatch, batch, ask), pytest.raises(SystemExit) as end:
        train(shards, tmp_path / "out", state=tmp_path / "state")
    assert end.value.code == 143
    assert "SIGTERM: the training stops and saves its state when the batch ends" in caplog.text
    assert not (tmp_path / "out" / "model.safetensors").exists()
    assert signal.getsignal(signal.SIGTERM) is before
    seen = []
    with stopped_in(monkeypatch, None, killed, seen):
        train(shards, tmp_path / "out", state=tmp_path / "state")
    assert seen == list(range(batch + 1, 15))


def test_sigterm_without_a_state_folder_says_that_nothing_is_kept(tmp_path, shards, monkeypatch, caplog):
    caplog.set_level("INFO")
    with stopped_in(monkeypatch, 1, lambda: os.kill(os.getpid(), signal.SIGTERM)), pytest.raises(Terminated):
        train(shards, tmp_path / "out")
    assert "SIGTERM: the training stops, and nothing of it is kept" in caplog.text


def _zeroed(content: bytes) -> bytes:
    return content[:-3000] + bytes(3000)


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2  # among the weights
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, shards):
    """A training of two epochs, and the state that it left where it was interrupted in the second one."""
    folder = tmp_path_factory.mktemp("interrupted")
    interrupt = pytest.raises(RuntimeError, match="killed")
    with pytest.MonkeyPatch.context() as patch, interrupt, stopped_in(patch, 5, killed):
        train(shards, folder, state=folder / "state", epochs=2)
    return train(shards, folder, epochs=2), next((folder / "state").iterdir())


@pytest.mark.parametrize("damage", [lambda c: c[:-1000], lambda c: b"", _zeroed, _flipped])
def test_a_damaged_state_is_passed_over_with_a_sentence(tmp_path, shards, interrupted, caplog, damage):
    whole, state = interrupted
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / state.name).write_bytes(damage(state.read_bytes()))
    assert equal(whole, train(shards, tmp_path / "out", state=tmp_path / "state", epochs=2))
    assert re.search(r"\.safetensors: this .*damaged.* It is not used, and the run begins at its start", caplog.text)


def test_a_training_that_diverges_says_so_and_leaves_no_weights(tmp_path, shards):
    with pytest.raises(BrownidError, match=r"diverged in epoch 1, up to batch 2 of 5 .*learning_rate"):
        train(shards, tmp_path, optimiser="adamw", learning_rate=1e30, epochs=2)
    assert not (tmp_path / "model.safetensors").exists() and not (tmp_path / "history.csv").exists()


def test_on_a_gpu_training_is_deterministic_without_filling_new_tensors(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    with run._reproducible(torch.get_num_threads(), torch.device("cuda")):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
    assert torch.utils.deterministic.fill_uninitialized_memory and not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("decaying", ["auto", "kernels", "all_but_batch_norm"])
def test_parameters_decay_as_in_the_recipe_of_their_family(decaying):
    settings = TrainingSettings(family="insightface", architecture="iresnet18", embedding_dim=8, decaying=decaying)
    module = RecognitionModule(settings, classes=3, image_size=32, seed=0)
    decaying, free = weight_decay_groups(module, settings)
    names = {id(p): name for name, p in module.named_parameters()}
    assert (decaying["weight_decay"], free["weight_decay"]) == (5e-4, 0.0)
    decaying, free = ({names[id(p)] for p in group["params"]} for group in (decaying, free))
    assert {"model.conv1.weight", "model.fc.weight", "head.weight"} <= decaying
    assert {"model.bn1.weight", "model.layer1.0.bn3.bias", "model.features.bias"} <= free
    others = {"model.layer1.0.prelu.weight", "model.fc.bias"}
    assert others <= (free if settings.decaying == "kernels" else decaying)
    assert "model.features.weight" not in decaying | free  # held at one, as published
    assert len(decaying | free) == len(names) - 1


def test_of_the_slim_family_kernels_and_matrices_alone_decay():
    settings = TrainingSettings(embedding_dim=8)
    module = RecognitionModule(settings, classes=3, image_size=32, seed=0)
    decaying, free = (group["params"] for group in weight_decay_groups(module, settings))
    assert all(p.ndim > 1 for p in decaying) and all(p.ndim <= 1 for p in free)


@pytest.mark.parametrize(
    ("changes", "scheduler"),
    [
        ({"milestones": (1, 3, 4), "decay": 0.3}, lambda o: MultiStepLR(o, [7, 21, 28], 0.3)),
        (
            {"schedule": "one_cycle", "warm_up": 0.3},
            lambda o: OneCycleLR(o, 0.1, total_steps=35, pct_start=0.3, cycle_momentum=False),
        ),
    ],
)
def test_learning_rates_are_those_of_torch_to_the_last_digit(changes, scheduler):
    settings = TrainingSettings(**(SETTINGS | changes | {"epochs": 5}))
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    theirs = scheduler(optimiser)
    for update in range(35):
        assert learning_rate(settings, update, steps=7) == theirs.get_last_lr()[0]
        optimiser.step()
        theirs.step()


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_updates_are_those_of_torch_to_the_last_digit(optimiser):
    settings = TrainingSettings(optimiser=optimiser, weight_decay=0.02)
    ours, theirs = (torch.nn.Linear(3, 2) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    mine = Optimiser(ours, settings)
    groups = weight_decay_groups(theirs, settings)
    other = torch.optim.SGD(groups, momentum=0.9) if optimiser == "sgd" else torch.optim.AdamW(groups)
    for update, rate in enumerate((0.1, 0.2, 0.05)):
        for network in (ours, theirs):
            network(torch.full((4, 3), update + 1.0)).square().mean().backward()
        for group in other.param_groups:
            group["lr"] = rate
        other.step()
        other.zero_grad()
        mine.step(update, rate)
    assert equal(ours.state_dict(), theirs.state_dict())


@pytest.mark.nightly
def test_training_imports_no_compiler():
    code = (
        "import torch\n"
        "from brownid.training.run import TrainingSettings\n"
        "from brownid.training.module import Optimiser\n"
        "network = torch.nn.Linear(2, 2)\n"
        "network(torch.ones(3, 2)).sum().backward()\n"
        "Optimiser(network, TrainingSettings()).step(0, 0.1)\n"
        "import sys; sys.exit('torch._dynamo' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
