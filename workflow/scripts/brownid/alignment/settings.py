"""Settings of the face detectors."""

from dataclasses import dataclass

from brownid.runtime.settings import Settings, setting

SHRUNK = "Side to which larger photographs are shrunk before detection."


@dataclass(frozen=True)
class YuNetSettings(Settings):
    """YuNet (OpenCV), one ONNX file."""

    threshold: float = setting(0.7, "Least score of a face.", above=0, below=1)
    max_side: int = setting(640, SHRUNK, unit="pixels", minimum=32)


@dataclass(frozen=True)
class MTCNNSettings(YuNetSettings):
    """MTCNN, three weights files."""

    max_side: int = setting(1024, SHRUNK, unit="pixels", minimum=32)
    smallest_face: int = setting(40, "Smallest face, in pixels of the shrunk photograph.", minimum=12)
