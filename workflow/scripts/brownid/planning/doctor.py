"""Report everything a configuration needs but does not find: GPU, packages, files, databases, licences."""

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from brownid.configuration import paths, stages
from brownid.configuration.loading import OwnPath, load_configuration, merged, own_paths
from brownid.covariates.within_class import check_pooled
from brownid.databases.index import DatabaseIndex
from brownid.databases.kinds import OWN_FILES, index_images
from brownid.planning.resources import Finding, amount, examine_disk, examine_memory
from brownid.runtime.errors import BrownidError, pip_install
from brownid.runtime.process import logger
from brownid.weights.catalogue import Model, fetch_command, fetched_paths, model_at, read_catalogue, same_path
from brownid.weights.fetching import damage

MACHINE = "This machine"
GIBIBYTE = 1024**3


class Machine(NamedTuple):
    """Hardware of this machine; `gpu_bytes` is the memory of the GPU that torch sees, None without one."""

    gpu_name: str | None
    gpu_bytes: int | None
    torch_version: str | None  # None: torch is missing
    torch_has_cuda: bool
    has_driver: bool  # whether an NVIDIA driver is there, whatever torch can do


def this_machine() -> Machine:
    """Look at this machine."""
    has_driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    try:
        import torch
    except ImportError:
        return Machine(None, None, None, False, has_driver)
    name = memory = None
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        name, memory = properties.name, properties.total_memory
    return Machine(name, memory, torch.__version__, torch.version.cuda is not None, has_driver)


def examine_machine(machine: Machine) -> Iterator[Finding]:
    """Findings about this machine's GPU."""
    if machine.torch_version is None:
        return  # a missing package, and reported as one
    if machine.gpu_bytes is not None:
        yield Finding("fine", MACHINE, f"GPU {machine.gpu_name} with {amount(machine.gpu_bytes)}")
    elif machine.has_driver and not machine.torch_has_cuda:
        yield Finding(
            "note",
            MACHINE,
            f"there is an NVIDIA driver, but torch {machine.torch_version} is built for CPUs only",
            "install a torch with CUDA (https://pytorch.org/get-started), or every job runs on the CPU",
        )
    elif machine.has_driver:
        yield Finding(
            "note",
            MACHINE,
            f"there is an NVIDIA driver, but torch {machine.torch_version} sees no GPU",
            "see what nvidia-smi says, CUDA_VISIBLE_DEVICES, and whether the driver is new enough for this torch",
        )
    else:
        yield Finding(
            "note",
            MACHINE,
            f"no GPU here (torch {machine.torch_version}): jobs that start on this machine run on the CPU",
            "for GPUs of a cluster's nodes, give their memory with --gpu-memory",
        )


PACKAGES = "Packages"


class _Package(NamedTuple):
    module: str
    install: str  # what pip installs it by
    purpose: str
    is_needed: Callable[[Mapping], bool]


def _always(config: Mapping) -> bool:
    return True


def _fits_covariates(config: Mapping) -> bool:
    return any(paths.has_attributes(config, name) for name in config["covariates"])


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


FILES, LICENCES = "Files and databases", "Licences"


def examine_files(config: Mapping, catalogue: Mapping[str, Model], quick: bool = False) -> Iterator[Finding]:
    """A finding for each file and folder that the configuration names; `quick` compares sizes only."""
    fetched, own_catalogue = fetched_paths(config), config.get("models", {}).get("catalogue")
    for path, places in _places(config).items():
        named_by = ", ".join(own.place for own in places)
        model, own = model_at(catalogue, path), places[0]
        if not own.exists:
            yield _missing(own, named_by, model, same_path(path) in fetched, own_catalogue)
            continue
        reason = _wrong(model, Path(path), quick)
        if reason is not None:
            yield Finding("blocks", FILES, f"{path} ({named_by}): {reason}", _how_to_get(model, path, own_catalogue))
        elif model is None:
            yield Finding("fine", FILES, f"{path} ({named_by}) is there; it is not in the catalogue")
        elif model.sha256 and not quick:
            yield Finding("fine", FILES, f"{path} ({named_by}) is there, as published")
        else:
            yield Finding("fine", FILES, f"{path} ({named_by}) is there; no checksum was compared")


