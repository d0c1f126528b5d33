"""A collection of samples in memory: columns of latents and embeddings, one row a sample."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from brownid.errors import BrownidError
from brownid.samples import checks, columnar, hdf5, published

COLUMNS = ("latents", "embeddings", "extra")


@dataclass(frozen=True, eq=False)
class SampleCollection:
    """n samples, each addressed by (identity, label); a BrownidError at construction says which rule is broken.

    Columns may be given as arrays or tensors; floating-point numbers keep their precision. `latents` and `embeddings`
    may be None, and every number in them is finite.
    """

    latents: np.ndarray | None  # [n, D], W latents of `generator`
    embeddings: np.ndarray | None  # [n, E], of `recognition`
    identities: np.ndarray  # int64 [n], not negative
    labels: list[str]  # [n], such as "reference" or "augmentation_12"
    generator: str  # the name of the generator that the latents belong to
    recognition: str  # the name of the network that the embeddings belong to
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)  # further columns [n, ...]; a row of NaN is absent
    settings: Mapping[str, object] = field(default_factory=dict)  # what made the samples, as JSON knows it

    def __post_init__(self) -> None:
        identities = _array(self.identities)
        if identities.ndim != 1 or not (np.issubdtype(identities.dtype, np.integer) or identities.size == 0):
            raise BrownidError(f"identities must be whole numbers [n], not {identities.dtype} {identities.shape}.")
        set_ = object.__setattr__
        set_(self, "identities", identities.astype(np.int64, copy=False))
        set_(self, "labels", list(self.labels))
        set_(self, "latents", None if self.latents is None else _floats(self.latents, "latents"))
        set_(self, "embeddings", None if self.embeddings is None else _floats(self.embeddings, "embeddings"))
        set_(self, "extra", {name: _array(values) for name, values in self.extra.items()})
        set_(self, "settings", dict(self.settings))
        self._check()

    def _check(self) -> None:
        taken = [name for name in self.extra if name in COLUMNS or not name.isidentifier()]
        if taken:
            raise BrownidError(f"an extra column cannot be called {taken[0]!r}.")
        single = [name for name, values in self.extra.items() if not values.ndim]
        if single:
            raise BrownidError(f"the extra column {single[0]} is a single value; each sample needs one.")
        count = len(self.identities)
        for name, values in {"labels": self.labels, **self.columns()}.items():
            if len(values) != count:
                raise BrownidError(f"{name} has {len(values)} rows, but there are {count} identities.")
        if count and self.identities.min() < 0:
            raise BrownidError(f"identity {self.identities.min()} is negative; identities count from 0.")
        row = checks.repeated_row(self.identities, self.label_codes[0])
        if row is not None:
            raise BrownidError(f"{self.describe(row)} occurs more than once; a sample may occur once.")
        for name, values in self.columns().items():
            row = checks.not_finite_row(values, absent_allowed=name in self.extra)
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
        )

    def select(self, identities: Iterable[int]) -> "SampleCollection":
        """All samples of these identities, in the collection's own order; an unknown identity is a BrownidError."""
        wanted = np.asarray(list(identities), dtype=np.int64)
        missing = np.setdiff1d(wanted, self.identities)
        if len(missing):
            raise BrownidError(
                f"the collection has no identity {missing[0]} (and {len(missing) - 1} more of those asked)."
            )
        return self.rows(np.flatnonzero(np.isin(self.identities, wanted)))

    def of_label(self, label: str) -> "SampleCollection":
        """The samples with this label, at most one an identity; an unknown label is a BrownidError."""
        codes, table = self.label_codes
        if label not in table:
            raise BrownidError(f"the collection has no label {label!r}; it has {', '.join(sorted(table)[:5])} …")
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
            columnar.check_joinable(first, part, f"collection {number}")
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
        )

    @classmethod
    def load(cls, path: str | Path, columns: Collection[str] = COLUMNS) -> "SampleCollection":
        """Read our format or the published one, told apart by content.

        `columns` names what to read of `latents`, `embeddings`, `extra`; the others are left out. Every fault of the
        file is a BrownidError naming it.
        """
        unknown = set(columns) - set(COLUMNS)
        if unknown:
            raise BrownidError(f"a collection has no column {sorted(unknown)[0]!r}; it has {', '.join(COLUMNS)}.")
        with hdf5.reading(path) as file:
            magic = hdf5.attribute(file, "magic")
        readers = {columnar.MAGIC: columnar.read, published.MAGIC: published.read}
        if magic not in readers:
            known = " or ".join(repr(name) for name in readers)
            raise BrownidError(f"{path}: this is no collection of samples; its magic is {magic!r} instead of {known}.")
        fields = readers[magic](path, columns)
        try:
            return cls(**fields)
        except BrownidError as error:
            raise BrownidError(f"{path}: {error}") from None

    def save(self, path: str | Path) -> None:
        """Write our format (`samples/columnar.py`); the file appears whole or not at all."""
        columnar.write(path, self)

    def save_published(self, path: str | Path) -> None:
        """Write the published format (`samples/published.py`); the file appears whole or not at all."""
        published.write(path, self)


def _array(values: object) -> np.ndarray:
    return values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)


def _floats(values: object, name: str) -> np.ndarray:
    values = _array(values)
    if values.ndim != 2:
        raise BrownidError(f"{name} must have the shape [n, dimension], not {list(values.shape)}.")
    return values if np.issubdtype(values.dtype, np.floating) else values.astype(np.float32)
