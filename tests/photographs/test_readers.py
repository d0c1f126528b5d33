"""The readers of the field read exported training sets: MXNet for record files, msgpack for LMDB."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import published
import pytest
from PIL import Image

from brownid.databases.decoding import load_rgb

PACKAGES, READER = published.HERE / "readers.txt", published.HERE / "read_layouts.py"
ENVIRONMENT = published.PROJECT / "build" / "readers"


@pytest.fixture(scope="session")
def reader() -> Path:
    """The Python of an environment with the packages of readers.txt, installed once."""
    if sys.version_info >= (3, 13):
        pytest.skip("there is no numpy for MXNet on this version of Python")
    python, done = ENVIRONMENT / "bin" / "python", ENVIRONMENT / PACKAGES.name
    if done.is_file() and done.read_bytes() == PACKAGES.read_bytes():
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", ENVIRONMENT], check=True)
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    command += ["--retries", "1", "--only-binary", ":all:", "--requirement", PACKAGES]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    if published.NO_ANSWER.search(installed.stderr):
        pytest.skip(published.UNANSWERED)
    assert installed.returncode == 0, installed.stderr
    done.write_bytes(PACKAGES.read_bytes())
    return python


@pytest.fixture(scope="session")
def people(tmp_path_factory) -> Path:
    """Three persons of two random images each."""
    root = tmp_path_factory.mktemp("readers") / "people"
    for number in range(6):
        path = root / f"person {number // 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return root


def test_the_readers_of_the_field_read_what_brownid_exports(people, reader, brownid, tmp_path):
    for layout in ("recordio", "lmdb"):
        brownid("export", people, "--to", layout, "-o", tmp_path / layout)
    words = [reader, READER, tmp_path / "recordio", tmp_path / "lmdb" / "train.lmdb"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, files = json.loads(done.stdout), sorted(people.glob("*/*.png"))
    labels, pixels = [0, 0, 1, 1, 2, 2], [sha256(load_rgb(path).tobytes()).hexdigest() for path in files]
    assert found["recordio"] == {"labels": labels, "pixels": pixels, "ranges": [[1, 3], [3, 5], [5, 7]]}
    images = [sha256(path.read_bytes()).hexdigest() for path in files]
    assert found["lmdb"] == {"labels": labels, "images": images, "length": 6, "classes": 3}
