"""Recognition networks from ONNX files, for embedding: no gradients pass through them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from brownid.recognition.backbones import Description, FaceNetwork
from brownid.recognition.embedding import BYTES
from brownid.recognition.pixel_ranges import RANK, input_range, without_weight_inputs
from brownid.runtime.errors import BrownidError, MissingPackageError, one_line, pip_install
from brownid.runtime.precision import is_out_of_memory

if TYPE_CHECKING:
    import onnxruntime

FAMILY = "onnx"
USUAL_SIDE = 112  # of a file that leaves the side open
LARGEST_BATCH = 2**28  # numbers in one batch, 1 GiB
FORMATS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
# How an ONNX file begins: its version (field 1), then a text, a number, a graph or opsets.
IR_VERSION, SECOND_FIELDS = 0x08, (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)


def is_onnx(path: str | Path) -> bool:
    """Whether a file is ONNX, by its content; an absent or unreadable one by the ending of its name."""
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError:
        return Path(path).suffix.lower() == ".onnx"
    if len(start) < 3 or start[8:] == b"{" or start[:2] == b"PK" or start[:1] == b"\x80":
        return Path(path).suffix.lower() == ".onnx" and start[:2] != b"PK" and start[:1] != b"\x80"
    return (start[0] == IR_VERSION and start[2] in SECOND_FIELDS) or Path(path).suffix.lower() == ".onnx"


class OnnxBackbone(FaceNetwork):
    """Images `[B, 3, S, S]` to unnormalised embeddings `[B, embedding_dim]`, through onnxruntime.

    Takes a torch network's place in `embed_images`. The file must have one input of images, `[batch, 3, S, S]` or
    `[batch, S, S, 3]`, and one output `[batch, embedding_dim]`, or two, of embeddings and of norms. Inputs that
    only name weights are left out. The pixels are in `input_range`, which the beginning of the graph shows (see
    `input_range` in onnx_graph.py), and in the order RGB, unless `as_configured` says otherwise. A file that leaves the
    side open reads crops of `image_size` pixels (112 unless given). Runs on a GPU where onnxruntime has its CUDA
    provider, else on as many CPU threads as torch has. BrownidError where onnxruntime is missing, and for a file that
    is missing, damaged or of another kind.
    """

    colour_order = "RGB"

    def __init__(self, path: str | Path, image_size: int | None = None) -> None:
        super().__init__()
        self.path = Path(path)
        self.session, self.input_range = _session(self.path)
        given = _image_input(self.session.get_inputs(), self.path)
        self.input_name, self.number_format = given.name, _number_format(self.path, given.type)
        if self.number_format is np.uint8:
            self.input_range = BYTES
        shape = given.shape if len(given.shape) == 4 else ["batch", "channels", "height", "width"]
        self.channels_last = shape[3] == 3 and shape[1] != 3
        height, width = shape[1:3] if self.channels_last else shape[2:4]
        if not self.channels_last and isinstance(shape[1], int) and shape[1] != 3:
            raise BrownidError(f"{path}: not a recognition network of colour images: its input is {given.shape}.")
        if height != width and isinstance(height, int) and isinstance(width, int):
            raise BrownidError(f"{path}: the network reads {width} x {height} pixels; crops are square.")
        fixed = next((length for length in (height, width) if isinstance(length, int)), None)
        image_size = (image_size or USUAL_SIDE) if fixed is None else fixed
        self.batch_size = shape[0] if isinstance(shape[0], int) else None  # None: any
        if image_size < 1 or (self.batch_size or 1) < 1 or (self.batch_size or 1) * 3 * image_size**2 > LARGEST_BATCH:
            raise BrownidError(
                f"{path}: not a recognition network: its input {shape} is empty or larger than {LARGEST_BATCH} numbers."
            )
        self.description = Description(
            FAMILY, self.path.stem, image_size, self(torch.zeros(1, 3, image_size, image_size)).shape[1]
        )

    def forward(self, images: Tensor) -> Tensor:
        if torch.is_grad_enabled() and images.requires_grad:
            raise BrownidError(
                f"{self.path}: an ONNX network only embeds images, gradients do not pass through it: use the PyTorch "
                "weights of a network (families insightface, nizhib, adaface) in the dynamics and in projection."
            )
        pixels = images.detach().float().cpu().numpy()
        if self.number_format is np.uint8:
            pixels = np.rint(pixels).clip(0, 255)
        if self.channels_last:
            pixels = pixels.transpose(0, 2, 3, 1)
        pixels = np.ascontiguousarray(pixels, dtype=self.number_format)
        step = self.batch_size or max(len(pixels), 1)
        parts = [self._run(pixels[start : start + step]) for start in range(0, len(pixels), step)]
        rows = np.concatenate(parts) if parts else np.empty((0, self.description.embedding_dim))
        return torch.from_numpy(rows.astype(np.float32)).to(images.device)

    def _run(self, pixels: np.ndarray) -> np.ndarray:
        """Embeddings of a batch; a file with a fixed batch gets its number of images, the last one repeated."""
        missing = (self.batch_size or len(pixels)) - len(pixels)
        filled = np.concatenate([pixels, np.repeat(pixels[-1:], missing, axis=0)]) if missing else pixels
        try:
            outputs = self.session.run(None, {self.input_name: filled})
        except Exception as error:  # as in `_session`
            if is_out_of_memory(error):
                raise MemoryError(one_line(error)) from error  # for `Batching`, which knows Python's and torch's
            raise BrownidError(
                f"{self.path}: onnxruntime cannot run the network on images {list(filled.shape)} ({one_line(error)})."
            ) from error
        return self._embeddings(outputs, len(filled))[: len(pixels)]

    def _embeddings(self, outputs: list[np.ndarray], count: int) -> np.ndarray:
        """`[count, E]` of the network's outputs: embeddings, which may have trailing lengths of 1, and maybe norms."""
        shapes = [np.shape(output) for output in outputs]
        rows = [output.reshape(count, -1) for output in outputs if np.shape(output)[:1] == (count,)]
        wide = [
            row for row, shape in zip(rows, shapes, strict=False) if row.shape[1] > 1 and max(shape[2:], default=1) == 1
        ]
        norms = [row for row in rows if row.shape[1] == 1]
        if len(rows) != len(outputs) or len(wide) != 1 or len(norms) > 1 or len(wide) + len(norms) != len(rows):
            raise BrownidError(
                f"{self.path}: not a recognition network: it should have one output [batch, length] of embeddings, and "
                f"at most one [batch, 1] of norms, but of {count} images it makes {[list(shape) for shape in shapes]}."
            )
        return wide[0] * norms[0] if norms else wide[0]


