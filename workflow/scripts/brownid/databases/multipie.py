"""MultiPIE: its file naming, cameras, flashes and recordings, its protocol lists, and its index."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from brownid.databases.index import DatabaseIndex, Sample
from brownid.databases.listing import (
    csv_rows,
    distinct_keys,
    find_images,
    key_of,
    log_left_out,
    path_text,
    read_lines,
    without_suffix,
)
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import logger

# the list's place in the folder of a protocol -> group; what bob calls world is what models are trained on
GROUPS: Mapping[tuple[str, str], str] = {
    ("norm", "train_world"): "train",
    **{(group, f"for_{purpose}"): group for group in ("dev", "eval") for purpose in ("models", "probes", "scores")},
}
SUFFIXES = (".lst", ".csv")
CLIENT_COLUMNS = ("subject_id", "client_id")

Protocols = dict[str, dict[str, dict[str, str | None]]]  # protocol -> group -> path without suffix -> client


def list_files(folder: str | Path) -> list[Path]:
    """The list files below a folder of protocols, sorted."""
    found = sorted(path for path in Path(folder).glob("*/*/*") if path.suffix in SUFFIXES and _place(path) in GROUPS)
    if not found:
        raise BrownidError(
            f"There is no protocol list below {folder}; expected files such as P_center_lit/norm/train_world.lst."
        )
    return found


def read_lists(files: Iterable[str | Path]) -> Protocols:
    """The images of each protocol and group, in the order of the files and lines, with the client (None: not said).

    Models and probes of a group are joined. BrownidError naming file and line for a line without a client, and for an
    image that has two.
    """
    protocols: Protocols = {}
    for file in sorted(map(Path, files)):
        group = protocols.setdefault(file.parts[-3], {}).setdefault(GROUPS[_place(file)], {})
        for number, path, client in _lines(file):
            if group.setdefault(path, client) != client:
                raise BrownidError(f"{file}, line {number}: {path} is of client {client}, elsewhere of {group[path]}.")
    return protocols


def _place(file: Path) -> tuple[str, str]:
    return file.parent.name, file.stem


def _lines(file: Path) -> Iterable[tuple[int, str, str | None]]:
    lines = read_lines(file, "protocol list")
    if file.suffix == ".csv":
        yield from _csv_lines(file, lines)
        return
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if not 2 <= len(words) <= 4:
            raise BrownidError(f"{file}, line {number}: expected a path and a client, such as 'path client'.")
        yield number, path_text(words[0]), words[-1]


def _csv_lines(file: Path, lines: list[str]) -> Iterable[tuple[int, str, str | None]]:
    rows = csv_rows(file, lines)
    names = [name.strip().lower() for name in next(rows, [])]
    if "path" not in names:
        raise BrownidError(f"{file}: the first line must name the columns, one of them `path`.")
    client = next((names.index(name) for name in CLIENT_COLUMNS if name in names), None)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise BrownidError(f"{file}, line {number}: it has {len(row)} columns, the first line {len(names)}.")
        yield number, path_text(row[names.index("path")]), None if client is None else row[client]


# Degrees from the frontal camera. Negative: the subject's nose points to the left edge of the image.
CAMERA_YAW: Mapping[str, int] = {
    "11_0": -90, "12_0": -75, "09_0": -60, "08_0": -45, "13_0": -30, "14_0": -15, "05_1": 0,
    "05_0": 15, "04_1": 30, "19_0": 45, "20_0": 60, "01_0": 75, "24_0": 90,
}  # fmt: skip
FRONTAL_CAMERA = "05_1"

# Degrees from the frontal flash, in the frontal camera. Negative: the light comes from the left edge of the image.
FLASH_YAW: Mapping[int, int] = {
    1: -90, 2: -75, 3: -60, 4: -45, 5: -30, 6: -15, 7: 0, 8: 15, 9: 30, 10: 45, 11: 60, 12: 75, 13: 90, 16: 0,
}  # fmt: skip
NO_FLASH = 0
FRONTAL_FLASH = 7
LAST_FLASH = 18  # shot 19 is taken without a flash again, and in no protocol

EXPRESSION_OF_RECORDING: Mapping[tuple[int, int], str] = {
    (1, 1): "neutral", (2, 1): "neutral", (3, 1): "neutral", (4, 1): "neutral", (4, 2): "neutral",
    (1, 2): "smile", (3, 2): "smile", (2, 2): "surprise", (2, 3): "squint", (3, 3): "disgust", (4, 3): "scream",
}  # fmt: skip

PROTOCOLS = ("P_center_lit", "U", "E_lit")

_FILE_NAME = re.compile(
    r"session(?P<folder_session>\d{2})/multiview/(?P<folder_subject>\d{3})/(?P<folder_recording>\d{2})/"
    r"(?P<camera>\d{2}_\d)/"
    r"(?P<subject>\d{3})_(?P<session>\d{2})_(?P<recording>\d{2})_(?P<short_camera>\d{3})_(?P<flash>\d{2})\.png"
)


@dataclass(frozen=True, order=True)
class Picture:
    """One MultiPIE picture: who, when (`session`), with which expression (`recording`), seen and lit from where."""

    subject: int
    session: int
    recording: int
    camera: str
    flash: int

    @property
    def path(self) -> str:
        """The picture's path below the database's root, in the published naming."""
        name = f"{self.subject:03}_{self.session:02}_{self.recording:02}_{self.camera.replace('_', '')}_{self.flash:02}"
        folder = f"session{self.session:02}/multiview/{self.subject:03}/{self.recording:02}/{self.camera}"
        return f"{folder}/{name}.png"

    @classmethod
    def from_path(cls, path: str) -> "Picture | None":
        """The picture at `path`, relative to the database's root; None when folders and name are not MultiPIE's."""
        match = _FILE_NAME.fullmatch(path)
        if match is None:
            return None
        subject, session, recording = (int(match[name]) for name in ("subject", "session", "recording"))
        picture = cls(subject, session, recording, camera=match["camera"], flash=int(match["flash"]))
        return picture if picture.path == path else None

    @property
    def pose(self) -> str | None:
        """'left', 'frontal' or 'right' by the camera's side; None for a camera outside the horizontal row."""
        return _side(CAMERA_YAW.get(self.camera))

    @property
    def illumination(self) -> str | None:
        """'left' (flashes 1-3), 'right' (11-13), 'frontal' (7, 16), 'none' (0); None for a flash in between."""
        if self.flash == NO_FLASH:
            return "none"
        yaw = FLASH_YAW.get(self.flash)
        return _side(yaw) if yaw is not None and (yaw == 0 or abs(yaw) >= 60) else None

    @property
    def expression(self) -> str | None:
        """The expression of this session and recording; None for a recording with none of the six."""
        return EXPRESSION_OF_RECORDING.get((self.session, self.recording))

    @property
    def protocols(self) -> list[str]:
        """The protocols that this picture belongs to.

        P_center_lit: every pose, neutral, frontal flash. U: every flash, neutral, frontal camera. E_lit: every
        expression, frontal camera, frontal flash.
        """
        neutral, frontal = self.expression == "neutral", self.camera == FRONTAL_CAMERA
        member = {
            "P_center_lit": neutral and self.pose is not None and self.flash == FRONTAL_FLASH,
            "U": neutral and frontal and self.flash <= LAST_FLASH,
            "E_lit": frontal and self.flash == FRONTAL_FLASH and self.expression is not None,
        }
        return [protocol for protocol in PROTOCOLS if member[protocol]]

    def sample(self) -> Sample:
        """The picture as a row of a database index, with its attribute classes as far as it has them."""
        classes = {"pose": self.pose, "illumination": self.illumination, "expression": self.expression}
        meta: dict[str, str | int | float] = {
            "session": self.session,
            "recording": self.recording,
            "camera": self.camera,
            "flash": self.flash,
            **{name: value for name, value in classes.items() if value is not None},
        }
        return Sample(key_of(self.path), self.path, self.subject, meta)


