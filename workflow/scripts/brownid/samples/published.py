"""The published collection format 2.0: one HDF5 group an identity, inside it one group a sample.

Root attributes `magic`, `major`, `minor`; identity groups named `%05d`, sample groups named after the label; in each,
the attributes `network_type` and `embedding_type` and datasets with a leading axis of one. A group costs about a third
of a millisecond, so this format suits a release, not the work between stages; the loops use h5py's low-level calls
because its convenient ones take three times as long.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5p, h5s, h5t

from brownid.errors import BrownidError
from brownid.runtime import progress
from brownid.samples import hdf5

if TYPE_CHECKING:
    from brownid.samples.collection import SampleCollection

MAGIC = "synthetics_collection"
MAJOR, MINOR = 2, 0
EXTRA = ("z_latent", "w_plus_latent", "c_label")  # kept under these names in SampleCollection.extra
DATASETS = {"w_latent": "latents", "embedding": "embeddings", **{name: name for name in EXTRA}}
TEXT = h5t.py_create(h5py.string_dtype(), logical=True)
SCALAR = h5s.create(h5s.SCALAR)
UNDATED = h5p.create(h5p.DATASET_CREATE)
UNDATED.set_obj_track_times(False)  # HDF5 would note the time, and equal collections would give unequal files


def published_label(label: str) -> str:
    """A label as the published format and the release's file names write it: '/' and blanks become '_'."""
    name = re.sub(r"[/\s]", "_", label)
    if name in (".", ".."):
        raise BrownidError(f"the label {label!r} cannot be the name of a group or file; choose another.")
    return name


def published_labels(collection: "SampleCollection") -> list[str]:
    """The published labels `[n]` of a collection; a BrownidError where two labels of one identity become the same."""
    codes, table = collection.label_codes
    names = [published_label(label) for label in table]
    rows = [names[code] for code in codes]
    if len(set(names)) < len(names):
        (identity, name), count = Counter(zip(collection.identities.tolist(), rows, strict=True)).most_common(1)[0]
        if count > 1:
            raise BrownidError(f"identity {identity} has {count} labels that would all be published as {name!r}.")
    return rows


def canonical_order(identities: np.ndarray, labels: list[str]) -> np.ndarray:
    """Row order by identity, then the reference, then labels with their numbers counted: `_2` stands before `_10`."""
    position = {label: place for place, label in enumerate(sorted(set(labels), key=_label_key))}
    return np.lexsort(([position[label] for label in labels], identities))


def write(path: str | Path, collection: "SampleCollection") -> None:
    """Write a collection; the file appears whole or not at all. A row of NaN in an extra column is left out."""
    unknown = set(collection.extra) - set(EXTRA)
    if unknown:
        raise BrownidError(f"{path}: the published format has no column {sorted(unknown)[0]!r}; drop it first.")
    for what, needed in (("generator", collection.latents), ("recognition", collection.embeddings)):
        if needed is not None and not getattr(collection, what):
            raise BrownidError(f"{path}: the published format needs the name of the {what}; the collection has none.")
    labels = published_labels(collection)
    stored = _stored_columns(collection)
    order = canonical_order(collection.identities, labels)
    with hdf5.writing(path, libver="earliest") as file:
        file.attrs.update({"magic": MAGIC, "major": MAJOR, "minor": MINOR})
        group, identity = None, None
        for row in progress(order.tolist(), "writing samples", "sample"):
            if collection.identities[row] != identity:
                identity = collection.identities[row]
                group = h5g.create(file.id, b"%05d" % identity)
            sample = h5g.create(group, labels[row].encode())
            _write_text(sample, b"network_type", collection.generator)
            _write_text(sample, b"embedding_type", collection.recognition)
            for name, (values, present, kind, space) in stored.items():
                if present[row]:
                    h5d.create(sample, name, kind, space, UNDATED).write(h5s.ALL, h5s.ALL, values[row : row + 1])


