"""A first configuration for the generator, network, photographs and benchmarks that a user has, as commented YAML."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from brownid.alignment.detection import detector
from brownid.alignment.templates import template
from brownid.configuration.loading import load_configuration
from brownid.databases.decoding import decode_rgb, load_rgb
from brownid.databases.folders import doubt_about_root
from brownid.databases.listing import checked_paths, find_images, path_of
from brownid.recognition.backbones import Description
from brownid.recognition.loading import fitting_networks
from brownid.recognition.onnx import FAMILY as ONNX
from brownid.recognition.onnx import is_onnx
from brownid.runtime.errors import BrownidError, MissingPackageError
from brownid.verification.bins import read_bin
from brownid.weights.generator_files import GeneratorFile, read_generator_file

NAMES = {"stylegan2": "StyleGAN2", "stylegan3": "StyleGAN3"}
LOOKED_AT = 16  # photographs whose sizes are read
EMBEDDED_SIDE = 56  # pixels of the embedded world's images


@dataclass(frozen=True)
class Sources:
    """What a user has, and how much to make of it; with `embedded` nothing but numbers."""

    identities: int
    variations: int  # of each identity
    generator: str | None = None  # a file, or path.to.module:function
    network: str | None = None  # a file of weights
    photographs: str | None = None  # a folder
    detector_files: Sequence[str] = ()  # of YuNet, or P-Net, R-Net and O-Net of MTCNN
    benchmarks: Sequence[str] = ()  # .bin files
    embedded: bool = False


class Initial(NamedTuple):
    """The text of a configuration, and what was found about each source."""

    text: str
    found: dict[str, str]


def initial_configuration(sources: Sources) -> Initial:
    """The configuration for `sources`, complete and checked; paths in it are those of `sources`.

    Raises `BrownidError` for a file or folder that is of no use, with what was found in it and what would fit, and for
    sources from which nothing can be made.
    """
    _check(sources)
    if sources.embedded:
        sections, found = _embedded(sources), {"generator": f"the embedded world, {EMBEDDED_SIDE} pixels"}
    else:
        sections, found = _own(sources)
    datasets = _datasets(sources)
    release = [RELEASE.format(datasets=", ".join(datasets))] * bool(datasets)
    text = "\n".join([HEADER, *sections, *release])
    load_configuration(yaml.safe_load(text))
    return Initial(text, found)


def _check(sources: Sources) -> None:
    own = [sources.generator, sources.network, sources.photographs, *sources.detector_files, *sources.benchmarks]
    if sources.embedded and any(own):
        raise BrownidError("--embedded renders its own persons and needs no files: leave the other sources out.")
    if not (sources.embedded or sources.generator or sources.photographs):
        raise BrownidError(
            "There is nothing to make data of: give --generator with --network, --photographs, or --embedded."
        )
    if sources.generator and not sources.network:
        raise BrownidError(
            "--generator needs --network, the weights of an FR network, whose embeddings tell identities apart."
        )
    if sources.detector_files and not sources.photographs:
        raise BrownidError("--detector finds faces in --photographs, which is not given: leave it out.")
    if len(sources.detector_files) not in (0, 1, 3):
        raise BrownidError(
            f"--detector is given {len(sources.detector_files)} times: give the ONNX file of YuNet once, or for MTCNN "
            "three files, P-Net, R-Net and O-Net in this order."
        )


HEADER = """\
# Written by `brownid init`. config/README.md explains the sections by task, `brownid settings` lists all keys.
#
#   brownid doctor --configfile THIS_FILE                                    what is missing
#   snakemake TARGET --profile profiles/local --configfile THIS_FILE         without TARGET: everything below
#
# Targets: datasets, images, scores, figures, release. Paths are relative to the folder in which Snakemake works
# (--directory, or where it is started). Results are in its folder results/.

seed: 1
"""

RELEASE = """\
# A data package with README, checksums and Parquet files, which the target `release` makes and verifies:
# release:
#   name: my_release
#   description: A sentence about the data.
#   creator: your name or institution
#   licence: CC-BY-4.0
#   datasets: [{datasets}]
"""


def _datasets(sources: Sources) -> list[str]:
    """The datasets that a release may hold: synthetic ones alone."""
    has_variations = sources.embedded or (sources.generator and not _is_onnx(sources))
    made = ["faces"] if sources.embedded or sources.generator else []
    return [*made, *[f"faces_n{sources.variations}"] * bool(has_variations)]


def _is_onnx(sources: Sources) -> bool:
    return sources.network is not None and is_onnx(sources.network)


def _embedded(sources: Sources) -> list[str]:
    return [
        f"""\
