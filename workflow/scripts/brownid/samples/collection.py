"""A collection of samples: columns of latents and embeddings, one row per sample; its files, their merging, shards."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from brownid.runtime.errors import BrownidError, listed
from brownid.samples import checks, columnar, hdf5, published
from brownid.samples.columnar import MAGIC, Storage

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

REFERENCE = "reference"  # the label of the sample that an identity's variations are made from

COLUMNS = ("latents", "embeddings", "extra")


def variation_label(number: int) -> str:
    """The label of a variation, counted from 0 within its identity."""
    return f"augmentation_{number}"


@dataclass(frozen=True, eq=False, init=False)
class SampleCollection:
    """n samples, each addressed by (identity, label); a BrownidError at construction says which rule is broken.

    Columns may be given as arrays or tensors; floating-point numbers keep their precision. `latents` and `embeddings`
    may be None, and every number in them is finite. Only where `partial` is set may single samples lack theirs: then a
    row of NaN is absent.
    """

    latents: np.ndarray | None  # [n, D], W latents of `generator`
    embeddings: np.ndarray | None  # [n, E], of `recognition`
    identities: np.ndarray  # int64 [n], not negative
    labels: list[str]  # [n], such as "reference" or "augmentation_12"
    generator: str  # the name of the generator that the latents belong to
    recognition: str  # the name of the network that the embeddings belong to
    extra: Mapping[str, np.ndarray]  # further columns [n, ...]; a row of NaN is absent
    settings: Mapping[str, object]  # what made the samples, as JSON knows it
    partial: bool  # whether samples may lack latents or embeddings that others have

    def __init__(
        self,
        latents: "ArrayLike | Tensor | None",
        embeddings: "ArrayLike | Tensor | None",
        identities: Iterable[int] | np.ndarray,
        labels: Iterable[str],
        generator: str,
        recognition: str,
        extra: "Mapping[str, ArrayLike | Tensor] | None" = None,
        settings: Mapping[str, object] | None = None,
        partial: bool = False,
    ) -> None:
        set_ = object.__setattr__
        set_(self, "identities", checks.whole_numbers(identities, "identities"))
        set_(self, "labels", list(labels))
        set_(self, "latents", None if latents is None else _floats(latents, "latents"))
        set_(self, "embeddings", None if embeddings is None else _floats(embeddings, "embeddings"))
        set_(self, "generator", generator)
        set_(self, "recognition", recognition)
        set_(self, "extra", {name: _array(values) for name, values in (extra or {}).items()})
        set_(self, "settings", dict(settings or {}))
        set_(self, "partial", partial)
        self._check()

    def _check(self) -> None:
        taken = [name for name in self.extra if name in COLUMNS or not name.isidentifier()]
        if taken:
            raise BrownidError(f"an extra column cannot be called {taken[0]!r}.")
        single = [name for name, values in self.extra.items() if not values.ndim]
        if single:
            raise BrownidError(f"the extra column {single[0]} is a single value; each sample needs one.")
        count = len(self.identities)
        columns: dict[str, Sized] = {"labels": self.labels, **self.columns()}
        for name, column in columns.items():
            if len(column) != count:
                raise BrownidError(f"{name} has {len(column)} rows, but there are {count} identities.")
        if count and self.identities.min() < 0:
            raise BrownidError(f"identity {self.identities.min()} is negative; identities count from 0.")
        repeated = checks.repeated_rows(self.identities, self.label_codes[0])
        if repeated is not None:
            raise BrownidError(f"{self.describe(repeated[1])} occurs more than once; a sample may occur once.")
        for name, values in self.columns().items():
            row = checks.not_finite_row(values, absent_allowed=self.partial or name in self.extra)
            if row is not None and values[row].size and np.isnan(values[row]).all():
                raise BrownidError(self._lacks(row, name))
            if row is not None:
                raise BrownidError(f"{name} of {self.describe(row)} (row {row}) holds NaN or infinite numbers.")

    def __len__(self) -> int:
        return len(self.identities)

    @cached_property
    def label_codes(self) -> tuple[np.ndarray, list[str]]:
        """Labels as codes int32 `[n]` into a table of the distinct labels."""
        return checks.coded(self.labels)

    def columns(self) -> dict[str, np.ndarray]:
        """Every column of numbers that is there, by name: `latents`, `embeddings` and the extra ones."""
        named = {"latents": self.latents, "embeddings": self.embeddings, **self.extra}
        return {name: values for name, values in named.items() if values is not None}

    def describe(self, row: int) -> str:
        """A row in words, for messages."""
        return f"identity {self.identities[row]}, label {self.labels[row]!r}"

    def require(self, *columns: str) -> "SampleCollection":
        """This collection, if every sample has these of `latents`, `embeddings`; else a BrownidError naming one."""
        for name in columns:
            values = self.columns().get(name)
            if values is None:
                raise BrownidError(f"the collection has no {name}.")
            absent = checks.absent_rows(values)
            if absent.any():
                raise BrownidError(self._lacks(int(np.argmax(absent)), name))
        return self

    def _lacks(self, row: int, name: str) -> str:
        return f"{self.describe(row)} (row {row}) lacks {name}, its row is NaN throughout; every sample must have them."

    def rendered_latents(self) -> np.ndarray:
        """What a generator renders: the latents `[n, L, D]` of W+ where there are some, else those of W `[n, D]`.

        A sample without its own W+ latents has that of W in every layer.
        """
        latents, layered = self.columns()["latents"], self.extra.get(published.W_PLUS)
        if layered is None:
            return latents
        return np.where(checks.absent_rows(layered)[:, None, None], latents[:, None], layered)

    def rows(self, index: Sequence[int] | np.ndarray) -> "SampleCollection":
        """The samples at these rows, in this order."""
        index = np.asarray(index, dtype=np.int64)
        return SampleCollection(
            latents=None if self.latents is None else self.latents[index],
            embeddings=None if self.embeddings is None else self.embeddings[index],
            identities=self.identities[index],
            labels=[self.labels[row] for row in index],
            generator=self.generator,
            recognition=self.recognition,
            extra={name: values[index] for name, values in self.extra.items()},
            settings=self.settings,
            partial=self.partial,
        )

    def select(self, identities: Iterable[int]) -> "SampleCollection":
        """All samples of these identities, in the collection's own order; an unknown identity is a BrownidError."""
        return self.rows(checks.rows_of(self.identities, identities, "the collection"))

    def of_label(self, label: str) -> "SampleCollection":
        """The samples with this label, at most one per identity; an unknown label is a BrownidError."""
        codes, table = self.label_codes
        if label not in table:
            raise BrownidError(f"the collection has no label {label!r}; it has {listed(sorted(table))}.")
        return self.rows(np.flatnonzero(codes == table.index(label)))

    @classmethod
    def concatenate(cls, collections: Iterable["SampleCollection"]) -> "SampleCollection":
        """One collection after the other; they must agree in generator, recognition network and columns.

        `settings` are kept where all agree, and empty otherwise. A repeated (identity, label) is a BrownidError.
        """
        parts = list(collections)
        if not parts:
            raise BrownidError("there are no collections to join.")
        first = parts[0]
        for number, part in enumerate(parts[1:], start=2):
            checks.check_joinable(first, part, f"collection {number}")
        joined = {name: np.concatenate([part.columns()[name] for part in parts]) for name in first.columns()}
        return cls(
            latents=joined.pop("latents", None),
            embeddings=joined.pop("embeddings", None),
            identities=np.concatenate([part.identities for part in parts]),
            labels=[label for part in parts for label in part.labels],
            generator=first.generator,
            recognition=first.recognition,
            extra=joined,
            settings=first.settings if all(part.settings == first.settings for part in parts) else {},
            partial=any(part.partial for part in parts),
        )

    @classmethod
    def load(
        cls,
        path: str | Path,
        columns: Collection[str] = COLUMNS,
        identities: Iterable[int] | None = None,
        *,
        partial: bool = False,
        required: bool = False,
    ) -> "SampleCollection":
        """Read our format or the published one, told apart by content.

        `columns` names what to read of `latents`, `embeddings`, `extra`; the others are left out. `identities` reads
        the samples of these alone, in the file's order; an unknown one is an error. Samples that lack what others have
        are an error unless `partial`; with `required`, columns that no sample has are one too. Every fault is a
        BrownidError naming the file.
        """
        fields = _format(path, columns).read(path, columns, identities)
        loaded = cls._of_file(path, fields, partial)
        if required:
            try:
                loaded.require(*(name for name in columns if name != "extra"))
            except BrownidError as error:
                raise BrownidError(f"{path}: {error}") from None
        return loaded

    @classmethod
    def blocks(
        cls, path: str | Path, columns: Collection[str] = COLUMNS, *, partial: bool = False
    ) -> Iterator["SampleCollection"]:
        """The file as collections of some thousand rows, one after the other, in the memory of one.

        Arguments and errors are those of `load`. A file in the published format comes as one block.
        """
        for fields in _format(path, columns).blocks(path, columns):
            yield cls._of_file(path, fields, partial)

    @classmethod
    def people_in_blocks(cls, path: str | Path) -> Iterator["SampleCollection"]:
        """A file in the published format as collections of some thousand rows, identities sorted as text.

        No identity is in two of them. Errors are those of `load`, for each by itself.
        """
        if _format(path, COLUMNS) is not published:
            raise BrownidError(f"{path}: this collection is not in the published format.")
        for fields in published.read_people(path, COLUMNS):
            yield cls._of_file(path, fields, partial=False)

    @classmethod
    def _of_file(cls, path: str | Path, fields: Mapping[str, Any], partial: bool) -> "SampleCollection":
        try:
            return cls(**fields, partial=partial)
        except BrownidError as error:
            raise BrownidError(f"{path}: {error}") from None

    def save(self, path: str | Path, *, precision: str | None = None, compression: str | None = None) -> None:
        """Write our format (`samples/columnar.py`); the file appears whole or not at all.

        `precision` "float16" stores floating-point columns in half the space, to 11 bits; a number beyond 65504 is a
        BrownidError. They are handed out as float32 again, so that nothing is computed in half precision unasked.
        `compression` is "gzip" or "lzf", without loss.
        """
        columnar.write(path, self, Storage(precision, compression))

    def publishable(self) -> "SampleCollection":
        """This collection without the extra columns that the published format has no place for."""
        known = {name: values for name, values in self.extra.items() if name in published.KNOWN_EXTRA}
        return replace(self, extra=known)

    def save_published(self, path: str | Path) -> None:
        """Write the published format (`samples/published.py`), `settings` excepted; the file appears whole or not."""
        published.write(path, self)


