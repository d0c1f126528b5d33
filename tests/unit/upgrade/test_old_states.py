"""States as version 0.1 laid them out are read, and the loops of today go on from them."""

import hashlib
import io
import json

import pytest
import torch

from brownid.jobs.iteration import in_chunks, iterate
from brownid.jobs.resume import SavedState, StateFile, state_path
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256
from brownid.upgrade.old_states import BLOCK, laid_out, read_checkpoint


def kept(tmp_path, rule, iteration, **tensors):
    """A state file of today's layout, from the tensors of an old one."""
    saved = laid_out(rule, SavedState(iteration, {name.replace("__", "/"): value for name, value in tensors.items()}))
    state = StateFile(tmp_path / "state.safetensors", {})
    state.save(saved.iteration, saved.tensors)
    assert laid_out(rule, saved) is saved
    return state


def test_an_embedding_goes_on_behind_its_blocks(tmp_path):
    failures = torch.tensor(list(json.dumps([[3, "dark"]]).encode()), dtype=torch.uint8)
    state = kept(tmp_path, "embed_dataset", 2, embeddings=torch.zeros(2 * BLOCK - 1, 4), failures=failures)
    worked = []

    def work(rows, _):
        worked.append((rows.start, rows.stop))
        return {"embeddings": torch.ones(rows.stop - rows.start, 4), "failures": torch.zeros(0, dtype=torch.uint8)}

    found = in_chunks(2 * BLOCK + 5, work, BLOCK, state=state)
    assert worked == [(2 * BLOCK, 2 * BLOCK + 5)]
    assert found["embeddings"].sum() == 5 * 4 and len(found["embeddings"]) == 2 * BLOCK + 4
    assert json.loads(found["failures"].numpy().tobytes()) == [3, "dark"]


def test_a_projection_goes_on_inside_its_batch(tmp_path):
    state = kept(
        tmp_path,
        "project_database",
        2 * 10 + 4,
        place=torch.tensor([2, 5, 4]),
        done__latents=torch.zeros(2, 3),
        done__losses=torch.zeros(2),
        running__values__latents=torch.full((3, 3), 4.0),
        running__first__latents=torch.zeros(3, 3),
        running__second__latents=torch.zeros(3, 3),
    )

    def work(rows, inner):
        names = ("latents", "first/latents", "second/latents")
        start = {name: torch.zeros(rows.stop - rows.start, 3) for name in names}
        start["losses"] = torch.zeros(rows.stop - rows.start)
        step = lambda tensors, _: ({**tensors, "latents": tensors["latents"] + 1}, {})  # noqa: E731
        end, _ = iterate(step, start, 10, description="", state=inner)
        return {name: end[name] for name in ("latents", "losses")}

    found = in_chunks(7, work, 4, state=state)
    assert found["latents"][:, 0].tolist() == [0, 0, 10, 10, 10, 10, 10]


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A sealed checkpoint of Lightning's after two epochs; returns its path and the images that it was trained on."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images.arrow").write_bytes(b"images")
    fingerprints = tmp_path / ".snakemake/fingerprints"
    fingerprints.mkdir(parents=True)
    for number, code in enumerate(("a" * 16, "b" * 16)):
        (fingerprints / str(number)).write_text(code)
    settings = {"epochs": 3, "precision": "auto"}
    owner = {"settings": settings, "seed": 1, "side": 32, "precision": "bfloat16", "code": "b" * 16}
    path = state_path(tmp_path / "state", {**owner, "images": [sha256("images.arrow")]}).with_suffix(".ckpt")
    moments = {number: {"momentum_buffer": torch.full((2,), float(number))} for number in range(3)}
    row = {"epoch": 1, "images_seen": 6, "loss": 2.0, "accuracy": 0.5, "learning_rate": 0.1}
    content = {
        "state_dict": {"model.weight": torch.ones(2)},
        "optimizer_states": [{"state": moments, "param_groups": [{"params": [0, 1]}, {"params": [2]}]}],
        "hyper_parameters": {**settings, "classes": 4, "side": 32, "seed": 1},
        "history": [row, {**row, "epoch": 2}],
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    whole = bytearray(buffer.getvalue())
    whole[-2:] = (64).to_bytes(2, "little")  # the length of the comment that follows
    path.parent.mkdir()
    path.write_bytes(whole + hashlib.sha256(whole).hexdigest().encode())
    return path, ["images.arrow"]


def test_a_checkpoint_of_an_interrupted_training_says_what_it_belongs_to(checkpoint):
    owner, saved = read_checkpoint(*checkpoint)
    assert (owner["code"], owner["precision"], owner["settings"]) == (
        "b" * 16,
        "bfloat16",
        {"epochs": 3, "precision": "auto"},
    )
    assert saved.iteration == 2 and saved.tensors["history"].tolist()[1] == [2, 6, 2.0, 0.5, 0.1]
    assert {name: tensor[0].item() for name, tensor in saved.tensors.items() if name != "history"} == {
        **{"model.weight": 1.0, "optimiser.0.0.0": 0.0, "optimiser.0.0.1": 1.0, "optimiser.1.0.0": 2.0},
    }


def test_a_checkpoint_of_other_images_or_with_a_changed_byte_is_refused(checkpoint, tmp_path):
    path, images = checkpoint
    (tmp_path / "images.arrow").write_bytes(b"other images")
    with pytest.raises(BrownidError, match="belongs to other images"):
        read_checkpoint(path, images)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BrownidError, match="does not match its checksum"):
        read_checkpoint(path, images)
