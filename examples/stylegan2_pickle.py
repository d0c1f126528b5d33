"""A StyleGAN2 with random weights as NVIDIA's training code pickles it, and an FR network with random weights.

    python examples/stylegan2_pickle.py    # writes gan.pkl and network.pth into this folder

With these files, docs/start/stylegan2.md goes from a generator file to images and a dataset. Random weights make blobs
of colour instead of faces; all else is as with trained weights.
"""

import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from brownid import backbone, load_generator

SIDE, LATENT_DIM = 64, 128
CHANNELS = {"channel_base": 4096, "channel_max": 64}
BUFFERS = ("w_avg", "noise_const", "resample_filter")


def _reconstruct_persistent_obj(meta: dict) -> None:
    """Stands for NVIDIA's function, which a pickle calls by name; brownid reads the pickle without calling it."""


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class Module:
    """A network as NVIDIA's decorator `persistent_class` pickles it: class name and attributes."""

    def __init__(self, state: dict[str, torch.Tensor], class_name: str = "Module", **keywords: object) -> None:
        parameters: dict[str, torch.Tensor] = OrderedDict()
        buffers: dict[str, torch.Tensor] = OrderedDict()
        inner: dict[str, dict[str, torch.Tensor]] = {}
        for name, tensor in state.items():
            first, dot, _ = name.partition(".")
            if dot:
                inner.setdefault(first, {})[name.removeprefix(f"{first}.")] = tensor
            else:
                (buffers if name in BUFFERS else parameters)[name] = tensor
        attributes: dict[str, object] = {"_parameters": parameters, "_buffers": buffers, "_init_kwargs": keywords}
        attributes["_init_args"] = ()
        attributes["_modules"] = OrderedDict((name, Module(tensors)) for name, tensors in inner.items())
        self.meta = {"type": "class", "version": 6, "module_src": "", "class_name": class_name, "state": attributes}

    def __reduce__(self) -> tuple:
        return _reconstruct_persistent_obj, (self.meta,)


def write_generator(path: Path) -> None:
    """Write the snapshot `{"G_ema": generator}`."""
    shape = {"resolution": SIDE, "latent_dim": LATENT_DIM, **CHANNELS}
    generator = load_generator({"family": "stylegan2", "random": shape, "seed": 1})
    keywords = {"z_dim": LATENT_DIM, "c_dim": 0, "w_dim": LATENT_DIM, "img_resolution": SIDE, "img_channels": 3}
    nvidia = ModuleType("torch_utils.persistence")
    nvidia._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    sys.modules |= {"torch_utils": ModuleType("torch_utils"), "torch_utils.persistence": nvidia}
    assert isinstance(generator, nn.Module)
    module = Module(generator.state_dict(), "Generator", **keywords, synthesis_kwargs=CHANNELS)
    path.write_bytes(pickle.dumps({"G_ema": module}))


def main() -> None:
    """Write both files."""
    torch.manual_seed(1)
    write_generator(Path("gan.pkl"))
    torch.save(backbone("insightface", "iresnet18").state_dict(), "network.pth")
    print("gan.pkl and network.pth")


if __name__ == "__main__":
    main()