def _format(path: str | Path, columns: Collection[str]) -> ModuleType:
    """The module that reads this file."""
    unknown = set(columns) - set(COLUMNS)
    if unknown:
        raise BrownidError(f"a collection has no column {sorted(unknown)[0]!r}; it has {', '.join(COLUMNS)}.")
    with hdf5.reading(path, attributes_only=True) as file:
        magic = hdf5.attribute(file, "magic")
    formats = {MAGIC: columnar, published.MAGIC: published}
    if magic not in formats:
        known = " or ".join(repr(name) for name in formats)
        raise BrownidError(f"{path}: this is no collection of samples; its magic is {magic!r} instead of {known}.")
    return formats[magic]


def _array(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)


def _floats(given: Any, name: str) -> np.ndarray:
    values = _array(given)
    if values.ndim != 2:
        raise BrownidError(f"{name} must have the shape [n, dimension], not {list(values.shape)}.")
    if values.dtype.kind not in "fiub":
        raise BrownidError(f"{name} must be real numbers, not {values.dtype}.")
    return values if np.issubdtype(values.dtype, np.floating) else values.astype(np.float32)


def merge(
    paths: Sequence[str | Path],
    destination: str | Path,
    *,
    identities: Iterable[int] | None = None,
    labels: Iterable[str] | None = None,
    any_settings: bool = False,
    complete: bool = True,
    storage: Storage | None = None,
) -> None:
    """Join collections file by file, in this order, after checking that they belong together.

    What must agree, and what `identities`, `labels`, `any_settings` and `complete` ask for, is said at
    `checks.check_parts`; each breach is a BrownidError that names the file. Settings are kept where all agree. Only
    identities and labels are held in memory for all rows; the rest passes through in blocks (of files in our format).
    `destination` may be one of `paths`, which appends to it.
    """
    if not paths:
        raise BrownidError(f"{destination}: there are no collections to merge.")
    names = [str(path) for path in paths]
    heads = [SampleCollection.load(path, columns=()) for path in paths]
    checks.check_parts(heads, names, identities=identities, labels=labels, any_settings=any_settings, complete=complete)
    with columnar.appending(destination, storage, sum(map(len, heads))) as writer:
        for path in paths:
            for block in SampleCollection.blocks(path, partial=True):
                writer.append(block, name=str(path))


Items = TypeVar("Items", list, range, np.ndarray)


def shard_of(items: Items, shard: int, shards: int) -> Items:
    """The contiguous part of `items` (a list, an array) that is shard `shard`, counted from 1 to `shards`.

    The parts are equal to within one item. BrownidError where there is no such shard.
    """
    if not 1 <= shard <= shards:
        raise BrownidError(f"There is no shard {shard} of {shards}; shards count from 1 to their number.")
    return items[len(items) * (shard - 1) // shards : len(items) * shard // shards]


def identities_of_shard(samples: Path, shard: int, shards: int) -> np.ndarray:
    """The identities of a collection that a shard works on: at least one, or `BrownidError`."""
    all_identities = np.unique(SampleCollection.load(samples, columns=()).identities)
    if len(all_identities) < shards:
        raise BrownidError(
            f"{samples} has {len(all_identities)} identities, too few for {shards} shards (some may be rejected): "
            "use fewer shards."
        )
    return shard_of(all_identities, shard, shards)