# The embedded world: a procedural generator and persons who can be photographed; downloads nothing.
generators:
  world: {{family: procedural, image_size: {EMBEDDED_SIDE}}}

images: {{template: two_eye, image_size: {EMBEDDED_SIDE}}}

databases:
  strangers: # the training set of the network
    kind: people
    capture: {{generator: world, first_person: 0, people: 600, photos: 12, nuisance_std: 1.4}}

networks:
  steering: # tells identities apart; trained on the database first
    family: slim
    architecture: slim_iresnet
    image_size: {EMBEDDED_SIDE}
    template: two_eye
    database: strangers
    training:
      {{head: cosface, margin: 0.3, scale: 30.0, optimiser: adamw, schedule: one_cycle, learning_rate: 0.003,
      batch_size: 128, epochs: 12, weight_decay: 0.05, shift: 0.036}}
""",
        f"""\
references:
  faces: # one image per identity, pushed apart by Langevin dynamics
    algorithm: langevin
    generator: world
    network: steering
    identities: {sources.identities}
    settings: {{iterations: 20, repulsion_coefficient: 30.0}}

variations:
  faces_n{sources.variations}: # images per identity, around its reference
    algorithm: dispersion
    references: faces
    settings: {{variations: {sources.variations}, iterations: 10, embedding_coefficient: 40.0, latent_radius: 12.0}}

# config/config.yaml has benchmarks, trainings, DisCo and within-class variations in this world.
""",
    ]


def _own(sources: Sources) -> tuple[list[str], dict[str, str]]:
    """The sections for sources of the user's own, and what was found about each."""
    found: dict[str, str] = {}
    content = _generator_file(sources.generator)
    networks = _fitting(sources.network) if sources.network else []
    image_size = networks[0].image_size if networks else 112
    generator, photographs = _generator(sources, content, image_size, found), _photographs(sources, found)
    benchmarks = _benchmarks(sources, image_size, found)
    return [
        *generator,
        f"# Crops for FR: the eyes where ArcFace has them.\nimages: {{template: arcface, image_size: {image_size}}}\n",
        *photographs,
        *_network(sources, networks, found),
        *(_references(sources, networks[0], bool(photographs)) if sources.generator else []),
        *_training(sources, found.get("photographs", "")),
        *benchmarks,
    ], found


def _fitting(path: str) -> list[Description]:
    try:
        return fitting_networks(path)
    except MissingPackageError:
        raise
    except BrownidError as error:
        if not Path(path).exists():
            raise
        raise BrownidError(
            f"{error} What fits are the weights of such a network in a state dict or checkpoint (.pt, .pth, .ckpt, "
            ".safetensors), an ONNX file, or a function of your own (examples/own_network.py)."
        ) from None


def _generator_file(path: str | None) -> GeneratorFile | None:
    """The content of a generator's file; None for a function of the user's own, or nothing."""
    if path is None or (re.fullmatch(r"\w+(\.\w+)*:\w+", path) and not Path(path).exists()):
        return None
    if Path(path).is_dir():
        raise BrownidError(
            f"{path}: a folder, as diffusion models have it. What fits is a file of StyleGAN2 or StyleGAN3 (.pkl, .pt, "
            ".safetensors); for Arc2Face and latent diffusion start from config/hyperface.yaml."
        )
    return read_generator_file(path)


def _generator(sources: Sources, content: GeneratorFile | None, image_size: int, found: dict[str, str]) -> list[str]:
    path = sources.generator
    if path is None:
        return []
    if content is None:
        found["generator"] = "a function of your own"
        return [f"generators:\n  generator: {{factory: {_quoted(path)}}} # examples/own_generator.py\n"]
    side = content.resolution
    found["generator"] = f"{NAMES[content.family]}, {side} x {side} pixels"
    face, wanted = (_eye_distance(*each) for each in (("ffhq", side), ("arcface", image_size)))
    notes = ["# Faces lie in its images as in FFHQ; otherwise say where: `eyes: [[x, y], [x, y]]`, in its pixels."]
    if face < wanted:
        notes.append(
            f"# Its faces are smaller than the network reads them: the eyes are {face:.0f} pixels apart, in the crops "
            f"{wanted:.0f}."
        )
    lines = ["generators:", f"  generator: # {found['generator']}", f"    family: {content.family}"]
    return ["\n".join([*lines, f"    file: {_quoted(path)}", *(f"    {note}" for note in notes), ""])]


