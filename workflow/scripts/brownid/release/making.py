"""What the cards of a release say about its making: code, generators, networks, databases, and their licences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from brownid.release import licences
from brownid.release.citation import HYPERFACE, LANGEVIN, Paper
from brownid.release.markup import code, link, listing, plain
from brownid.release.origins import Origins, PublishedFile
from brownid.samples.provenance import ACCEPTED, read_command


@dataclass(frozen=True)
class Code:
    """The code that made a dataset."""

    version: str
    revision: str
    clean: bool  # without changes that were not committed


def section(root: Path, datasets: Sequence[str], origins: Origins) -> str:
    """The section of the card about how some datasets were made, from their command.yml and the origins."""
    commands = {name: read_command(root / name / "command.yml") for name in datasets}
    checksums = {path: sha256 for command in commands.values() for path, sha256 in command["inputs"].items()}
    sources = [*_generators(origins, checksums), *_networks(origins, checksums), *_covariates(origins, checksums)]
    seed = "" if origins.seed is None else f" The seed is {origins.seed}; every random number follows from it."
    parts = [
        "## How it was made",
        listing(sources),
        *_revisions(commands),
        f"`DATASET/command.yml` has every parameter, the seed and the checksum of every input.{seed} At that revision,"
        " `make release CONFIG=…` with the same configuration makes it again.",
    ]
    if (root / PurePath(ACCEPTED).name).is_file():
        parts.append(
            "`accepted.yml` lists results that older code made and that were accepted under newer code without being"
            " made again: under which, and when."
        )
    return "\n\n".join(filter(None, parts))


def _revisions(commands: Mapping[str, Mapping]) -> list[str]:
    """A sentence for each code that made some of the datasets."""
    made: dict[Code, list[str]] = {}
    for name, command in commands.items():
        version = str(command["versions"].get("brownid", "unknown"))
        by = Code(version, str(command["revision"]), command.get("tree_clean") is True)
        made.setdefault(by, []).append(name)
    sentences = []
    for by, names in made.items():
        which = "" if len(made) == 1 else f": {', '.join(map(code, names))}"
        changed = "" if by.clean else ", with changes that were not committed"
        sentences.append(f"Code: brownid {plain(by.version)}, revision {code(by.revision)}{changed}{which}.")
    return sentences


def _generators(origins: Origins, checksums: Mapping[str, str]) -> list[str]:
    lines = []
    for name, generator in origins.generators.items():
        if generator.procedural:
            lines.append(
                f"**Generator {code(name)}**: the procedural generator of brownid's embedded face world, which draws"
                " faces by formulas. It has neither weights nor training images."
            )
        else:
            read = _files(generator.files, checksums)
            lines.append(f"**Generator {code(name)}** ({plain(generator.family)}){read}")
    return lines


def _networks(origins: Origins, checksums: Mapping[str, str]) -> list[str]:
    lines = []
    for name, network in origins.networks.items():
        what = f"**Steering FR network {code(name)}** ({plain(network.design)}, crops {code(network.template)})"
        if network.file:
            lines.append(f"{what}{_files([network.file], checksums)}")
            continue
        by = (
            f"trained by brownid on {database(origins, network.trained_on)}"
            if network.trained_on
            else "not from a file"
        )
        checksum = checksums.get(network.weights)
        lines.append(f"{what}: {by}" + (f"; SHA-256 {code(checksum)}." if checksum else "."))
    return lines


def _covariates(origins: Origins, checksums: Mapping[str, str]) -> list[str]:
    lines = []
    for name, covariates in origins.covariates.items():
        files = f". Features of the projection{_files(covariates.files, checksums)}" if covariates.files else "."
        lines.append(
            f"**Covariates {code(name)}**: fitted on latents of projected images of"
            f" {database(origins, covariates.database)}{files}"
        )
    return lines


def database(origins: Origins, name: str) -> str:
    """A database with what is known of it."""
    found = origins.databases.get(name)
    if found is None:
        return code(name)
    if found.rendered:
        return f"{code(name)} (renderings of the embedded world)"
    known = found.folder and found.folder.what
    return f"{code(name)} ({plain(known)})" if known else f"{code(name)} (not known to brownid)"


def _files(files: Sequence[PublishedFile], checksums: Mapping[str, str]) -> str:
    """The end of a sentence about what is read from files: each with its checksum and what the catalogue says."""
    if not files:
        return ": not from a file."
    parts = []
    for file in files:
        checksum = checksums.get(file.path)
        shown = f"SHA-256 {code(checksum)}" if checksum else "checksum not recorded"
        known = checksum and file.sha256
        agrees = " (that of the published file)" if checksum == file.sha256 else " (**not that of the published file**)"
        parts.append(f"{code(file.path)}, {shown}{agrees if known else ''}")
    described = {file.what: f"{plain(file.what)} ({link('source', file.source or '')})" for file in files if file.what}
    what = f"By its path: {'; '.join(described.values())}." if described else "Not known to brownid."
    return f": {'; '.join(parts)}. {what}"


# --- licences and papers ----------------------------------------------------------------------------------------------


def licence_section(creator: str, licence: str, origins: Origins) -> str:
    """The section of a card about the licence, and those of the files that the data were made with."""
    stated = licences.known(licence)
    words = link(f"{stated.name} ({stated.spdx})", stated.address) if stated else plain(licence).rstrip(".")
    parts = ["## Licence", f"Licence: {words}. Published by {plain(creator)}."]
    upstream = upstream_files(origins)
    if upstream:
        items = [f"{plain(role)}: {plain(licence_of(file))}" for role, file in upstream]
        parts += ["Files that the data were made with have licences of their own:", listing(items)]
        if any(licences.is_non_commercial(file.licence or "") for _, file in upstream):
            permissive = stated is not None and not licences.is_non_commercial(stated.name)
            against = f", which {stated.spdx} does not" if stated and permissive else ""
            parts.append(
                f"**At least one of them restricts use to research or to non-commercial purposes{against}.** Whether"
                " that"
                " extends to images made with it is a question of law that this card does not answer: clarify it before"
                " any other use."
            )
    return "\n\n".join(parts)


def licence_of(file: PublishedFile) -> str:
    """A file's licence as the catalogue states it, and what the file is."""
    if file.licence is None:
        return f"{file.path}, source and licence not known to brownid"
    return f"{file.what}: {file.licence}"


def upstream_files(origins: Origins) -> list[tuple[str, PublishedFile]]:
    """The user's files that the data come from, with what each is for; files of one model are named once."""
    found: dict[tuple[str, str], tuple[str, PublishedFile]] = {}
    for role, file in origins.published_files():
        found.setdefault((role, file.what or file.path), (role, file))
    return list(found.values())


def papers(origins: Origins) -> list[Paper]:
    """The papers whose methods made the data."""
    packed = any(origin.algorithm == "hyperface" for origin in origins.datasets.values())
    return [LANGEVIN, HYPERFACE] if packed else [LANGEVIN]
