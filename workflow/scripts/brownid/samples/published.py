"""The published collection format 2.0: one HDF5 group per identity, in it one group per sample."""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5i, h5p, h5s, h5t

from brownid.runtime.errors import BrownidError
from brownid.runtime.process import logger, progress
from brownid.samples import checks, hdf5
from brownid.samples.checks import Samples

TEXT = h5t.py_create(hdf5.TEXT, logical=True)
SCALAR = h5s.create(h5s.SCALAR)
UNDATED = h5p.create(h5p.DATASET_CREATE)
UNDATED.set_obj_track_times(False)  # HDF5 would note the time, and equal collections would give unequal files
MOST_ABSENT = 64  # times a file's size that a column may have, whose absent rows take no space in it
# the states of an attribute that names a network: not there, a name, a text of no length
MISSING, NAMED, EMPTY = range(3)


class StoredColumn:
    """A column that goes into a dataset `[1, ...]` of each sample."""

    def __init__(self, name: str, values: np.ndarray, absent: np.ndarray) -> None:
        self._name = name.encode()
        self._values = np.ascontiguousarray(values)
        self._present = ~absent
        self._type = h5t.py_create(values.dtype)
        self._space = h5s.create_simple((1, *values.shape[1:]))

    def write(self, sample: h5g.GroupID, row: int) -> None:
        """Write the row into a sample's group, unless it is absent."""
        if self._present[row]:
            dataset = h5d.create(sample, self._name, self._type, self._space, UNDATED)
            dataset.write(h5s.ALL, h5s.ALL, self._values[row : row + 1])


class FoundColumn:
    """A column `[count, ...]` that the datasets of the samples are read into; absent rows are NaN, or zero."""

    def __init__(self, name: str, count: int) -> None:
        self.values: np.ndarray | None = None  # what the first sample allocates
        self.seen = np.zeros(count, dtype=bool)
        self._name = name

    def read(self, sample: h5g.GroupID, row: int, where: str) -> None:
        """Read a sample's dataset into the row; `where` begins what an error says."""
        dataset = h5d.open(sample, self._name.encode())
        shape, kind = dataset.shape, dataset.dtype
        if shape is None or len(shape) < 2 or shape[0] != 1 or not np.issubdtype(kind, np.number):
            found = f"the type {kind} and shape {list(shape or ())}"
            raise BrownidError(f"{where}: {self._name} has {found}, not numbers [1, ...].")
        if dataset.get_offset() is None:  # it is not one piece of this file, as those of published files are
            hdf5.check_storage(dataset)
        if self.values is None:
            self._check_size(dataset, math.prod(shape) * kind.itemsize, where)
            self.values = np.empty((len(self.seen), *shape[1:]), dtype=kind)
            self.values.fill(np.nan if np.issubdtype(kind, np.floating) else 0)
        if self.values.shape[1:] != shape[1:] or self.values.dtype != kind:
            theirs = f"{self.values.dtype} {list(self.values.shape[1:])}"
            raise BrownidError(f"{where}: {self._name} is {kind} {list(shape[1:])}, others are {theirs}.")
        dataset.read(h5s.ALL, h5s.ALL, self.values[row : row + 1])
        self.seen[row] = True

    def _check_size(self, dataset: h5d.DatasetID, row_bytes: int, where: str) -> None:
        """Refuse a column that is longer than any file of this size would have it, most of whose rows are absent."""
        size = h5i.get_file_id(dataset).get_filesize()
        if len(self.seen) * row_bytes > MOST_ABSENT * size + hdf5.UNWRITTEN_BYTES:
            raise BrownidError(
                f"{where}: {self._name} has {row_bytes} bytes, which for all {len(self.seen)} samples is more than a"
                f" file of {size} bytes has; make the file again."
            )


def write_name(sample: h5g.GroupID, attribute: bytes, name: str, state: int) -> None:
    """Write an attribute that names a network, in this state."""
    if state != MISSING:
        h5a.create(sample, attribute, TEXT, SCALAR).write(np.array(name if state == NAMED else "", dtype=object))


def read_name(sample: h5g.GroupID, attribute: bytes) -> tuple[str, int]:
    """The text of such an attribute, and its state."""
    if not h5a.exists(sample, attribute):
        return "", MISSING
    stored = h5a.open(sample, attribute)
    if stored.get_space().get_simple_extent_type() == h5s.NULL:
        return "", EMPTY
    if math.prod(stored.shape) != 1:
        raise ValueError(f"the attribute {attribute.decode()} has {math.prod(stored.shape)} values")
    values = np.empty(stored.shape, dtype=stored.dtype)
    stored.read(values)
    value = values.item()
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text, NAMED if text else EMPTY