def split_subjects(subjects: Iterable[int], train_share: float, dev_share: float) -> dict[str, set[int]]:
    """Groups by subject, in the order of their numbers: the first `train_share` train, the next `dev_share` dev."""
    if not (0 < train_share <= 1 and dev_share >= 0 and train_share + dev_share <= 1):
        raise BrownidError(
            f"The shares of the MultiPIE groups are train {train_share} and dev {dev_share}; "
            "give shares between 0 and 1 with a sum of at most 1 and some for train."
        )
    ordered = sorted(set(subjects))
    train = max(1, round(train_share * len(ordered)))
    dev = train + round(dev_share * len(ordered))
    return {"train": set(ordered[:train]), "dev": set(ordered[train:dev]), "eval": set(ordered[dev:])}


def index_multipie(
    root: str | Path,
    index: str | Path,
    *,
    lists: Sequence[str | Path] = (),
    train_share: float = 0.6,
    dev_share: float = 0.2,
) -> list[Picture]:
    """Write the index of the MultiPIE tree below `root`; returns the pictures indexed.

    `lists` are protocol lists in bob's format (`brownid.databases.multipie`): they say which pictures each protocol and
    group has. Of our three protocols those without a list have all pictures that meet their conditions, of the subjects
    of each group of the lists; without any list, subjects are split by `train_share` and `dev_share`.

    Images without MultiPIE's naming are left out and counted in the log. Raises BrownidError where there is no
    picture, and for a list that names pictures that are not there.
    """
    found = _pictures_below(root)
    listed = _listed_protocols(found, lists, root)
    subjects = _subjects_of_groups(listed, found) or split_subjects(
        (picture.subject for picture in found.values() if picture.protocols), train_share, dev_share
    )
    derived = [name for name in PROTOCOLS if name not in listed]
    if lists and derived:
        logger.info("no list of the protocols %s: their pictures follow from the names", ", ".join(derived))
    protocols = listed | _protocols(found, subjects, derived)
    used = {path for groups in protocols.values() for paths in groups.values() for path in paths}
    if not used:
        example = Picture(1, 1, 1, FRONTAL_CAMERA, FRONTAL_FLASH).path
        raise BrownidError(
            f"There is no MultiPIE picture of the protocols {', '.join(PROTOCOLS)} below {root}; expected paths "
            f"such as {example}{_other_root(root)}."
        )
    pictures = {path: picture for path, picture in found.items() if path in used}
    keys = distinct_keys(pictures)
    DatabaseIndex.create(
        index,
        [replace(picture.sample(), key=keys[path], path=path) for path, picture in pictures.items()],
        {
            protocol: {group: [keys[path] for path in paths] for group, paths in groups.items()}
            for protocol, groups in protocols.items()
        },
    )
    count = len({picture.subject for picture in pictures.values()})
    logger.info("indexed %d pictures of %d subjects", len(pictures), count)
    return list(pictures.values())


