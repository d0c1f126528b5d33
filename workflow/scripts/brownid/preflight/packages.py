"""Are the Python packages there that a configuration needs?"""

from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import NamedTuple

from brownid.errors import pip_install
from brownid.preflight.finding import Finding

PACKAGES = "Packages"


class _Package(NamedTuple):
    module: str
    install: str  # what pip installs it by
    purpose: str
    is_needed: Callable[[Mapping], bool]


def _always(config: Mapping) -> bool:
    return True


def _fits_covariates(config: Mapping) -> bool:
    return bool(config["covariates"])


def _reads_onnx(config: Mapping) -> bool:
    return any(network.get("family") == "onnx" for network in config["networks"].values())


def _diffuses(config: Mapping) -> bool:
    return any(generator.get("family") in ("arc2face", "ldm") for generator in config["generators"].values())


NEEDED = (
    _Package("snakemake", "snakemake[reports]>=9.20,<10", "the workflow", _always),
    _Package("torch", "torch", "generators and networks", _always),
    _Package("h5py", "h5py", "collections", _always),
    _Package("pyarrow", "pyarrow", "image shards", _always),
    _Package("cv2", "opencv-python-headless", "images and YuNet", _always),
    _Package("safetensors", "safetensors", "weights", _always),
    _Package("pandas", "pandas", "tables", _always),
    _Package("matplotlib", "matplotlib", "figures", _always),
    _Package("sklearn", "scikit-learn", "covariates", _fits_covariates),
    _Package("onnxruntime", "onnxruntime", "ONNX networks", _reads_onnx),
    _Package("onnx", "onnx", "ONNX networks", _reads_onnx),
    _Package("diffusers", "diffusers", "Arc2Face and latent diffusion", _diffuses),
    _Package("transformers", "transformers", "Arc2Face and latent diffusion", _diffuses),
)


def examine_packages(
    config: Mapping, is_there: Callable[[str], bool] = lambda module: find_spec(module) is not None
) -> Iterator[Finding]:
    """A finding for each missing package that the configuration needs, one for all where none is missing."""
    needed = [package for package in NEEDED if package.is_needed(config)]
    missing = [package for package in needed if not is_there(package.module)]
    for package in missing:
        yield Finding(
            "blocks",
            PACKAGES,
            f"the package {package.module} is missing, which {package.purpose} need",
            f"{pip_install(package.install)} (unless the rules run in conda environments of their own)",
        )
    if not missing:
        yield Finding("fine", PACKAGES, f"all {len(needed)} packages that this configuration needs are installed")