def sub_groups(group: h5g.GroupID) -> list[str]:
    """The names of the groups in a group, in its own order; other members are passed over."""
    return [name.decode() for name in group if isinstance(h5py.h5o.open(group, name), h5g.GroupID)]


MAGIC = "synthetics_collection"
MAJOR, MINOR = 2, 0
W_PLUS = "w_plus_latent"  # one latent per layer of the generator, of which `w_latent` is the mean
EXTRA = ("z_latent", W_PLUS, "c_label")  # kept under these names in SampleCollection.extra
DATASETS = {"w_latent": "latents", "embedding": "embeddings", **{name: name for name in EXTRA}}
# by attribute: the field that it names, the column that needs the name, and the extra column of the attribute's states,
# which is there only where some sample does not name what others do
NAMES = {
    "network_type": ("generator", "latents", "network_type_state"),
    "embedding_type": ("recognition", "embeddings", "embedding_type_state"),
}
KNOWN_EXTRA = {*EXTRA, *(state_column for _, _, state_column in NAMES.values())}  # others have no place in the format


def published_label(label: str) -> str:
    """A label as the published format and the release's file names write it: '/' and blanks become '_'."""
    name = re.sub(r"[/\s]", "_", label)
    if name in (".", ".."):
        raise BrownidError(f"the label {label!r} cannot be the name of a group or file; choose another.")
    return name


def published_labels(collection: Samples) -> list[str]:
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
    return np.lexsort((np.array([position[label] for label in labels], np.int64), identities))


def write(path: str | Path, collection: Samples) -> None:
    """Write a collection; the file appears whole or not at all. Absent rows (of NaN) are left out."""
    states = _states_to_write(path, collection)
    labels = published_labels(collection)
    values_of = collection.columns()
    columns = [
        StoredColumn(name, values_of[column], checks.absent_rows(values_of[column]))
        for name, column in DATASETS.items()
        if column in values_of
    ]
    order = canonical_order(collection.identities, labels)
    with hdf5.writing(path, libver="earliest") as file:
        file.attrs.update({"magic": MAGIC, "major": MAJOR, "minor": MINOR})
        group, identity = None, None
        for row in progress(order.tolist(), "writing samples", "sample"):
            if collection.identities[row] != identity:
                identity = collection.identities[row]
                group = h5g.create(file.id, b"%05d" % identity)
                file.check_disk()
            sample = h5g.create(group, labels[row].encode())
            for attribute, (name, state) in states.items():
                write_name(sample, attribute, name, state[row])
            for column in columns:
                column.write(sample, row)


def read(path: str | Path, columns: Collection[str], identities: Iterable[int] | None = None) -> dict[str, object]:
    """The fields of a SampleCollection in canonical order, with those of its columns that `columns` names.

    Of the samples of these identities only, where `identities` is given; the groups of others are not opened.
    """
    with hdf5.reading(path) as file:
        keys = _sample_groups(file, _people(path, file, identities))
        return _fields(path, file, keys, columns, progress(keys, "reading samples", "sample"))


def read_people(path: str | Path, columns: Collection[str]) -> Iterator[dict[str, object]]:
    """The fields of a SampleCollection of some thousand rows at a time, identities sorted by their names as text.

    Whether samples are alike in what they have and in the names of their networks is checked within each part.
    """
    with hdf5.reading(path) as file:
        keys: list[tuple[str, str]] = []
        for person in sorted(_people(path, file, None)):
            keys += _sample_groups(file, [person])
            if len(keys) >= checks.BLOCK_ROWS:
                yield _fields(path, file, keys, columns, keys)
                keys = []
        if keys:
            yield _fields(path, file, keys, columns, keys)


