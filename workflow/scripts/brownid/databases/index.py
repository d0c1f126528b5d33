"""Rows of an index that others wrote: SQLite keeps whatever it was given, so each is looked at before it is used."""

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import quote

from brownid.databases.listing import path_text
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path

TYPES = ("str", "int", "float")  # of attributes, in the order of their value columns


def checked_sample(index: Path, number: int, key: object, path: object, identity: object) -> tuple[str, str, int]:
    """Key, path and identity of the sample with this id; BrownidError where one is missing or of another type."""
    for column, value, kind, what in (
        ("key", key, str, "text"),
        ("path", path, str, "text"),
        ("identity", identity, int, "a whole number"),
    ):
        if not isinstance(value, kind) or value == "":
            raise BrownidError(
                f"The database index {index} cannot be used: the {column} of its sample {number} is {_shown(value)} "
                f"and must be {what}."
            )
    return cast(tuple[str, str, int], (key, path, identity))  # as the loop has found


def checked_names(index: Path, what: str, found: Sequence[tuple]) -> list[str]:
    """The names in rows of one column, of `what` ("protocol"); BrownidError where one is no text."""
    for (name,) in found:
        if not isinstance(name, str):
            shown = _shown(name)
            raise BrownidError(f"The database index {index} cannot be used: the name of one {what} in it is {shown}.")
    return [name for (name,) in found]


def checked_value(index: Path, attribute: object, kind: object, values: Sequence) -> str | int | float | None:
    """The value of an attribute of this kind among its three columns; None where there is none.

    BrownidError where the attribute has no name, or its kind is none of `TYPES`.
    """
    checked_names(index, "attribute", [(attribute,)])
    if all(each is None for each in values):
        return None
    if kind not in TYPES:
        raise BrownidError(
            f"The database index {index} cannot be used: the type of its attribute {attribute!r} is {_shown(kind)} and "
            f"must be one of {', '.join(TYPES)}."
        )
    return values[TYPES.index(kind)]


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)[:80]


MetaValue = str | int | float
META_TYPES = {str: "str", int: "int", float: "float"}

SCHEMA = """
CREATE TABLE samples (
    id INTEGER PRIMARY KEY, key VARCHAR NOT NULL UNIQUE, path VARCHAR NOT NULL, identity INTEGER NOT NULL);
CREATE TABLE meta_data_types (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL UNIQUE, type VARCHAR(5));
CREATE TABLE meta_data (
    id INTEGER PRIMARY KEY, value_str VARCHAR, value_int INTEGER, value_float FLOAT,
    sample_id INTEGER NOT NULL REFERENCES samples(id), type_id INTEGER NOT NULL REFERENCES meta_data_types(id));
CREATE TABLE protocols (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL UNIQUE);
CREATE TABLE groups (
    id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, protocol_id INTEGER NOT NULL REFERENCES protocols(id));
CREATE TABLE groups_samples (
    group_id INTEGER NOT NULL REFERENCES groups(id), sample_id INTEGER NOT NULL REFERENCES samples(id),
    PRIMARY KEY (group_id, sample_id));
CREATE INDEX meta_data_of_sample ON meta_data(sample_id);
"""
# a sample id that is in a group and protocol, each None for any; values: whether all are meant, then each name twice
CHOSEN = """(? OR {} IN (
    SELECT sample_id FROM groups_samples s JOIN groups g ON g.id = s.group_id JOIN protocols p ON p.id = g.protocol_id
    WHERE (? IS NULL OR g.name = ?) AND (? IS NULL OR p.name = ?)))"""
PLACES = "{} IN (SELECT id FROM samples ORDER BY id LIMIT ? OFFSET ?)"  # among LIMIT sample ids after the first OFFSET
TABLES = ("samples", "meta_data", "meta_data_types", "groups", "protocols", "groups_samples")


@dataclass(frozen=True)
class Sample:
    """One image of a database: `path` is relative to the root folder, `identity` numbers the person."""

    key: str
    path: str
    identity: int
    meta: Mapping[str, MetaValue] = field(default_factory=dict)


