"""Face detectors by name: YuNet and MTCNN."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from brownid.alignment.faces import Detector
from brownid.alignment.settings import MTCNNSettings, YuNetSettings
from brownid.runtime.errors import BrownidError, suggestion
from brownid.runtime.files import sha256

MTCNN_NETWORKS = ("pnet", "rnet", "onet")


def detector(spec: Mapping[str, Any], device: str = "cpu") -> Detector:
    """The detector that `spec` describes; only MTCNN uses `device`.

    `{family: yunet, file: face_detection_yunet_2023mar.onnx, sha256: …, threshold: 0.7, max_side: 640}` or
    `{family: mtcnn, files: {pnet: pnet.pt, rnet: …, onet: …}, sha256: {pnet: …, …}, threshold: 0.7, max_side: 1024,
    smallest_face: 40}`. Checksums and settings may be left out. BrownidError for a wrong spec, and for a file that is
    missing, has another checksum or is none of that network.
    """
    given = dict(spec)
    family = given.pop("family", None)
    if family not in DETECTORS:
        raise BrownidError(f"The face detector {family!r} is unknown: {suggestion(family, DETECTORS)}")
    return DETECTORS[family](given, device)


def _yunet(given: dict[str, Any], _: str) -> Detector:
    from brownid.alignment.yunet import YuNet

    path = model_file(given.pop("file", None), given.pop("sha256", None))
    return YuNet(path, YuNetSettings.of(given, "The face detector yunet"))


def _mtcnn(given: dict[str, Any], device: str) -> Detector:
    from brownid.alignment.mtcnn import MTCNN

    files, checksums = given.pop("files", None) or {}, given.pop("sha256", None) or {}
    if set(files) != set(MTCNN_NETWORKS) or not set(checksums) <= set(MTCNN_NETWORKS):
        raise BrownidError("The face detector mtcnn needs `files` (and takes `sha256`) with the keys pnet, rnet, onet.")
    paths = {name: model_file(files[name], checksums.get(name)) for name in MTCNN_NETWORKS}
    return MTCNN.load(**paths, settings=MTCNNSettings.of(given, "The face detector mtcnn"), device=device)


DETECTORS: dict[str, Callable[[dict[str, Any], str], Detector]] = {"yunet": _yunet, "mtcnn": _mtcnn}


def model_file(path: str | Path | None, checksum: str | None = None) -> Path:
    """The path, once the file is there and has the SHA-256 `checksum` (None: any); else BrownidError."""
    expected = f"; its SHA-256 should be {checksum}" if checksum else ""
    if path is None:
        raise BrownidError(f"The face detector needs the path of its model file{expected}.")
    path = Path(path)
    if not path.is_file():
        raise BrownidError(f"{path}: the model file of the face detector is missing{expected}. Put it there.")
    found = sha256(path) if checksum else None
    if checksum and found != checksum.lower():
        raise BrownidError(
            f"{path}: the model file has the SHA-256 {found}, not {checksum}: it is damaged or another version. "
            "Fetch it again, or correct the checksum."
        )
    return path
