"""`brownid models`: external files are listed, fetched and checked; published generators become files of ours."""

from hashlib import sha256 as digest

import pytest
import torch
import yaml

from brownid.runtime.files import sha256
from brownid.weights.generator_files import read_generator_file


@pytest.fixture
def published(tmp_path):
    """The smallest generator of rosinality's: one layer to map, 4 pixels."""
    shapes = {
        "style.1.weight": (2, 2),
        "style.1.bias": (2,),
        "input.input": (1, 3, 4, 4),
        "conv1.conv.weight": (1, 3, 3, 3, 3),
        "conv1.conv.modulation.weight": (3, 2),
        "conv1.conv.modulation.bias": (3,),
        "conv1.noise.weight": (1,),
        "conv1.activate.bias": (3,),
        "to_rgb1.conv.weight": (1, 3, 3, 1, 1),
        "to_rgb1.conv.modulation.weight": (3, 2),
        "to_rgb1.conv.modulation.bias": (3,),
        "to_rgb1.bias": (1, 3, 1, 1),
        "noises.noise_0": (1, 1, 4, 4),
    }
    weights = {name: torch.ones(shape) for name, shape in shapes.items()}
    torch.save({"g_ema": weights, "latent_avg": torch.zeros(2)}, tmp_path / "published.pt")
    return tmp_path / "published.pt"


def test_convert_writes_the_weights_and_tells_what_they_are(run, published, tmp_path):
    output = tmp_path / "new" / "generator.safetensors"
    text = run("models", "convert", published, "-o", output).output
    content = read_generator_file(output)
    assert f"wrote {output} (stylegan2)" in text
    assert "resolution:  4 pixels" in text
    assert f"in {len(content.state)} tensors" in text
    assert f"sha256:      {sha256(output)}" in text
    assert f"published.pt sha256:{sha256(published)}" in text


def test_convert_replaces_a_file_only_when_told(run, refusal, published, tmp_path):
    output = tmp_path / "generator.safetensors"
    output.write_text("precious")
    assert "the file exists already" in refusal("models", "convert", published, "-o", output)
    assert output.read_text() == "precious"
    run("models", "convert", published, "-o", output, "--overwrite")
    assert read_generator_file(output).family == "stylegan2"


def test_a_hostile_file_is_refused_with_one_sentence(refusal, tmp_path):
    path = tmp_path / "hostile.pkl"
    path.write_bytes(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
    sentence = refusal("models", "convert", path, "-o", tmp_path / "a.safetensors")
    assert f"{path}: the file was refused and nothing in it was executed: it names os.system," in sentence
    assert not (tmp_path / "a.safetensors").exists()


CONTENT = b"weights"
CHECKSUM = digest(CONTENT).hexdigest()


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    """A catalogue of a model that can be fetched and one that cannot; the working directory is empty."""
    (tmp_path / "published").write_bytes(CONTENT)
    usual = {"what": "a network", "source": "https://example.org", "licence": "MIT"}
    entries = {
        "net": {"path": "models/net", "url": (tmp_path / "published").as_uri(), **usual},
        "faces": {"path": "data/faces", "folder": True, **usual},
    }
    (tmp_path / "models.yaml").write_text(yaml.safe_dump(entries))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "models.yaml"


def test_list_says_what_is_there_and_how_to_get_the_rest(run, catalogue, tmp_path):
    text = run("models", "list", "--catalogue", catalogue).output
    assert "models/net: can be fetched" in text and "data/faces: put it there by hand" in text
    assert "https://example.org" in text and "licence: MIT" in text
    (tmp_path / "work/data/faces").mkdir(parents=True)
    assert "data/faces: there" in run("models", "list", "--catalogue", catalogue).output


def test_list_reads_the_project_s_own_catalogue(run):
    assert "models/stylegan2-ffhq-256x256.pkl" in run("models", "list").output


def test_fetch_brings_a_file_and_prints_the_line_to_add(run, catalogue, tmp_path):
    text = run("models", "fetch", "net", "--catalogue", catalogue).output
    assert (tmp_path / "work/models/net").read_bytes() == CONTENT
    assert f'add to net in the catalogue, so that every later fetch is checked: sha256: "{CHECKSUM}"' in text
    assert "is there already" in run("models", "fetch", "net", "--catalogue", catalogue).output


def test_fetch_goes_on_behind_a_model_that_fails(refusal, catalogue, tmp_path):
    assert "faces has no address" in refusal("models", "fetch", "faces", "net", "--catalogue", catalogue)
    assert (tmp_path / "work/models/net").exists()
    assert "no model 'nett'; did you mean 'net'?" in refusal("models", "fetch", "nett", "--catalogue", catalogue)


def test_check_compares_with_the_catalogue(run, refusal, catalogue, tmp_path):
    assert run("models", "check", "--catalogue", catalogue).output == ""
    assert "models/net is missing" in refusal("models", "check", "net", "--catalogue", catalogue)
    run("models", "fetch", "net", "--catalogue", catalogue)
    assert "no SHA-256 is known" in run("models", "check", "--catalogue", catalogue).output
    entries = yaml.safe_load(catalogue.read_text())
    entries["net"]["sha256"] = CHECKSUM
    known = tmp_path / "known.yaml"
    known.write_text(yaml.safe_dump(entries))
    assert "models/net: as published" in run("models", "check", "--catalogue", known).output
    (tmp_path / "work/models/net").write_bytes(b"Weights")
    said = refusal("models", "check", "--catalogue", known)
    assert CHECKSUM in said and digest(b"Weights").hexdigest() in said
