"""croissant.json: the release in Croissant 1.0, in which datasets describe themselves to machines.

See https://docs.mlcommons.org/croissant/docs/croissant-spec.html.
"""

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import mlcroissant as mlc
import pyarrow as pa
import pyarrow.parquet

from brownid.release import licences
from brownid.release.contents import ReleaseDescription
from brownid.release.markup import one_line
from brownid.release.metadata import ReleasedSetRecord

CROISSANT = "croissant.json"
CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
DESCRIPTIONS = {
    "image": "The aligned face",
    "label": "Class in this set, counted from 0",
    "identity": "Name of the synthetic identity, the same in all sets",
    "sample": "reference, or the name of the variation",
    "dataset": "The dataset that the image is from",
    "latent": "Latent of the generator",
    "w_plus_latent": "Latents of the generator, one per layer",
    "embedding": "Embedding by the FR network that steered the data",
}


def write_croissant(
    root: Path,
    description: ReleaseDescription,
    training_sets: Sequence[ReleasedSetRecord],
    checksums: Mapping[str, str],
    citation: str,
) -> None:
    """Write croissant.json into a release, about the training sets in Parquet.

    `checksums` has the SHA-256 of their files by path in the release, `citation` the BibTeX entries.
    """
    described = [each for each in training_sets if "parquet" in each.layouts]
    context = mlc.Context(conforms_to=CONFORMS_TO, folder=root)
    folders = tuple(f"{each.folder('parquet')}/" for each in described)
    files = [
        _file(context, root, path, checksum) for path, checksum in sorted(checksums.items()) if path.startswith(folders)
    ]
    metadata = mlc.Metadata(
        ctx=context,
        name=description.name,
        description=one_line(description.description),
        license=[licences.address(description.licence)],
        creators=[mlc.Organization(ctx=context, name=one_line(description.creator))],
        version=description.version,
        date_published=datetime.datetime.fromisoformat(description.date) if description.date else None,
        cite_as=citation,
        distribution=[*files, *(_file_set(context, each) for each in described)],
        record_sets=[_record_set(context, root, each) for each in described],
    )
    content = metadata.to_json()
    (root / CROISSANT).write_text(
        json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8"
    )


def _file(context: mlc.Context, root: Path, path: str, checksum: str) -> mlc.FileObject:
    return mlc.FileObject(
        ctx=context,
        id=path,
        name=path,
        content_url=path,
        content_size=f"{(root / path).stat().st_size} B",
        encoding_formats=[mlc.EncodingFormat.PARQUET],
        sha256=checksum,
    )


def _file_set(context: mlc.Context, record: ReleasedSetRecord) -> mlc.FileSet:
    return mlc.FileSet(
        ctx=context,
        id=f"{record.name}-files",
        name=f"{record.name}-files",
        description=f"The Parquet files of {record.name}",
        encoding_formats=[mlc.EncodingFormat.PARQUET],
        includes=[f"{record.folder('parquet')}/*.parquet"],
    )


def _record_set(context: mlc.Context, root: Path, record: ReleasedSetRecord) -> mlc.RecordSet:
    first = min((root / record.folder("parquet")).glob("*.parquet"))
    return mlc.RecordSet(
        ctx=context,
        id=record.name,
        name=record.name,
        description=f"{record.rows} images of {record.classes} synthetic identities, {record.image_size} pixels",
        fields=list(_fields(context, record.name, pyarrow.parquet.read_schema(first))),
    )


def _fields(context: mlc.Context, name: str, schema: pa.Schema) -> Iterator[mlc.Field]:
    for column in schema:
        repeated = pa.types.is_fixed_size_list(column.type)
        transforms = [mlc.Transform(ctx=context, json_path="bytes")] if column.name == "image" else []
        yield mlc.Field(
            ctx=context,
            id=f"{name}/{column.name}",
            name=column.name,
            description=DESCRIPTIONS[column.name],
            data_types=[_data_type(column)],
            repeated=repeated,
            source=mlc.Source(
                ctx=context,
                file_set=f"{name}-files",
                extract=mlc.Extract(ctx=context, column=column.name),
                transforms=transforms,
            ),
        )


def _data_type(column: pa.Field) -> mlc.DataType:
    if column.name == "image":
        return mlc.DataType.IMAGE_OBJECT
    if pa.types.is_fixed_size_list(column.type):
        return mlc.DataType.FLOAT
    return mlc.DataType.INTEGER if pa.types.is_integer(column.type) else mlc.DataType.TEXT