def _session(path: Path) -> tuple["onnxruntime.InferenceSession", tuple[float, float]]:
    """The onnxruntime session of a file, and the values of black and white that its graph reads."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError(
            f"{path}: ONNX networks need the packages onnxruntime and onnx ({error}): "
            f"run `make onnx` in the clone, or `{pip_install('onnx', 'onnxruntime')}`."
        ) from error
    if not path.is_file():
        raise BrownidError(f"{path}: the ONNX file is missing.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent.resolve()))
    present = onnxruntime.get_available_providers()
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in present]
    try:
        model = onnx.load(path, load_external_data=False)
        if all(node.op_type != "QuantizeLinear" for node in model.graph.node):
            # Only weights are stored in 8 bits: unpack them when the file is loaded, not for every batch.
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        runs = str(path) if not without_weight_inputs(model.graph) else model.SerializeToString()
        session = onnxruntime.InferenceSession(runs, options, providers=providers)
        return session, input_range(model)
    except Exception as error:  # both packages have a class of their own for every cause, and no common one
        raise BrownidError(f"{path}: not a readable ONNX file ({one_line(error)}).") from error


def _image_input(inputs: Sequence["onnxruntime.NodeArg"], path: Path) -> "onnxruntime.NodeArg":
    """The one input of a network, with four axes or unknown ones; BrownidError for any other."""
    shapes = [entry.shape for entry in inputs]
    if len(inputs) != 1 or len(inputs[0].shape) not in (0, RANK):
        raise BrownidError(
            f"{path}: not a recognition network: it should have one input of images, [batch, 3, S, S] or [batch, "
            f"S, S, 3], but has {len(inputs)}: {shapes}."
        )
    return inputs[0]


def _number_format(path: Path, kind: str) -> type:
    if kind not in FORMATS:
        raise BrownidError(f"{path}: the network reads {kind}; it must be one of {', '.join(FORMATS)}.")
    return FORMATS[kind]
