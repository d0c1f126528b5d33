"""A generator's weights from a file of any known format, told by its content, and to a file of ours."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import Tensor

from brownid.runtime.errors import BrownidError
from brownid.runtime.files import check_regular, sha256
from brownid.weights import nvidia, rosinality
from brownid.weights.pickled_tensors import PlainValue, file_error
from brownid.weights.state_dict import check_finite, load_described, save_described
from brownid.weights.torch_files import load_torch
from brownid.weights.unpickler import RefusedError, check_needed

FORMAT_VERSION = 2
READ_VERSIONS = (1, FORMAT_VERSION)  # the first had no checksum
METADATA_KEY = "brownid_generator"

_ZIP = b"PK\x03\x04"  # torch files since 1.6
_OLD_TORCH = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # torch's magic number, as a pickle
_PICKLE = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))


@dataclass(frozen=True)
class GeneratorFile:
    """Content of a generator file of any format, under NVIDIA's names."""

    family: str  # "stylegan2" or "stylegan3"
    constructor: dict[str, PlainValue]  # named arguments of NVIDIA's Generator; see nvidia.py for their form
    state: dict[str, Tensor]  # parameters and persistent buffers by dotted name, float32, on the CPU
    source: str  # name and SHA-256 checksum of the published file

    @property
    def resolution(self) -> int:
        """Height and width of an image, pixels."""
        return cast(int, self.constructor["img_resolution"])


def read_generator_file(path: str | Path) -> GeneratorFile:
    """The generator in an NVIDIA pickle, a `.pt` of rosinality's, or a safetensors file of ours.

    The content tells the format, not the name. Nothing in the file is executed. Raises `BrownidError` that names the
    file when it is missing, damaged, of another format, or holds anything but tensors and plain containers.
    """
    path = Path(path)
    check_regular(path)
    try:
        with open(path, "rb") as file:
            start = file.read(len(_OLD_TORCH))
    except OSError as error:
        raise BrownidError(f"{path}: cannot read the generator: {error.strerror}.") from error
    if start[8:9] == b"{":  # the header, JSON, follows its 8-byte length
        return _read_ours(path)
    torch_file = start.startswith(_ZIP) or start == _OLD_TORCH
    if not torch_file and not start.startswith(_PICKLE):
        raise BrownidError(
            f"{path}: no file of a generator that is known here: an NVIDIA network pickle (.pkl), a .pt of "
            "rosinality's StyleGAN2, or .safetensors written by `brownid models convert`."
        )
    try:
        read = _read_torch(path) if torch_file else nvidia.read_network_pickle(path.read_bytes())
    # A damaged file can fail in any way that its reader can: all of them mean the same to the user.
    except Exception as error:
        raise file_error(path, error) from error
    check_finite(read[-1], path)
    return GeneratorFile(*read, source=f"{path.name} sha256:{sha256(path)}")


def save_generator_file(path: str | Path, content: GeneratorFile) -> None:
    """Write a generator as safetensors that say what it is, with a checksum; equal content gives equal bytes."""
    description = {
        "version": FORMAT_VERSION,
        "family": content.family,
        "constructor": content.constructor,
        "source": content.source,
    }
    save_described(path, content.state, METADATA_KEY, description)


def convert(path: str | Path, output: str | Path) -> GeneratorFile:
    """Write the generator that `path` holds, of any known format, to the safetensors file `output`."""
    content = read_generator_file(path)
    save_generator_file(output, content)
    return content


def _read_ours(path: Path) -> GeneratorFile:
    state, described, _ = load_described(path, METADATA_KEY)
    if not isinstance(described, dict):
        raise BrownidError(
            f"{path}: the safetensors file does not say which generator it holds; convert the published file with "
            "`brownid models convert`."
        )
    version = described.pop("version", None)
    if version not in READ_VERSIONS or set(described) != {"family", "constructor", "source"}:
        raise BrownidError(
            f"{path}: a generator of format version {version}, where this program reads version {FORMAT_VERSION}; "
            "convert the published file again with `brownid models convert`."
        )
    if not (
        isinstance(described["family"], str)
        and isinstance(described["constructor"], dict)
        and type(described["constructor"].get("img_resolution")) is int
        and isinstance(described["source"], str)
    ):
        raise BrownidError(
            f"{path}: the description of the generator is damaged; convert the published file again with "
            "`brownid models convert`."
        )
    check_finite(state, path)
    return GeneratorFile(state=state, **described)


def _read_torch(path: Path) -> tuple[str, dict[str, PlainValue], dict[str, Tensor]]:
    content = load_torch(path)
    if not rosinality.is_rosinality(content):
        check_needed(content)
        raise RefusedError("it holds no weights under the names of rosinality's StyleGAN2, such as style.1.weight")
    return "stylegan2", *rosinality.nvidia_form(content, path)