class DatabaseIndex:
    """A database index opened for reading; use `DatabaseIndex.open(path)`, and `with` to close it in time."""

    def __init__(self, path: Path, connection: sqlite3.Connection):
        self.path = path
        self._connection = connection

    @staticmethod
    def create(
        path: str | Path, samples: Iterable[Sample], protocols: Mapping[str, Mapping[str, Iterable[str] | None]]
    ) -> None:
        """Write an index: `protocols` maps a protocol's name to its groups, and each group to the keys of its samples.

        None in place of the keys stands for all samples. The samples are read once and not kept. The file appears whole
        or not at all, and equal arguments give equal bytes. Raises BrownidError when two samples share a key, a group
        names an unknown key, an attribute has values of two types, or the file cannot be written.
        """
        with atomic_path(path) as temporary:
            try:
                with closing(_connect(temporary, "mode=rwc&nolock=1")) as connection:
                    # nothing to go back to: a file that is not finished is removed
                    connection.execute("PRAGMA journal_mode = OFF")
                    connection.executescript(SCHEMA)
                    _insert_samples(connection, path, samples)
                    _insert_protocols(connection, path, protocols)
                    connection.commit()
            except (sqlite3.Error, OverflowError) as error:
                raise BrownidError(
                    f"The database index {path} cannot be written ({error}); see to the room, quota and permissions "
                    "there, then run again."
                ) from error

    @classmethod
    def open(cls, path: str | Path) -> "DatabaseIndex":
        """Open an index of ours or a published one, for reading only; BrownidError when the file is none."""
        path = Path(path)
        if not path.is_file():
            raise BrownidError(f"There is no database index at {path}; index the database first.")
        connection = None
        try:
            # immutable: no lock and no journal file, both of which a shared file system may refuse
            connection = _connect(path, "mode=ro&immutable=1")
            present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            raise BrownidError(f"{path} is not a database index ({error}); index the database again.") from error
        missing = [table for table in TABLES if table not in present]
        if missing:
            connection.close()
            raise BrownidError(
                f"{path} is an SQLite file but not a database index: it has no table {missing[0]!r}; "
                "give the index of a face database."
            )
        return cls(path, connection)

    def __enter__(self) -> "DatabaseIndex":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def protocols(self) -> list[str]:
        """The names of all protocols."""
        return checked_names(self.path, "protocol", self._rows("SELECT name FROM protocols ORDER BY id"))

    def groups(self, protocol: str | None = None) -> list[str]:
        """The names of the groups of `protocol`, or of all protocols, each once."""
        found = self._rows(
            "SELECT g.name FROM groups g JOIN protocols p ON p.id = g.protocol_id "
            "WHERE ? IS NULL OR p.name = ? ORDER BY g.id",
            (protocol, protocol),
        )
        return list(dict.fromkeys(checked_names(self.path, "group", found)))

    def meta_types(self) -> dict[str, str]:
        """The attributes that samples can have: name to 'str', 'int' or 'float'."""
        return dict(self._rows("SELECT name, type FROM meta_data_types ORDER BY id"))

    def samples(
        self, group: str | None = None, protocol: str | None = None, **meta: MetaValue | Iterable[MetaValue]
    ) -> list[Sample]:
        """The samples of a group and protocol (None: of all), in the index's order.

        `meta` keeps the samples whose attribute has the given value, or one of the given values:
        `samples(protocol="U", camera="05_1", flash=[1, 2, 3])`. Raises BrownidError for unknown names.
        """
        self._known("protocol", protocol, self.protocols())
        self._known("group", group, self.groups(protocol))
        types = self.meta_types()
        for name in meta:
            self._known("attribute", name, list(types))
        wanted = {name: {values} if isinstance(values, MetaValue) else set(values) for name, values in meta.items()}
        chosen = (group is None and protocol is None, group, group, protocol, protocol)
        return [
            sample
            for sample in self._samples(CHOSEN, chosen)
            if all(name in sample.meta and sample.meta[name] in values for name, values in wanted.items())
        ]

    def samples_at(self, places: range) -> list[Sample]:
        """The samples at consecutive places, from 0, of the index's order."""
        return self._samples(PLACES, (len(places), places.start))

    def counts(self) -> tuple[int, int]:
        """The number of samples, and that of identities."""
        return self._rows("SELECT COUNT(*), COUNT(DISTINCT identity) FROM samples")[0]

    def persons_with(self, images: int) -> int:
        """The number of identities that have at least this many samples."""
        repeated = "SELECT identity FROM samples GROUP BY identity HAVING COUNT(*) >= ?"
        return self._rows(f"SELECT COUNT(*) FROM ({repeated})", (images,))[0][0]

    def members(self) -> dict[str, dict[str, list[str]]]:
        """The keys of all samples by protocol and group, in the index's order: what `create` takes as `protocols`."""
        members: dict[str, dict[str, list[str]]] = {
            protocol: {group: [] for group in self.groups(protocol)} for protocol in self.protocols()
        }
        for protocol, group, key in self._rows(
            "SELECT p.name, g.name, s.key FROM groups_samples m JOIN groups g ON g.id = m.group_id "
            "JOIN protocols p ON p.id = g.protocol_id JOIN samples s ON s.id = m.sample_id ORDER BY p.id, g.id, s.id"
        ):
            members[protocol][group].append(key)
        return members

    def _samples(self, condition: str, values: tuple) -> list[Sample]:
        attributes = self._attributes(condition, values)
        found = self._rows(
            f"SELECT id, key, path, identity FROM samples WHERE {condition.format('id')} ORDER BY id", values
        )
        return [Sample(*checked_sample(self.path, *row), attributes.get(row[0], {})) for row in found]

    def _attributes(self, condition: str, chosen: tuple) -> dict[int, dict[str, MetaValue]]:
        types = self.meta_types()
        attributes: dict[int, dict[str, MetaValue]] = {}
        for sample, name, *values in self._rows(
            "SELECT m.sample_id, t.name, m.value_str, m.value_int, m.value_float FROM meta_data m "
            f"JOIN meta_data_types t ON t.id = m.type_id WHERE {condition.format('m.sample_id')} ORDER BY m.id",
            chosen,
        ):
            value = checked_value(self.path, name, types[name], values)
            if value is not None:
                attributes.setdefault(sample, {})[name] = value
        return attributes

    def _rows(self, query: str, values: tuple = ()) -> list[tuple]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise BrownidError(
                f"The database index {self.path} is damaged ({error}); index the database again."
            ) from error

    def _known(self, what: str, name: str | None, names: list[str]) -> None:
        if name is not None and name not in names:
            raise BrownidError(f"The database index {self.path} has no {what} {name!r}; it has: {', '.join(names)}.")


