"""What a release was made from, as its configuration says: generators, FR networks, databases, algorithms."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True)
class PublishedFile:
    """A file or folder of the user's, with what the catalogue says of the one that belongs at its path."""

    path: str
    what: str | None = None  # None: the catalogue does not know it
    source: str | None = None  # page
    licence: str | None = None
    sha256: str | None = None  # of the published file, where the catalogue knows it


@dataclass(frozen=True)
class Generator:
    """An image generator."""

    family: str  # or `factory`, of the user's own
    procedural: bool  # of the embedded world: formulas, without weights or training images
    files: tuple[PublishedFile, ...] = ()


@dataclass(frozen=True)
class Network:
    """An FR network that steers."""

    design: str  # family and architecture
    template: str  # of the crops that it reads while it steers
    weights: str  # path of its file
    file: PublishedFile | None = None  # None: trained by the workflow
    trained_on: str | None = None  # database, where the workflow trained it


@dataclass(frozen=True)
class Database:
    """A database of faces."""

    rendered: bool  # by the embedded world; else photographs of persons
    folder: PublishedFile | None = None


@dataclass(frozen=True)
class Covariates:
    """Directions and within-class covariance in the latent space, from projected photographs."""

    database: str
    files: tuple[PublishedFile, ...] = ()  # of the features that the projection compares


@dataclass(frozen=True)
class Origin:
    """How a dataset was made: a references or variations entry, or a realigned one, whose images show the same."""

    algorithm: str
    references: str  # the entry that defines its identities: itself, for references
    generator: str
    network: str
    covariates: tuple[str, ...] = ()  # entries, those of `nuisance_projection` included
    start: str | None = None  # references entry
    gallery: str | None = None  # of HyperFace, where it is an entry
    leak_guard: str | None = None  # database
    guard_angle: float | None = None  # radians that the leak guard keeps references away
    identities: int | None = None  # that were asked for; None for variations


@dataclass(frozen=True)
class Origins:
    """All that the cards of a release say of its origins; empty where these are not recorded.

    Names are those of configuration entries.
    """

    seed: int | None = None
    datasets: Mapping[str, Origin] = field(default_factory=dict)
    generators: Mapping[str, Generator] = field(default_factory=dict)
    networks: Mapping[str, Network] = field(default_factory=dict)
    databases: Mapping[str, Database] = field(default_factory=dict)
    covariates: Mapping[str, Covariates] = field(default_factory=dict)
    training: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # training entry -> datasets and databases
    rendered_benchmarks: tuple[str, ...] = ()  # stand-ins of the embedded world
    judge: str | None = None  # network that measured the quality table
    genuine: str | None = None  # database that it was compared with

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> "Origins":
        """The origins that `plain` made of them."""
        kinds = {
            "datasets": Origin,
            "generators": Generator,
            "networks": Network,
            "databases": Database,
            "covariates": Covariates,
        }
        built = {
            section: {name: _built(kind, entry) for name, entry in stated[section].items()}
            for section, kind in kinds.items()
        }
        training = {name: tuple(datasets) for name, datasets in stated["training"].items()}
        rendered = tuple(stated["rendered_benchmarks"])
        return cls(**{**stated, **built, "training": training, "rendered_benchmarks": rendered})

    def plain(self) -> dict[str, Any]:
        """The same as mappings, lists, texts and numbers."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found

    def restricted(self, names: Iterable[str]) -> "Origins":
        """The origins of some datasets and databases alone, of what these were made from included."""
        wanted = [name for name in names if name in self.datasets or name in self.databases]
        for name in wanted:  # grows
            origin = self.datasets.get(name)
            others = (origin.references, origin.start, origin.gallery) if origin else ()
            wanted += [other for other in dict.fromkeys(others) if other and other not in wanted]
        datasets = {name: self.datasets[name] for name in wanted if name in self.datasets}
        generators = {origin.generator for origin in datasets.values()}
        networks = {origin.network for origin in datasets.values()}
        covariates = {name for origin in datasets.values() for name in origin.covariates}
        databases = {*wanted, *(origin.leak_guard for origin in datasets.values())}
        databases |= {self.networks[name].trained_on for name in networks}
        databases |= {self.covariates[name].database for name in covariates}
        return replace(
            self,
            datasets=datasets,
            generators={name: each for name, each in self.generators.items() if name in generators},
            networks={name: each for name, each in self.networks.items() if name in networks},
            databases={name: each for name, each in self.databases.items() if name in databases},
            covariates={name: each for name, each in self.covariates.items() if name in covariates},
        )

    def published_files(self) -> Iterator[tuple[str, PublishedFile]]:
        """The user's files that the data come from, each with what it is for."""
        for name, generator in self.generators.items():
            yield from ((f"generator {name}", file) for file in generator.files)
        for name, network in self.networks.items():
            yield from ((f"steering network {name}", file) for file in [network.file] if file)
        for name, covariates in self.covariates.items():
            yield from ((f"projection features of {name}", file) for file in covariates.files)
        for name, database in self.databases.items():
            yield from ((f"database {name}", file) for file in [database.folder] if file)

    @property
    def is_rendered(self) -> bool:
        """Whether all of it is the embedded world's: no photograph and no published file took part."""
        return bool(self.generators) and self.all_procedural(self.datasets) and not any(self.published_files())

    def all_procedural(self, datasets: Iterable[str]) -> bool:
        """Whether the generators of some datasets are procedural."""
        return all(self.generators[self.datasets[name].generator].procedural for name in datasets)


def _built(kind: type, entry: Mapping[str, Any]) -> Any:
    values = {each.name: entry[each.name] for each in fields(kind)}
    for name in ("files", "covariates"):
        if name in values:
            values[name] = tuple(PublishedFile(**file) if name == "files" else file for file in values[name])
    for name in ("file", "folder"):
        if values.get(name):
            values[name] = PublishedFile(**values[name])
    return kind(**values)