def read(path: str | Path, columns: Collection[str]) -> dict[str, object]:
    """The fields of a SampleCollection in canonical order, with those of its columns that `columns` names."""
    wanted = [name for name, column in DATASETS.items() if column in columns or ("extra" in columns and name in EXTRA)]
    with hdf5.reading(path) as file:
        version = tuple(hdf5.attribute(file, name, int) for name in ("major", "minor"))
        if version != (MAJOR, MINOR):
            raise BrownidError(f"{path}: the format is {version[0]}.{version[1]}; this brownid reads {MAJOR}.{MINOR}.")
        keys = [(identity, label) for identity, label in _sample_groups(path, file)]
        identities = np.array([int(identity) for identity, _ in keys], dtype=np.int64)
        order = canonical_order(identities, [label for _, label in keys])
        keys = [keys[row] for row in order]
        names: dict[str, str] = {}
        found: dict[str, np.ndarray] = {}
        seen = {name: np.zeros(len(keys), dtype=bool) for name in wanted}
        for row, (identity, label) in enumerate(progress(keys, "reading samples", "sample")):
            sample = h5g.open(file.id, f"{identity}/{label}".encode())
            where = f"{path}: identity {int(identity)}, label {label!r}"
            for name in ("network_type", "embedding_type"):
                value = _read_text(sample, name.encode())
                if value and names.setdefault(name, value) != value:
                    raise BrownidError(f"{where} has the {name} {value!r}, others {names[name]!r}; split the file.")
            for name in wanted:
                if name.encode() in sample:
                    _read_row(sample, name, found, row, len(keys), where)
                    seen[name][row] = True
    _check_complete(path, keys, found, seen)
    columns_read = {DATASETS[name]: values for name, values in found.items()}
    return {
        "latents": columns_read.pop("latents", None),
        "embeddings": columns_read.pop("embeddings", None),
        "identities": identities[order],
        "labels": [label for _, label in keys],
        "generator": names.get("network_type", ""),
        "recognition": names.get("embedding_type", ""),
        "extra": columns_read,
    }


def _label_key(label: str) -> tuple:
    parts = re.split(r"(\d+)", label)
    return (label != "reference", [(int(part), "") if part.isdigit() else (-1, part) for part in parts], label)


def _stored_columns(collection: "SampleCollection") -> dict[bytes, tuple]:
    """By dataset name: the column, which rows are present, and the HDF5 type and shape of one row."""
    values_of = collection.columns()
    stored = {}
    for name, column in DATASETS.items():
        if column not in values_of:
            continue
        values = np.ascontiguousarray(values_of[column])
        floating = np.issubdtype(values.dtype, np.floating)
        present = (
            ~np.isnan(values.reshape(len(values), -1)[:, :1]).any(axis=1) if floating else np.ones(len(values), bool)
        )
        space = h5s.create_simple((1, *values.shape[1:]))
        stored[name.encode()] = (values, present, h5t.py_create(values.dtype), space)
    return stored


def _sample_groups(path: str | Path, file: h5py.File) -> Iterator[tuple[str, str]]:
    """The (identity group, label group) names of a file, in its own order; other members are passed over."""
    for identity in file:
        group = h5py.h5o.open(file.id, identity.encode())
        if not isinstance(group, h5g.GroupID):
            continue
        if not re.fullmatch(r"\d{1,18}", identity):
            raise BrownidError(
                f"{path}: the group {identity!r} is no identity number such as 00042; rename or remove it."
            )
        for label in group:
            if isinstance(h5py.h5o.open(group, label), h5g.GroupID):
                yield identity, label.decode()


def _read_row(sample: h5g.GroupID, name: str, found: dict, row: int, count: int, where: str) -> None:
    """Read one dataset `[1, ...]` into its row of the column `found[name]`, which the first one seen allocates."""
    dataset = h5d.open(sample, name.encode())
    shape, kind = dataset.shape, dataset.dtype
    if shape is None or len(shape) < 2 or shape[0] != 1 or not np.issubdtype(kind, np.number):
        raise BrownidError(f"{where}: {name} has the type {kind} and shape {list(shape or ())}, not numbers [1, ...].")
    if name not in found:
        column = np.empty((count, *shape[1:]), dtype=kind)
        column.fill(np.nan if np.issubdtype(kind, np.floating) else 0)
        found[name] = column
    if found[name].shape[1:] != shape[1:] or found[name].dtype != kind:
        theirs = found[name]
        raise BrownidError(
            f"{where}: {name} is {kind} {list(shape[1:])}, others are {theirs.dtype} {list(theirs.shape[1:])}."
        )
    dataset.read(h5s.ALL, h5s.ALL, found[name][row : row + 1])


def _check_complete(path: str | Path, keys: list, found: dict, seen: dict) -> None:
    """Latents and embeddings are there for all samples or for none; so are extra columns of whole numbers."""
    for name, values in found.items():
        optional = name in EXTRA and np.issubdtype(values.dtype, np.floating)
        if not optional and not seen[name].all():
            identity, label = keys[int(np.argmin(seen[name]))]
            raise BrownidError(
                f"{path}: identity {int(identity)}, label {label!r} lacks {name}, which other samples have."
            )


def _write_text(group: h5g.GroupID, name: bytes, value: str) -> None:
    if value:
        h5a.create(group, name, TEXT, SCALAR).write(np.array(value, dtype=object))


def _read_text(group: h5g.GroupID, name: bytes) -> str:
    if not h5a.exists(group, name):
        return ""
    attribute = h5a.open(group, name)
    value = np.empty(attribute.shape, dtype=attribute.dtype)
    attribute.read(value)
    value = value.item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
