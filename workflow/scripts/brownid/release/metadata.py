"""metadata.json: what a release states about its training sets, datasets and models; `verify` holds the files to it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from brownid.exports.inventory import TrainingSetRecord
from brownid.release.contents import LAYOUT_FOLDERS, ReleaseDescription, check_model_name, check_name
from brownid.runtime.errors import BrownidError
from brownid.runtime.text import read_json
from brownid.samples import columnar
from brownid.samples.collection import SampleCollection
from brownid.samples.published import W_PLUS
from brownid.weights.unpickler import short_reason

METADATA = "metadata.json"
FORMAT_VERSION = 2


@dataclass(frozen=True)
class DatasetRecord:
    """Statements about one dataset."""

    name: str
    samples: int
    identities: int
    image_size: int  # pixels
    template: str | None  # crop template, where it is known
    generator: str
    recognition: str
    latent_dimension: int | None
    latent_layers: int | None  # of latents in W+
    embedding_dimension: int | None
    statistics: bool  # whether there is a stats.h5
    published: bool  # whether samples.h5 and single images are there; else it is in training sets only

    @classmethod
    def of(
        cls, name: str, collection: SampleCollection, image_size: int, template: str | None, statistics: bool
    ) -> "DatasetRecord":
        """The record of a published collection with images of this side."""
        return cls(
            name=name,
            samples=len(collection),
            identities=len(set(collection.identities.tolist())),
            image_size=image_size,
            template=template,
            generator=collection.generator,
            recognition=collection.recognition,
            latent_dimension=None if collection.latents is None else collection.latents.shape[1],
            latent_layers=collection.extra[W_PLUS].shape[1] if W_PLUS in collection.extra else None,
            embedding_dimension=None if collection.embeddings is None else collection.embeddings.shape[1],
            statistics=statistics,
            published=True,
        )

    @classmethod
    def of_file(
        cls, name: str, samples: Path, image_size: int, template: str | None, statistics: bool
    ) -> "DatasetRecord":
        """The record of a collection that is not published, of which no column is read whole."""
        found = columnar.summary(samples)
        return cls(
            name=name,
            samples=found.samples,
            identities=found.identities,
            image_size=image_size,
            template=template,
            generator=found.generator,
            recognition=found.recognition,
            latent_dimension=found.shapes.get("latents", (None,))[0],
            latent_layers=found.shapes.get(W_PLUS, (None,))[0],
            embedding_dimension=found.shapes.get("embeddings", (None,))[0],
            statistics=statistics,
            published=False,
        )

    @property
    def image_folder(self) -> str:
        """The name of the folder of its images."""
        return f"images_arcface_{self.image_size}x{self.image_size}"


@dataclass(frozen=True)
class ReleasedSetRecord(TrainingSetRecord):
    """Statements about one training set in the release."""

    template: str | None  # crop template, where it is known
    layouts: list[str]  # of `LAYOUT_FOLDERS`, in whose folders it stands

    def folder(self, layout: str) -> str:
        """Path in the release of the training set in one of its layouts."""
        return f"{LAYOUT_FOLDERS[layout]}/{self.name}"


@dataclass(frozen=True)
class ReleaseRecord:
    """All that a release states."""

    training_sets: tuple[ReleasedSetRecord, ...]
    datasets: tuple[DatasetRecord, ...]
    models: tuple[str, ...]


def write_metadata(root: Path, description: ReleaseDescription, record: ReleaseRecord) -> None:
    """Write metadata.json into a release."""
    content = {
        "brownid_release_format": FORMAT_VERSION,
        "name": description.name,
        "version": description.version,
        "date": description.date,
        "description": description.description,
        "creator": description.creator,
        "licence": description.licence,
        "intended_use": description.intended_use,
        **asdict(record),
    }
    (root / METADATA).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_metadata(root: Path) -> ReleaseRecord:
    """What a release states; a metadata.json that is not ours is a BrownidError."""
    try:
        content = read_json(root / METADATA)
        version = content["brownid_release_format"]
        if version != FORMAT_VERSION:
            raise BrownidError(f"the release format is {version}, this brownid reads {FORMAT_VERSION}")
        record = ReleaseRecord(
            training_sets=tuple(_of_fields(ReleasedSetRecord, entry) for entry in content["training_sets"]),
            datasets=tuple(_of_fields(DatasetRecord, entry) for entry in content["datasets"]),
            models=tuple(content["models"]),
        )
    except (BrownidError, KeyError, TypeError) as error:
        reason = str(error).rstrip(".") if isinstance(error, BrownidError) else short_reason(error)
        raise BrownidError(f"{METADATA}: the file is missing or does not describe a release ({reason}).") from None
    for training_set in record.training_sets:
        _check_types("training set", training_set)
        check_name("training set", training_set.name)
        for layout in training_set.layouts:
            if layout not in LAYOUT_FOLDERS:
                raise BrownidError(f"{METADATA}: the training set {training_set.name!r} has a layout {layout!r}.")
    for dataset in record.datasets:
        _check_types("dataset", dataset)
        check_name("dataset", dataset.name)
    for model in record.models:
        if not isinstance(model, str):
            raise BrownidError(f"{METADATA}: models is no list of names.")
        check_model_name(model)
    return record


Record = TypeVar("Record", DatasetRecord, ReleasedSetRecord)


def _of_fields(kind: type[Record], entry: Mapping[str, Any]) -> Record:
    return kind(**{field.name: entry[field.name] for field in fields(kind)})


def _check_types(what: str, record: DatasetRecord | ReleasedSetRecord) -> None:
    """Refuse numbers where texts should be, and the like."""
    for name, kind in get_type_hints(type(record)).items():
        value = getattr(record, name)
        if not _is_a(value, kind):
            raise BrownidError(f"{METADATA}: {name} of the {what} {record.name!r} is {value!r}.")


def _is_a(value: Any, kind: Any) -> bool:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is list:
        return isinstance(value, list) and all(_is_a(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_is_a(item, arguments[1]) for item in value.values())
    if arguments:  # a union
        return any(_is_a(value, argument) for argument in arguments)
    return isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
