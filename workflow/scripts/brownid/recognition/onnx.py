"""Recognition networks from ONNX files of insightface's model zoo, for embedding: no gradients pass through them."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from brownid.errors import BrownidError, pip_install
from brownid.recognition.backbones import Description

FAMILY = "onnx"
FIRST_NODES = 8  # where insightface looks for the network's own normalisation
OWN_SUBTRACTION, OWN_SCALING = ("Sub", "_minus"), ("Mul", "_mul")
USUAL_SIDE = 112  # of a file that leaves the side open
LARGEST_BATCH = 2**28  # numbers in one batch, 1 GiB


class OnnxBackbone(nn.Module):
    """RGB images `[B, 3, side, side]` in [-1, 1] to unnormalised embeddings `[B, embedding_dim]`, through onnxruntime.

    Takes a torch network's place in `embed_images`. The file must have one input `[batch, 3, side, side]` and one
    output `[batch, embedding_dim]`. Whether it reads [-1, 1] (w600k_r50, glintr100) or normalises by itself and reads
    [0, 255] (the older files that MXNet wrote) is decided as insightface does: among its first eight nodes, the name of
    one begins with Sub or _minus and that of another with Mul or _mul. `reads_bytes` overrules this. Runs on a GPU
    where onnxruntime has its CUDA provider, else on as many CPU threads as torch has. BrownidError where onnxruntime is
    missing, and for a file that is missing, damaged or of another kind.
    """

    colour_order = "RGB"

    def __init__(self, path: str | Path, reads_bytes: bool | None = None) -> None:
        super().__init__()
        self.path = Path(path)
        self.session, names = _session(self.path)
        self.reads_bytes = normalises_itself(names) if reads_bytes is None else reads_bytes
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        shape = inputs[0].shape
        if len(inputs) != 1 or len(outputs) != 1 or len(shape) != 4 or shape[1] != 3:
            raise BrownidError(
                f"{path}: not a recognition network: it should have one input [batch, 3, side, side] and one output, "
                f"but has {[i.shape for i in inputs]} and {[o.shape for o in outputs]}."
            )
        if shape[2] != shape[3] and all(isinstance(length, int) for length in shape[2:]):
            raise BrownidError(f"{path}: the network reads {shape[3]} x {shape[2]} pixels; crops are square.")
        side = shape[2] if isinstance(shape[2], int) else USUAL_SIDE
        self.batch_size = shape[0] if isinstance(shape[0], int) else None  # None: any
        if side < 1 or (self.batch_size or 1) < 1 or (self.batch_size or 1) * 3 * side**2 > LARGEST_BATCH:
            raise BrownidError(
                f"{path}: not a recognition network: its input {shape} is empty or larger than {LARGEST_BATCH} numbers."
            )
        self.input_name, self.number_format = inputs[0].name, _number_format(self.path, inputs[0].type)
        embedding = self(torch.zeros(1, 3, side, side))
        if embedding.ndim != 2:
            raise BrownidError(f"{path}: the network's output {list(embedding.shape)} is no embedding [batch, length].")
        self.description = Description(FAMILY, self.path.stem, side, embedding.shape[1])

    def forward(self, images: Tensor) -> Tensor:
        if torch.is_grad_enabled() and images.requires_grad:
            raise BrownidError(
                f"{self.path}: an ONNX network only embeds images, gradients do not pass through it: use the PyTorch "
                "weights of a network (families insightface, nizhib, adaface) in the dynamics and in projection."
            )
        pixels = images.detach().float()
        if self.reads_bytes:
            pixels = (pixels + 1) * 127.5
        pixels = np.ascontiguousarray(pixels.cpu().numpy(), dtype=self.number_format)
        step = self.batch_size or max(len(pixels), 1)
        parts = [self._run(pixels[start : start + step]) for start in range(0, len(pixels), step)]
        rows = np.concatenate(parts) if parts else np.empty((0, self.description.embedding_dim))
        return torch.from_numpy(rows.astype(np.float32)).to(images.device)

    def _run(self, pixels: np.ndarray) -> np.ndarray:
        """The output for a batch; a file with a fixed batch gets its number of images, the last one repeated."""
        missing = (self.batch_size or len(pixels)) - len(pixels)
        filled = np.concatenate([pixels, np.repeat(pixels[-1:], missing, axis=0)]) if missing else pixels
        try:
            return self.session.run(None, {self.input_name: filled})[0][: len(pixels)]
        except Exception as error:  # as in `_session`
            raise BrownidError(
                f"{self.path}: onnxruntime cannot run the network on images {list(filled.shape)} ({_reason(error)})."
            ) from error


def normalises_itself(node_names: list[str]) -> bool:
    """insightface's rule: subtraction and scaling, by their names, among the first nodes of the graph."""
    first = node_names[:FIRST_NODES]
    return any(n.startswith(OWN_SUBTRACTION) for n in first) and any(n.startswith(OWN_SCALING) for n in first)


def _session(path: Path) -> tuple[object, list[str]]:
    """The onnxruntime session of a file, and the names of the graph's nodes in their order."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise BrownidError(
            f"{path}: ONNX networks need the packages onnxruntime and onnx ({error}): "
            f"run `{pip_install('onnx', 'onnxruntime')}`."
        ) from error
    if not path.is_file():
        raise BrownidError(f"{path}: the ONNX file is missing.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    present = onnxruntime.get_available_providers()
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in present]
    try:
        names = [node.name for node in onnx.load(path, load_external_data=False).graph.node[:FIRST_NODES]]
        return onnxruntime.InferenceSession(str(path), options, providers=providers), names
    except Exception as error:  # both packages have a class of their own for every cause, and no common one
        raise BrownidError(f"{path}: not a readable ONNX file ({_reason(error)}).") from error


def _number_format(path: Path, kind: str) -> type:
    formats = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    if kind not in formats:
        raise BrownidError(f"{path}: the network reads {kind}; only float and float16 inputs are supported.")
    return formats[kind]


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