def _connect(path: Path, options: str) -> sqlite3.Connection:
    """A connection without file locks, which shared file systems may lack; the caller alone uses the file."""
    connection = sqlite3.connect(f"file:{quote(os.fsencode(path.absolute()))}?{options}", uri=True)
    connection.text_factory = _text
    return connection


def _text(stored: bytes) -> str:
    """Text of the file; what other programs stored in another encoding is escaped as paths are."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return path_text(os.fsdecode(stored))


def _insert_samples(connection: sqlite3.Connection, path: str | Path, samples: Iterable[Sample]) -> None:
    types: dict[str, tuple[int, type]] = {}
    for number, sample in enumerate(samples, 1):
        try:
            connection.execute(
                "INSERT INTO samples VALUES (?, ?, ?, ?)", (number, sample.key, sample.path, sample.identity)
            )
        except sqlite3.IntegrityError:
            raise BrownidError(f"The index {path} would hold two samples with the key {sample.key!r}.") from None
        for name, value in sample.meta.items():
            type_number, kind = types.setdefault(name, (len(types) + 1, type(value)))
            if kind not in META_TYPES or type(value) is not kind:
                raise BrownidError(
                    f"The index {path} cannot hold {name} = {value!r} of sample {sample.key!r}: the values of an "
                    "attribute are all text, all whole numbers or all decimal numbers."
                )
            columns = [value if kind is column else None for column in META_TYPES]
            connection.execute(
                "INSERT INTO meta_data (value_str, value_int, value_float, sample_id, type_id) VALUES (?, ?, ?, ?, ?)",
                (*columns, number, type_number),
            )
    connection.executemany(
        "INSERT INTO meta_data_types VALUES (?, ?, ?)",
        ((number, name, META_TYPES[kind]) for name, (number, kind) in types.items()),
    )


def _insert_protocols(
    connection: sqlite3.Connection,
    path: str | Path,
    protocols: Mapping[str, Mapping[str, Iterable[str] | None]],
) -> None:
    group_number = 0
    for protocol_number, (protocol, groups) in enumerate(protocols.items(), 1):
        connection.execute("INSERT INTO protocols VALUES (?, ?)", (protocol_number, protocol))
        for group, keys in groups.items():
            group_number += 1
            connection.execute("INSERT INTO groups VALUES (?, ?, ?)", (group_number, group, protocol_number))
            if keys is None:
                connection.execute("INSERT INTO groups_samples SELECT ?, id FROM samples ORDER BY id", (group_number,))
            for key in keys or ():
                found = connection.execute("SELECT id FROM samples WHERE key = ?", (key,)).fetchone()
                if found is None:
                    raise BrownidError(
                        f"The index {path} cannot list {key!r} in group {group!r} of protocol {protocol!r}: "
                        "there is no sample with this key."
                    )
                connection.execute("INSERT OR IGNORE INTO groups_samples VALUES (?, ?)", (group_number, *found))
