"""metadata.json, the record of a release that `verify` reads (JSON-LD in the manner of Croissant)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

from brownid.release.contents import ReleaseDescription, check_model_name, check_name
from brownid.runtime.errors import BrownidError
from brownid.runtime.text import read_json
from brownid.samples.collection import SampleCollection
from brownid.samples.published import W_PLUS
from brownid.weights.unpickler import short_reason

METADATA = "metadata.json"
FORMAT_VERSION = 1
CONTEXT = {"@vocab": "https://schema.org/", "cr": "http://mlcommons.org/croissant/"}


@dataclass(frozen=True)
class DatasetRecord:
    """Statements of a release about one dataset; `verify` holds the files against it."""

    name: str
    samples: int
    identities: int
    side: int  # pixels
    generator: str
    recognition: str
    latent_dimension: int | None
    embedding_dimension: int | None
    statistics: bool  # whether there is a stats.h5
    latent_layers: int | None = None  # of the latents in W+, one per layer of the generator, where there are such

    @classmethod
    def of(cls, name: str, collection: SampleCollection, side: int, statistics: bool) -> "DatasetRecord":
        """The record of a collection with images of this side."""
        return cls(
            name=name,
            samples=len(collection),
            identities=len(set(collection.identities.tolist())),
            side=side,
            generator=collection.generator,
            recognition=collection.recognition,
            latent_dimension=None if collection.latents is None else collection.latents.shape[1],
            embedding_dimension=None if collection.embeddings is None else collection.embeddings.shape[1],
            statistics=statistics,
            latent_layers=collection.extra[W_PLUS].shape[1] if W_PLUS in collection.extra else None,
        )

    @property
    def image_folder(self) -> str:
        """The name of the folder of its images."""
        return f"images_arcface_{self.side}x{self.side}"


def write_metadata(
    root: Path, description: ReleaseDescription, datasets: Sequence[DatasetRecord], models: Sequence[str]
) -> None:
    """Write metadata.json into a release."""
    content = {
        "@context": CONTEXT,
        "@type": "Dataset",
        "name": description.name,
        "description": description.description,
        "license": description.licence,
        "creator": {"@type": "Organization", "name": description.creator},
        "version": description.version,
        "usageInfo": description.intended_use,
        "brownid_release_format": FORMAT_VERSION,
        "distribution": [
            {"@type": "cr:FileObject", "@id": "manifest.csv", "encodingFormat": "text/csv"},
            {"@type": "cr:FileObject", "@id": "checksums.sha256", "encodingFormat": "text/plain"},
        ],
        "recordSet": [_record_set(record) for record in datasets],
        "trained_models": list(models),
    }
    (root / METADATA).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_metadata(root: Path) -> tuple[list[DatasetRecord], list[str]]:
    """The dataset records and model names of a release; a metadata.json that is not ours is a BrownidError."""
    try:
        content = read_json(root / METADATA)
        version = content["brownid_release_format"]
        records = [
            DatasetRecord(**{name: entry[name] for name in DatasetRecord.__dataclass_fields__ if name in entry})
            for entry in content["recordSet"]
        ]
        models = content["trained_models"]
    except (BrownidError, KeyError, TypeError) as error:
        reason = str(error).rstrip(".") if isinstance(error, BrownidError) else short_reason(error)
        raise BrownidError(f"{METADATA}: the file is missing or does not describe a release ({reason}).") from None
    if version != FORMAT_VERSION:
        raise BrownidError(f"{METADATA}: the release format is {version}; this brownid reads {FORMAT_VERSION}.")
    for record in records:
        _check_record(record)
    if not isinstance(models, list) or not all(isinstance(model, str) for model in models):
        raise BrownidError(f"{METADATA}: trained_models is no list of names.")
    for record in records:
        check_name("dataset", record.name)
    for model in models:
        check_model_name(model)
    return records, models


def _check_record(record: DatasetRecord) -> None:
    """Refuse numbers where texts should be, and the like."""
    for field in fields(DatasetRecord):
        value = getattr(record, field.name)
        if isinstance(value, bool) != (field.type is bool) or not isinstance(value, cast(type, field.type)):
            raise BrownidError(f"{METADATA}: {field.name} of the dataset {record.name!r} is {value!r}.")


def _record_set(record: DatasetRecord) -> dict:
    """A dataset as a Croissant record set: one record per sample."""
    numbers = {"w_latent": [record.latent_dimension], "embedding": [record.embedding_dimension]}
    if record.latent_layers is not None:
        numbers[W_PLUS] = [record.latent_layers, record.latent_dimension]
    fields: list[dict[str, Any]] = [
        {"name": "identity", "dataType": "Integer", "description": "the person, counted from 0"},
        {"name": "label", "dataType": "Text", "description": "the image of that person, such as reference"},
        {
            "name": "image",
            "dataType": "ImageObject",
            "description": f"{record.image_folder}/<identity, five digits>/<label>.png, 8-bit RGB",
        },
        *(
            {"name": name, "dataType": "Float", "shape": shape, "description": f"{name} in samples.h5"}
            for name, shape in numbers.items()
            if None not in shape
        ),
    ]
    stated = {name: getattr(record, name) for name in DatasetRecord.__dataclass_fields__}
    if record.latent_layers is None:
        del stated["latent_layers"]
    return {
        "@type": "cr:RecordSet",
        "@id": record.name,
        **stated,
        "images": record.samples,
        "field": [{"@type": "cr:Field", "@id": f"{record.name}/{field['name']}", **field} for field in fields],
    }