def examine_databases(config: Mapping) -> Iterator[Finding]:
    """The images and identities of each database of the user's own, as the run will index it, and what it warns of.

    One that a covariates entry projects must have several persons with several images.
    """
    missing = {own.place.rsplit(".", 1)[0] for own in own_paths(config) if not own.exists}
    for name, entry in config["databases"].items():
        place = f"databases.{name}"
        if entry["root"] is None or place in missing:
            continue
        with _warnings() as warnings, TemporaryDirectory() as folder:
            index = Path(folder) / "index.sqlite"
            try:
                files = {key: paths.database_files(config, name, key) for key in OWN_FILES}
                index_images(stages.index_database(config, name), files, index)
                with DatabaseIndex.open(index) as database:
                    images, identities = database.counts()
                    repeated = database.persons_with(2)
                yield Finding("fine", FILES, f"{place}: {images} images of {identities} identities")
                for projected, projection in config.get("covariates", {}).items():
                    if projection["database"] == name:
                        check_pooled(repeated, identities, f"it (covariates.{projected}.database) has")
            except BrownidError as error:
                yield Finding("blocks", FILES, f"{place}: {error}")
        yield from (Finding("note", FILES, f"{place}: {warning}") for warning in warnings)


def examine_licences(config: Mapping, catalogue: Mapping[str, Model]) -> Iterator[Finding]:
    """The licence of each catalogued file and database that the configuration names."""
    for model in dict.fromkeys(model_at(catalogue, path) for path in _places(config)):
        if model is not None:
            yield Finding("note", LICENCES, f"{model.name}: {model.licence}", f"see {model.source}")


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collect warnings that are logged within the block instead of printing them."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    collector = Collector(logging.WARNING)
    logger.addHandler(collector)
    logger.propagate = False
    try:
        yield messages
    finally:
        logger.propagate = True
        logger.removeHandler(collector)


def _places(config: Mapping) -> dict[str, list[OwnPath]]:
    """The keys that name each path."""
    places: dict[str, list[OwnPath]] = {}
    for own in own_paths(config):
        places.setdefault(own.path, []).append(own)
    return places


def _missing(
    own: OwnPath, named_by: str, model: Model | None, will_be_fetched: bool, own_catalogue: str | None
) -> Finding:
    what = "folder" if own.is_folder else "file"
    if model is not None and will_be_fetched:
        return Finding("note", FILES, f"{own.path} ({named_by}) is missing: the run will fetch it from {model.url}")
    there = "a file" if own.is_folder else "a folder"
    found = f"is {there}, not a {what}" if Path(own.path).exists() else "is missing"
    steps = _how_to_get(model, own.path, own_catalogue)
    return Finding("blocks", FILES, f"the {what} {own.path} ({named_by}) {found}", steps)


def _wrong(model: Model | None, path: Path, quick: bool) -> str | None:
    if path.is_dir():
        return None if any(path.iterdir()) else "the folder is empty"
    if model is None:
        return None if path.stat().st_size else "it is empty"
    return damage(model, path, content=not quick)


def _how_to_get(model: Model | None, path: str, own_catalogue: str | None) -> str:
    if model is None:
        return f"put it at {path}, or correct the configuration; the catalogue does not know it"
    page = f"{model.source} ({model.what}; licence: {model.licence})"
    steps = f"{fetch_command(model, own_catalogue)}, or from {page}" if model.url else f"put it there from {page}"
    return f"{steps}; {model.note}" if model.note else steps


CONFIGURATION = "Configuration"


def examine(
    configfiles: Sequence[str | Path],
    values: Sequence[str] = (),
    *,
    gpu_memory: float | None = None,
    free_disk: float | None = None,
    quick: bool = False,
    machine: Machine | None = None,
) -> list[Finding]:
    """All findings about configuration files and values of --config, see `brownid.configuration.loading.merged`.

    `gpu_memory` (GiB) replaces the memory of this machine's GPU, `free_disk` (GiB) what is free here, `machine` what
    is found here; `quick` compares sizes of files, not their checksums, and counts no database. A configuration that
    cannot be used is the only finding.
    """
    try:
        config = load_configuration(merged(configfiles, values), files=False)
        catalogue = read_catalogue(config["models"]["catalogue"])
    except BrownidError as error:
        return [Finding("blocks", CONFIGURATION, str(error))]
    machine = machine or this_machine()
    gpu_bytes = machine.gpu_bytes if gpu_memory is None else gpu_memory * GIBIBYTE
    names = ", ".join(map(str, configfiles))
    return [
        Finding("fine", CONFIGURATION, f"{names}: complete and consistent; paths are relative to {Path.cwd()}"),
        *examine_files(config, catalogue, quick),
        *(() if quick else examine_databases(config)),
        *examine_packages(config),
        *examine_machine(machine),
        *examine_memory(config, catalogue, gpu_bytes),
        *examine_disk(config, catalogue, None if free_disk is None else free_disk * GIBIBYTE),
        *examine_licences(config, catalogue),
    ]