def _eye_distance(name: str, image_size: int) -> float:
    """Pixels between the eyes in images of a template."""
    left, right = template(name, image_size)[:2]
    return float(np.linalg.norm(right - left))


def _network(sources: Sources, networks: Sequence[Description], found: dict[str, str]) -> list[str]:
    if not networks:
        return []
    first, *others = networks
    name = "ONNX" if first.family == ONNX else f"{first.family} {first.architecture}"
    found["network"] = f"{name}, crops of {first.image_size} pixels, {first.embedding_dim}-dimensional embeddings"
    lines = ["networks:", f"  network: # {found['network']}", f"    family: {first.family}"]
    if others:
        families = " and ".join(other.family for other in others)
        lines[-1] += f" # the weights fit {families} too (other constants): name the family that they come from"
    if first.family != ONNX:
        lines.append(f"    architecture: {first.architecture}")
    lines += [f"    image_size: {first.image_size}", f"    weights: {_quoted(sources.network)}", ""]
    return ["\n".join(lines)]


def _references(sources: Sources, network: Description, guarded: bool) -> list[str]:
    guard = ["    leak_guard: photographs # stay away from these persons: settings.fixed_distance, radians"] * guarded
    lines = ["references:", "  faces: # one image per identity"]
    if network.family == ONNX:
        lines[1] += "; ONNX files give no gradients, so identities are rejected, not pushed apart"
        lines += ["    algorithm: reject", "    settings: {ict: 0.6} # smallest angle between identities, radians"]
    else:
        lines[1] += ", pushed apart by Langevin dynamics"
        lines.append("    algorithm: langevin")
    lines += ["    generator: generator", "    network: network", f"    identities: {sources.identities}", *guard, ""]
    if network.family == ONNX:
        return ["\n".join(lines)]
    lines += [
        "variations:",
        f"  faces_n{sources.variations}: # images per identity, around its reference",
        "    algorithm: dispersion",
        "    references: faces",
        f"    settings: {{variations: {sources.variations}}}",
        "",
    ]
    return ["\n".join(lines)]


def _photographs(sources: Sources, found: dict[str, str]) -> list[str]:
    root = sources.photographs
    if root is None:
        return []
    if not Path(root).is_dir():
        found_there = "this is a file" if Path(root).exists() else "there is no such folder"
        raise BrownidError(f"{root}: {found_there}; name a folder with a folder of images per person.")
    listing = find_images(root)
    if listing.record_files and not listing.paths:
        if sources.detector_files:
            raise BrownidError(f"{root}: a record file holds aligned crops, in which no detector looks: leave it out.")
        folder = (Path(root) / listing.record_files[0]).parent
        found["photographs"] = "people, a record file"
        return [f"databases:\n  photographs: {{kind: recordio, root: {_quoted(str(folder))}}}\n"]
    try:
        paths = checked_paths(root, listing)
    except BrownidError as error:
        raise BrownidError(f"{error} What fits is a folder of images per person, or one image per person.") from None
    kind = _kind(root, paths)
    count = Counter(path.partition("/")[0] for path in paths) if kind == "people" else paths
    found["photographs"] = f"{kind}, {len(paths)} images of {len(count)} identities"
    lines = [
        "databases:",
        f"  photographs: # {found['photographs']}",
        f"    kind: {kind}",
        f"    root: {_quoted(root)}",
    ]
    if not sources.detector_files:
        return ["\n".join([*lines, *_crops(root, paths), ""])]
    return [
        "\n".join([*lines, "    alignment: {detector: finder} # finds the most prominent face", ""]),
        _finder(sources),
    ]


