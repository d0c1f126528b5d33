"""Datasets of a workflow joined into one training set: references and variations, of one or several namespaces."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from brownid.exports.training_set import BLOCK_ROWS, Block, TrainingSet, class_name
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import logger, progress
from brownid.samples import columnar
from brownid.samples.collection import REFERENCE
from brownid.samples.images import ImageShard
from brownid.samples.published import W_PLUS

COLUMNS = ("latents", "embeddings", W_PLUS)
open_shard = lru_cache(maxsize=8)(ImageShard)  # rows are read in order, so that few files are read at a time


@dataclass(frozen=True)
class Part:
    """One dataset of a training set."""

    name: str  # its entry in the configuration
    images: tuple[Path, ...]  # image shards
    samples: Path | None = None  # collection with a row per image, in the order of the images


class ClassNames(Sequence[str]):
    """Class names by label, from a namespace and a number each: text is made when it is asked for."""

    def __init__(self, namespaces: Sequence[str], owners: np.ndarray, identities: np.ndarray) -> None:
        self._namespaces, self._owners, self._identities = list(namespaces), owners, identities

    def __len__(self) -> int:
        return len(self._identities)

    def __getitem__(self, label):  # type: ignore[no-untyped-def]
        if isinstance(label, slice):
            return [self[number] for number in range(*label.indices(len(self)))]
        return class_name(self._namespaces[self._owners[label]], int(self._identities[label]))


class JoinedTrainingSet(TrainingSet):
    """The rows of several datasets as one training set: one class per (namespace, identity), sorted by both.

    Within an identity the rows of references come first, then those of the other parts as listed. Every fault (parts
    with images of different sizes, an empty part, a sample without an image) is a BrownidError.
    """

    def __init__(self, name: str, parts: Sequence[Part]) -> None:
        self.name = name
        self.shards = [path for part in parts for path in part.images]  # all files, as listed
        names = [part.name for part in parts]
        if not parts or len(set(names)) < len(names):
            raise BrownidError(f"The training set {name!r} needs one or more different datasets, not {names}.")
        sources = [_Source(part) for part in progress(parts, f"reading the index of {name}", "dataset")]
        self._sources = sorted(sources, key=lambda source: not source.has_references)
        self.image_size = self._sources[0].image_size
        for source in self._sources:
            if source.image_size != self.image_size:
                raise BrownidError(
                    f"The training set {name!r} joins images of {self.image_size} pixels "
                    f"({self._sources[0].part.name}) and of {source.image_size} ({source.part.name}): use one size."
                )
        self.datasets = {source.part.name: len(source) for source in self._sources}
        self._index()
        self.latent_dimension, self.embedding_dimension, self.w_plus_shape = None, None, None
        if latents := self._agreed("latents"):
            (self.latent_dimension,) = latents
        if embeddings := self._agreed("embeddings"):
            (self.embedding_dimension,) = embeddings
        if layered := self._agreed(W_PLUS):
            self.w_plus_shape = layered[0], layered[1]

    def _agreed(self, column: str) -> tuple[int, ...] | None:
        """The shape of a row of a column; None where no part has it, or parts differ in it."""
        shapes = {source.shapes[column] for source in self._sources if column in source.shapes}
        if len(shapes) > 1:
            logger.info("%s: %s left out, the parts have the shapes %s", self.name, column, sorted(shapes))
        return shapes.pop() if len(shapes) == 1 else None

    def _index(self) -> None:
        """Sort the runs of rows (of one identity in one part) by class.

        Per run: its part, class label, last row + 1, and what is to be added to a row for the row in the part.
        """
        namespaces = sorted({source.namespace for source in self._sources})
        counts = [len(source.identities) for source in self._sources]
        part = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        owner = np.array([namespaces.index(source.namespace) for source in self._sources], np.int32)[part]
        identity = np.concatenate([source.identities for source in self._sources])
        first = np.concatenate([source.starts[:-1] for source in self._sources])
        count = np.concatenate([np.diff(source.starts) for source in self._sources])
        order = np.lexsort((first, part, identity, owner))
        owner, identity = owner[order], identity[order]
        new = np.ones(len(order), dtype=bool)
        new[1:] = (np.diff(owner) != 0) | (np.diff(identity) != 0)
        self.classes = ClassNames(namespaces, owner[new], identity[new])
        self._parts, self._labels = part[order], np.cumsum(new) - 1
        self._ends = np.cumsum(count[order])
        self._shifts = first[order] - (self._ends - count[order])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Label, part and row in the part of each row from `start` to `stop`."""
        rows = np.arange(start, stop)
        runs = np.searchsorted(self._ends, rows, side="right")
        return self._labels[runs], self._parts[runs], rows + self._shifts[runs]

    def sizes(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Bytes of each encoded image of the rows from `start` to `stop`, int64 `[stop - start]`."""
        stop = len(self) if stop is None else stop
        _, parts, rows = self._rows(start, stop)
        sizes = np.empty(stop - start, np.int64)
        for number, source in enumerate(self._sources):
            places = np.flatnonzero(parts == number)
            sizes[places] = source.sizes(rows[places])
        return sizes

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        """The rows from `start` to `stop`, in order."""
        stop = len(self) if stop is None else stop
        for begin in range(start, stop, BLOCK_ROWS):
            yield self._block(begin, min(begin + BLOCK_ROWS, stop))

    def _block(self, start: int, stop: int) -> Block:
        labels, parts, rows = self._rows(start, stop)
        names = {label: self.classes[label] for label in np.unique(labels).tolist()}
        count = stop - start
        samples, datasets = [""] * count, [""] * count
        images: list[memoryview] = [memoryview(b"")] * count
        shapes = {
            "latents": self.latent_dimension and (self.latent_dimension,),
            "embeddings": self.embedding_dimension and (self.embedding_dimension,),
            W_PLUS: self.w_plus_shape,
        }
        numbers = {name: np.full((count, *shape), np.nan, np.float32) for name, shape in shapes.items() if shape}
        for number in np.unique(parts).tolist():
            source, places = self._sources[number], np.flatnonzero(parts == number)
            found = zip(places.tolist(), *source.read(rows[places]), strict=True)
            for place, sample, image in found:
                samples[place], datasets[place], images[place] = sample, source.part.name, image
            for name, values in source.numbers(rows[places], numbers.keys()).items():
                numbers[name][places] = values
        return Block(
            labels=labels,
            identities=[names[label] for label in labels.tolist()],
            samples=samples,
            datasets=datasets,
            images=images,
            latents=numbers.get("latents"),
            w_plus_latents=numbers.get(W_PLUS),
            embeddings=numbers.get("embeddings"),
        )


class _Source:
    """A part with the index of its rows: runs of one identity, `identities` int64 `[r]`, `starts` int64 `[r + 1]`."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.shapes: dict[str, tuple[int, ...]] = {}
        if part.samples is not None:
            shapes = columnar.row_shapes(part.samples)
            self.shapes = {name: shapes[name] for name in COLUMNS if name in shapes}
        namespaces, sizes = set(), set()
        identities, starts, ends = [], [], [0]
        for path in part.images:
            shard = ImageShard(path)
            namespaces.add(shard.namespace)
            sizes.add(shard.image_size)
            found = shard.identities
            first = np.flatnonzero(np.diff(found, prepend=found[:1] - 1))
            identities.append(found[first])
            starts.append(ends[-1] + first)
            ends.append(ends[-1] + len(found))
        if len(namespaces) != 1 or len(sizes) != 1 or not ends[-1]:
            raise BrownidError(
                f"The dataset {part.name!r} cannot be part of a training set: its shards ({part.images[0]} …) have "
                f"{ends[-1]} images, of the namespaces {sorted(namespaces)} and sizes {sorted(sizes)}."
            )
        (self.namespace,), (self.image_size,) = namespaces, sizes
        self.identities = np.concatenate(identities)
        self.starts = np.append(np.concatenate(starts), ends[-1])
        self._ends = np.array(ends)
        self.has_references = self.labels(np.zeros(1, np.int64)) == [REFERENCE]
        if part.samples is not None:
            self._check_samples(part.samples)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _check_samples(self, samples: Path) -> None:
        """Each image must be that of the collection's sample in the same row."""
        row = 0
        for identities, labels in columnar.samples_in_blocks(samples):
            rows = np.arange(row, min(row + len(identities), len(self)))
            mine = self.identities[np.searchsorted(self.starts, rows, side="right") - 1]
            same = len(rows) == len(identities) and np.array_equal(mine, identities) and self.labels(rows) == labels
            row += len(identities)
            if not same:
                break
        if row != len(self) or not same:
            raise BrownidError(
                f"{samples}: the samples are not those of the images in {self.part.images[0]} …, in their order; "
                f"render the dataset {self.part.name!r} again."
            )

    def _spans(self, rows: np.ndarray) -> Iterator[tuple[ImageShard, int, int]]:
        """The shards that hold these rows, each with a range of its rows, in the order of `rows`."""
        files = np.searchsorted(self._ends, rows, side="right") - 1
        breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(files) != 0)) + 1
        for first, last in zip([0, *breaks.tolist()], [*breaks.tolist(), len(rows)], strict=True):
            if first < last:
                file, start = int(files[first]), int(rows[first])
                offset = start - int(self._ends[file])
                yield open_shard(self.part.images[file]), offset, offset + last - first

    def labels(self, rows: np.ndarray) -> list[str]:
        return [label for shard, start, stop in self._spans(rows) for label in shard.labels(start, stop)]

    def sizes(self, rows: np.ndarray) -> np.ndarray:
        found = [shard.sizes(start, stop) for shard, start, stop in self._spans(rows)]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def read(self, rows: np.ndarray) -> tuple[list[str], list[memoryview]]:
        """Labels and encoded images of these rows."""
        images = [image for shard, start, stop in self._spans(rows) for image in shard.encoded(start, stop)]
        return self.labels(rows), images

    def numbers(self, rows: np.ndarray, wanted: Collection[str]) -> dict[str, np.ndarray]:
        """These rows of the columns that are wanted and the collection has."""
        if self.part.samples is None or not any(name in wanted for name in self.shapes):
            return {}
        order = np.argsort(rows, kind="stable")
        found = columnar.read_range(self.part.samples, [name for name in self.shapes if name in wanted], rows[order])
        places = np.argsort(order)
        return {name: values[places] for name, values in found.items()}