def _pictures_below(root: str | Path) -> dict[str, Picture]:
    """The pictures of a tree by path, in their order; copies of the published PNG files in other formats count too."""
    listing = find_images(root)
    log_left_out(root, listing)
    found = [(Picture.from_path(f"{without_suffix(path)}.png"), path) for path in listing.paths]
    named = sorted((picture, path) for picture, path in found if picture is not None)
    if len(named) < len(found):
        unnamed = len(found) - len(named)
        logger.warning("%d images below %s are not named as MultiPIE pictures and are left out", unnamed, root)
    return {path: picture for picture, path in named}


def _other_root(root: str | Path) -> str:
    """The folder above or below `root` that has pictures, as the end of a sentence; empty where there is none."""
    named = re.compile(rf"(?P<root>/.+?)/{_FILE_NAME.pattern}")
    paths = (f"{without_suffix(f'{Path(root).absolute()}/{path}')}.png" for path in find_images(root).paths)
    found = next((match["root"] for match in map(named.fullmatch, paths) if match), None)
    return f", which are below {found}: set `root` to that folder" if found else ""


def _listed_protocols(
    found: Mapping[str, Picture], lists: Sequence[str | Path], root: str | Path
) -> dict[str, dict[str, list[str]]]:
    """Contents of the protocol lists (paths without suffix): protocol -> group -> paths."""
    files: dict[str, list[str]] = {}
    for path in found:
        files.setdefault(without_suffix(path), []).append(path)
    protocols: dict[str, dict[str, list[str]]] = {}
    for protocol, groups in read_lists(lists).items():
        for group, clients in groups.items():
            for path, client in clients.items():
                picture = found[files[path][0]] if path in files else None
                _check_listed(path, picture, client, f"protocol {protocol}, group {group}", root)
            protocols.setdefault(protocol, {})[group] = [file for path in clients for file in files[path]]
    return protocols


def _check_listed(path: str, picture: Picture | None, client: str | None, place: str, root: str | Path) -> None:
    if picture is None:
        raise BrownidError(f"The lists of {place} name {path}, which is no MultiPIE picture below {root}.")
    if client is not None and client.lstrip("0") != str(picture.subject):
        raise BrownidError(
            f"The lists of {place} say that {path} shows client {client}; by its name it is {picture.subject}."
        )


def _subjects_of_groups(
    protocols: Mapping[str, Mapping[str, Sequence[str]]], found: Mapping[str, Picture]
) -> dict[str, set[int]]:
    """The subjects of each group, over all protocols; no subject may be in two groups."""
    subjects: dict[str, set[int]] = {}
    owner: dict[int, str] = {}
    for groups in protocols.values():
        for group, paths in groups.items():
            for picture in (found[path] for path in paths):
                first = owner.setdefault(picture.subject, group)
                if first != group:
                    raise BrownidError(f"The lists have subject {picture.subject} in the groups {first} and {group}.")
                subjects.setdefault(group, set()).add(picture.subject)
    return subjects


def _protocols(
    pictures: Mapping[str, Picture], groups: Mapping[str, set[int]], names: Sequence[str]
) -> dict[str, dict[str, list[str]]]:
    """The protocols of these names by their conditions: protocol -> group -> paths."""
    return {
        protocol: {
            group: [
                path
                for path, picture in pictures.items()
                if picture.subject in subjects and protocol in picture.protocols
            ]
            for group, subjects in groups.items()
        }
        for protocol in names
    }


def _side(yaw: int | None) -> str | None:
    if yaw is None:
        return None
    return "left" if yaw < 0 else "right" if yaw > 0 else "frontal"