def _kind(root: str, paths: Sequence[str]) -> str:
    """people, where every image is in a folder of several; portraits, where images stand alone."""
    folders = Counter(path.partition("/")[0] for path in paths if "/" in path)
    if sum(folders.values()) < len(paths) or max(folders.values()) == 1:
        return "portraits"
    doubt = doubt_about_root(root, paths)
    if doubt:
        raise BrownidError(f"{doubt.reason}: name {doubt.roots}.")
    return "people"


def _crops(root: str, paths: Sequence[str]) -> list[str]:
    """How images without a detector are aligned: as crops, which must be square and of one size."""
    chosen = [paths[int(number)] for number in np.linspace(0, len(paths) - 1, min(LOOKED_AT, len(paths)))]
    sizes = Counter(load_rgb(path_of(Path(root) / path)).shape[:2] for path in chosen)
    (height, width), _ = sizes.most_common(1)[0]
    if len(sizes) > 1 or height != width:
        shown = ", ".join(f"{each[1]} x {each[0]}" for each in list(sizes)[:3])
        raise BrownidError(
            f"{root}: the images are no crops of one size ({shown} pixels), so faces must be found in them: give "
            "--detector with the ONNX file of YuNet (`brownid models fetch yunet`), or with three files of MTCNN."
        )
    return [f"    # Taken as crops on images.template ({width} pixels). On another: `alignment: {{template: ffhq}}`."]


def _finder(sources: Sources) -> str:
    files = [_quoted(path) for path in sources.detector_files]
    if len(files) == 1:
        spec: Mapping[str, object] = {"family": "yunet", "file": sources.detector_files[0]}
        text = f"family: yunet, file: {files[0]}"
    else:
        roles = ("pnet", "rnet", "onet")
        spec = {"family": "mtcnn", "files": dict(zip(roles, sources.detector_files, strict=True))}
        text = f"family: mtcnn, files: {{{', '.join(map(': '.join, zip(roles, files, strict=True)))}}}"
    detector(spec)  # a file that is none of that network is refused here
    return f"detectors:\n  finder: {{{text}}}\n"


def _training(sources: Sources, photographs: str) -> list[str]:
    """Networks whose scores measure the data: where there are benchmarks, or nothing else to make."""
    entries = []
    if sources.generator and sources.benchmarks:
        datasets = ", ".join(_datasets(sources))
        entries.append(f"  fr_faces: {{datasets: [{datasets}]}}" if "," in datasets else "")
    if photographs.startswith("people") and (sources.benchmarks or not sources.generator):
        entries.append("  fr_photographs: {datasets: [photographs]}")
    entries = [entry for entry in entries if entry]
    if not entries and not sources.generator:
        raise BrownidError(
            f"{sources.photographs}: {photographs}; a network cannot be trained on one image per person: name a folder "
            "of images per person, or give --generator and --network, whose identities then stay away from these."
        )
    if not entries:
        return []
    head = (
        "# Networks trained on the data (iresnet50, AdaFace): `settings` has the recipe, `seeds` repeats it.\ntraining:"
    )
    return ["\n".join([head, *entries, ""])]


def _benchmarks(sources: Sources, image_size: int, found: dict[str, str]) -> list[str]:
    lines = []
    for path in sources.benchmarks:
        images, same = read_bin(path)
        side = decode_rgb(images[0]).shape[0]
        name = re.sub(r"[^A-Za-z0-9_-]", "_", Path(path).stem).lstrip("_-") or "benchmark"
        if f"benchmark {name}" in found:
            raise BrownidError(f"{path}: another benchmark is called {name} already: rename one of the files.")
        found[f"benchmark {name}"] = f"{len(same)} pairs, crops of {side} pixels"
        if side < image_size:
            raise BrownidError(
                f"{path}: its crops have {side} pixels, but the network reads {image_size}: name a benchmark of crops "
                f"with {image_size} pixels or more, or a network for crops of {side}."
            )
        moved = ", alignment: {template: arcface}" * (side != image_size)
        lines.append(f"  {name}: {{file: {_quoted(path)}{moved}}} # {found[f'benchmark {name}']}")
    if not lines:
        return []
    scored = "scoring: {networks: [network]} # with the trained ones\n"
    return ["\n".join(["benchmarks:", *lines, ""]), *[scored] * bool(sources.network)]


def _quoted(text: str | None) -> str:
    """A path as a YAML string."""
    return json.dumps(text, ensure_ascii=False)