def _fields(
    path: str | Path,
    file: h5py.File,
    keys: Sequence[tuple[str, str]],
    columns: Collection[str],
    shown: Iterable[tuple[str, str]],
) -> dict[str, object]:
    """The fields of the samples of these keys; `shown` gives the keys and may show how far it is."""
    found = {name: FoundColumn(name, len(keys)) for name in DATASETS}
    wanted = {name for name, column in DATASETS.items() if ("extra" if name in EXTRA else column) in columns}
    names: dict[str, str] = {}
    states = {attribute: np.zeros(len(keys), dtype=np.int8) for attribute in NAMES}
    others: Counter[str] = Counter()
    for row, (identity, label) in enumerate(shown):
        sample = h5g.open(file.id, f"{identity}/{label}".encode())
        where = f"{path}: identity {int(identity)}, label {label!r}"
        for attribute in NAMES:
            value, states[attribute][row] = read_name(sample, attribute.encode())
            if value and names.setdefault(attribute, value) != value:
                raise BrownidError(
                    f"{where} has the {attribute} {value!r}, others {names[attribute]!r}; split the file."
                )
        present = [name for name in DATASETS if name.encode() in sample]
        for name in present:
            if name in wanted:
                found[name].read(sample, row, where)
        if sample.get_num_objs() > len(present):
            others.update({member.decode() for member in sample} - set(present))
    for member, count in others.items():
        logger.warning("%s: passed over %s of %d samples; the format knows no such member", path, member, count)
    for name, column in found.items():
        _check_absent(path, keys, name, column)
    read_columns = {DATASETS[name]: column.values for name, column in found.items() if column.values is not None}
    fields: dict[str, object] = {
        "latents": read_columns.pop("latents", None),
        "embeddings": read_columns.pop("embeddings", None),
    }
    for attribute, (field, needing, state_column) in NAMES.items():
        fields[field] = names.get(attribute, "")
        usual = NAMED if fields[field] else MISSING
        unusual = usual == MISSING and fields[needing] is not None
        if "extra" in columns and (unusual or (states[attribute] != usual).any()):
            read_columns[state_column] = states[attribute]
    return {
        **fields,
        "identities": np.array([int(identity) for identity, _ in keys], dtype=np.int64),
        "labels": [label for _, label in keys],
        "extra": read_columns,
    }


def blocks(path: str | Path, columns: Collection[str]) -> Iterator[dict[str, object]]:
    """The fields of the whole file: its order is known only once all groups are."""
    yield read(path, columns)


def _label_key(label: str) -> tuple:
    parts = [(-1, part) for part in re.split("([0-9]+)", label)]
    for place in range(1, len(parts), 2):  # every other part is a number, which may be longer than int() takes
        digits = parts[place][1].lstrip("0")
        parts[place] = (len(digits), digits)
    return (label != "reference", parts, label)


def _states_to_write(path: str | Path, collection: Samples) -> dict[bytes, tuple[str, np.ndarray]]:
    """By attribute: the name, and the state `[n]` in which each sample has it; BrownidError for what has no place."""
    unknown = set(collection.extra) - KNOWN_EXTRA
    if unknown:
        raise BrownidError(f"{path}: the published format has no column {sorted(unknown)[0]!r}; drop it first.")
    states = {}
    for attribute, (field, needing, state_column) in NAMES.items():
        name = getattr(collection, field)
        state = collection.extra.get(state_column)
        if state is None:
            if not name and needing in collection.columns():
                raise BrownidError(
                    f"{path}: the published format needs the name of the {field}; the collection has none."
                )
            state = np.full(len(collection), NAMED if name else MISSING)
        elif state.ndim != 1 or not np.isin(state, (MISSING, EMPTY, *([NAMED] if name else []))).all():
            raise BrownidError(f"{path}: the column {state_column} does not hold states of {attribute}; drop it first.")
        states[attribute.encode()] = (name, state)
    return states


def _people(path: str | Path, file: h5py.File, identities: Iterable[int] | None) -> list[str]:
    """The names of a file's identity groups, or of these identities; checks the version of the format."""
    version = tuple(hdf5.attribute(file, name, int) for name in ("major", "minor"))
    if version != (MAJOR, MINOR):
        raise BrownidError(f"{path}: the format is {version[0]}.{version[1]}; this brownid reads {MAJOR}.{MINOR}.")
    people = sub_groups(file.id)
    for name in people:
        if not re.fullmatch("[0-9]{1,19}", name) or int(name) > checks.LARGEST:
            raise BrownidError(f"{path}: the group {name!r} is no identity number such as 00042; rename or remove it.")
    if identities is not None:
        numbers = np.array([int(name) for name in people], dtype=np.int64)
        people = [people[row] for row in checks.rows_of(numbers, identities, f"{path}: the collection")]
    return people


def _sample_groups(file: h5py.File, people: Sequence[str]) -> list[tuple[str, str]]:
    """The (identity group, label group) names of these identities, in canonical order."""
    keys = [(name, label) for name in people for label in sub_groups(h5g.open(file.id, name.encode()))]
    order = canonical_order(np.array([int(name) for name, _ in keys], dtype=np.int64), [label for _, label in keys])
    return [keys[row] for row in order]


def _check_absent(path: str | Path, keys: Sequence[tuple[str, str]], name: str, column: FoundColumn) -> None:
    """Absent rows can be told from present ones: none of those is NaN, and numbers without NaN are there for all."""
    if column.values is None:
        return
    floating = np.issubdtype(column.values.dtype, np.floating)
    wrong = checks.absent_rows(column.values) & column.seen if floating else ~column.seen
    if wrong.any():
        identity, label = keys[int(np.argmax(wrong))]
        what = f"holds NaN in {name}" if floating else f"lacks {name}, whole numbers that other samples have"
        raise BrownidError(f"{path}: identity {int(identity)}, label {label!r} {what}.")
