"""HyperFace: references packed on the embedding hypersphere, each as far from its nearest neighbour as possible.

Algorithms 1 and 2 of Otroshi Shahreza and Marcel, "HyperFace: Generating Synthetic Face Recognition Datasets by
Exploring Face Embedding Hypersphere", ICLR 2025. Of n unit vectors x_i, with nn(i) the nearest other one and g(i)
the nearest gallery member, Adam lowers
    U = (1/n) [ −Σ_i (1 − x_i·x_nn(i)) + α Σ_i (1 − x_i·g(i)) ].
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
import torch

from brownid.dynamics.steps import as_arrays, summary
from brownid.embeddings.angles import check_widths
from brownid.embeddings.neighbours import Nearest, NeighbourSearch, Panel, chunks
from brownid.hyperface.energy import angles_between, attract, energy, project, repel
from brownid.hyperface.settings import PackingSettings
from brownid.jobs.distributed import SINGLE, ProcessGroup, gather, own_rows
from brownid.jobs.iteration import Tensors, iterate
from brownid.jobs.resume import StateFile
from brownid.runtime.errors import BrownidError
from brownid.runtime.optimization import adam_
from brownid.runtime.precision import check_matrix, resolve_precision
from brownid.runtime.randomness import stream

STATISTICS = ("iteration", "nn_min", "nn_avg", "nn_max", "gallery_avg", "energy", "learning_rate")

Moments = tuple[torch.Tensor, torch.Tensor]


class SphereOptimizer:
    """Adam on the sphere: what stays the same through a packing, and the memory that every iteration uses again.

    Nothing within an iteration asks a GPU for a number, so that the host runs ahead of it.

    Args:
        gallery: `[m,E]`, unit norm, or None.
        precision: of the products that look for neighbours, float32 or bfloat16.
        seed: of the mini-batches.
        in_place: whether a block may overwrite the tensors that it is given: if they are not saved.
    """

    def __init__(
        self,
        gallery: torch.Tensor | None,
        settings: PackingSettings,
        search: NeighbourSearch,
        *,
        precision: str,
        seed: int,
        in_place: bool,
    ) -> None:
        self.settings, self.search, self.group = settings, search, search.group
        self.precision, self.seed, self.in_place = precision, seed, in_place
        self.gallery = None if gallery is None else Panel(gallery, precision)
        self._gradient, self._scratch = torch.empty(0), torch.empty(0)
        self._epoch: tuple[int, np.ndarray] | None = None

    def in_float32(self) -> "SphereOptimizer":
        """The same with exact products."""
        gallery = None if self.gallery is None else self.gallery.unit
        return SphereOptimizer(
            gallery, self.settings, self.search, precision="float32", seed=self.seed, in_place=self.in_place
        )

    def block(self, tensors: Tensors, number: int) -> tuple[Tensors, dict[str, float]]:
        """The tensors after the `number`-th `record_every` iterations, and the statistics before them."""
        every, count = self.settings.record_every, len(tensors["references"])
        iterations = range(number * every, min((number + 1) * every, self.settings.iterations))
        if not self.in_place:
            tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        panel, moments = Panel(tensors["references"], self.precision), (tensors["first"], tensors["second"])
        record = self._record(panel, iterations.start)
        if self.settings.batch is not None:
            for iteration, rows in zip(iterations, self._batches(iterations, panel), strict=True):
                self._move_batch(panel, moments, rows, iteration)
            return tensors, record
        for iteration in iterations:
            self.move_all(panel, moments, iteration)
        own = own_rows(self.group, count)
        first, second = (gather(self.group, moment[own], count) for moment in moments)
        return {"references": panel.unit, "first": first, "second": second}, record

    def record(self, references: torch.Tensor, iteration: int) -> dict[str, float]:
        """The statistics of references `[n,E]`, unit norm, and the learning rate of an iteration."""
        return self._record(Panel(references, self.precision), iteration)

    def _record(self, panel: Panel, iteration: int) -> dict[str, float]:
        settings, search = self.settings, self.search
        neighbours, members, member_angle = search.among(panel), None, math.nan
        angles = angles_between(panel.unit, panel.unit, neighbours.rows, search.chunk)
        if self.gallery is not None:
            members = search.of(panel, self.gallery)
            member_angle = float(
                angles_between(panel.unit, self.gallery.unit, members.rows, search.chunk).double().mean()
            )
        return {
            "iteration": iteration,
            **summary("nn", angles),
            "gallery_avg": member_angle,
            "energy": energy(neighbours, members, settings.gallery_coefficient, settings.repulsion),
            "learning_rate": settings.rate_at(iteration),
        }

    def move_all(self, panel: Panel, moments: Moments, iteration: int) -> None:
        """Algorithm 1: move every reference; each process keeps the moments of its own rows alone."""
        count, unit = len(panel), panel.unit
        neighbours, members = self.search.among(panel), self._nearest_members(panel)
        gradient = self._room(count, unit)
        repel(gradient, unit, unit, neighbours, self.settings.repulsion)
        own = own_rows(self.group, count)
        self._step(unit, gradient, moments, members, own, iteration, iteration)
        if self.group.size > 1:
            unit.copy_(gather(self.group, unit[own], count))
        panel.refresh()

    def _move_batch(self, panel: Panel, moments: Moments, rows: torch.Tensor, iteration: int) -> None:
        """Algorithm 2: move the references in `rows` `[b]`."""
        count, everybody = len(rows), panel.unit
        batch = Panel(everybody[rows], self.precision)
        own_moments = moments[0][rows], moments[1][rows]
        if self.settings.batch_neighbours == "batch":
            others, places, neighbours = batch.unit, None, self.search.among(batch)
        else:
            others, neighbours = everybody, self.search.of(batch, panel, own=rows)
            places = torch.full((len(panel),), count, device=rows.device)
            places[rows] = torch.arange(count, device=rows.device)
        members = self._nearest_members(batch)
        gradient = self._room(count + 1, everybody)[: count + (places is not None)]
        repel(gradient, batch.unit, others, neighbours, self.settings.repulsion, places)
        own, turns = own_rows(self.group, count), iteration // self._batches_an_epoch(len(panel))
        self._step(batch.unit, gradient, own_moments, members, own, turns, iteration)
        for target, moved in zip((everybody, *moments), (batch.unit, *own_moments), strict=True):
            target.index_copy_(0, rows, gather(self.group, moved[own], count))
        panel.refresh(rows)

    def _nearest_members(self, panel: Panel) -> Nearest | None:
        """The nearest gallery members, where these attract."""
        if self.gallery is None or not self.settings.gallery_coefficient:
            return None
        return self.search.of(panel, self.gallery)

    def _step(
        self,
        unit: torch.Tensor,
        gradient: torch.Tensor,
        moments: Moments,
        members: Nearest | None,
        own: slice,
        turns: int,
        iteration: int,
    ) -> None:
        """Complete the gradient of the own rows and move them; a few rows at a time, which stay in the cache."""
        rate = self.settings.rate_at(iteration)
        for part in chunks(own.stop - own.start, self.search.chunk):
            rows = slice(own.start + part.start, own.start + part.stop)
            vectors, slope = unit[rows], gradient[rows]
            scratch = self._scratch[: len(slope)]
            if members is not None and self.gallery is not None:
                attract(slope, self.gallery.unit, members.rows[rows], self.settings.gallery_coefficient, scratch)
            project(slope, vectors, scratch)
            adam_(vectors, slope, (moments[0][rows], moments[1][rows]), turns, rate)
            vectors.div_(torch.linalg.vector_norm(vectors, dim=1, keepdim=True))

    def _room(self, count: int, like: torch.Tensor) -> torch.Tensor:
        """Memory for the gradient `[count,E]`, the same every time."""
        if len(self._gradient) < count:
            self._gradient = like.new_empty(count, like.shape[1])
            self._scratch = like.new_empty(min(count, self.search.chunk), like.shape[1])
        return self._gradient[:count]

    def _batches_an_epoch(self, count: int) -> int:
        """Number of batches for `count` references; never a number that leaves one reference alone in its batch."""
        return min(-(-count // (self.settings.batch or count)), count // 2)

    def _batches(self, iterations: range, panel: Panel) -> list[torch.Tensor]:
        """The rows that each iteration moves; all on their way to the device at once."""
        batches = self._batches_an_epoch(len(panel))
        found = [self._batch(*divmod(iteration, batches), batches, len(panel)) for iteration in iterations]
        rows = torch.from_numpy(np.concatenate(found)).to(panel.unit.device)
        return list(rows.split([len(batch) for batch in found]))

    def _batch(self, epoch: int, number: int, batches: int, count: int) -> np.ndarray:
        if self._epoch is None or self._epoch[0] != epoch:
            permutation = stream(self.seed, "hyperface/batch", iteration=epoch).permutation(count)
            self._epoch = epoch, permutation.astype(np.int64)
        return self._epoch[1][count * number // batches : count * (number + 1) // batches]


FEW = 1024  # references; for fewer, measuring candidates again takes longer than float32 products
SAME = 1e-6  # radians; closer vectors are the same but for rounding, and nothing pushes them apart


@dataclass(frozen=True)
class Packing:
    """Result of a packing.

    Record k of the statistics describes the references before iteration number `statistics["iteration"][k]`, and the
    learning rate there; the last record describes the end.
    """

    references: torch.Tensor  # [n,E] float32, unit norm
    statistics: dict[str, np.ndarray]  # name -> [records], float64; angles in radians


def pack(
    start: torch.Tensor,
    gallery: torch.Tensor | None,
    settings: PackingSettings,
    *,
    seed: int,
    state: StateFile | None = None,
    group: ProcessGroup = SINGLE,
    tile: int | None = None,
) -> Packing:
    """Pack references on the sphere, from `start`, near a gallery of embeddings that faces have.

    Args:
        start: `[n,E]`, of any norm but 0; not changed. The work is done on its device.
        gallery: `[m,E]`, likewise; None: nothing attracts, α is not used, and `gallery_avg` is NaN.
        seed: of the mini-batches; without these nothing is random.
        state: where to keep what an interrupted run goes on from. It counts blocks of `record_every` iterations.
        group: the processes that share the work; all call this with the same arguments and get the same result.
        tile: side of the tiles of the pair matrix; None: what suits the device. It decides rounding, and in bfloat16
            also who of several about equally near is taken for the nearest.

    Returns:
        References and statistics: `nn_*` the angles to the nearest other reference, `gallery_avg` the mean angle to the
        nearest gallery member, `energy` U. The last record is taken in float32, whatever the precision.

    Raises:
        BrownidError: wrong shapes or values; vectors that cannot be normalised; equal vectors, which nothing parts;
            a state of other settings.
    """
    start = _unit("start", start)
    if gallery is not None:
        gallery = _unit("gallery", gallery).to(start.device)
        check_widths(start, gallery)
    search = NeighbourSearch(start.device, tile=tile, group=group)
    _check(start, settings, search)
    if state is not None:
        state = state.of_run(algorithm="hyperface", settings=asdict(settings), seed=seed)
    optimizer = SphereOptimizer(
        gallery,
        settings,
        search,
        precision=_precision(settings.precision, start),
        seed=seed,
        in_place=state is None,
    )
    end, records = iterate(
        optimizer.block,
        {"references": start, "first": torch.zeros_like(start), "second": torch.zeros_like(start)},
        -(-settings.iterations // settings.record_every),
        STATISTICS,
        description="hyperface",
        given={"start": start} | ({} if gallery is None else {"gallery": gallery}),
        state=state,
        group=group,
    )
    references = end["references"]
    last = optimizer.in_float32().record(references, settings.iterations)
    return Packing(references, as_arrays([*records, last], STATISTICS))


def _precision(precision: str, start: torch.Tensor) -> str:
    """The number format of the products; "auto" is float32 for a few references, whose products cost little."""
    few = precision == "auto" and len(start) < FEW
    return "float32" if few else resolve_precision(precision, start.device)


def _unit(name: str, matrix: torch.Tensor) -> torch.Tensor:
    """Rows `[N,E]` of unit norm, float32, in new memory; refuses rows that have no direction."""
    check_matrix(name, matrix, (None, None))
    largest = matrix.detach().abs().amax(dim=1, keepdim=True)
    if not (largest > 0).all():
        row = int((largest <= 0).nonzero()[0, 0])
        raise BrownidError(
            f"{name} cannot be normalised: row {row} is zero and has no direction; correct or leave out that row."
        )
    unit = (matrix.detach() / largest).float()  # so that no square overflows or vanishes
    return unit.div_(torch.linalg.vector_norm(unit, dim=1, keepdim=True))


def _check(start: torch.Tensor, settings: PackingSettings, search: NeighbourSearch) -> None:
    """Refuse a start that cannot be packed."""
    count, processes = len(start), search.group.size
    if count < 2:
        raise BrownidError("A single reference has no neighbour to be packed away from; give at least two.")
    if processes > count:
        raise BrownidError(f"{processes} processes cannot share {count} references; take fewer processes.")
    if settings.batch is not None and settings.batch > count:
        raise BrownidError(
            f"PackingSettings.batch is {settings.batch}, but there are only {count} references; "
            "set it to at most that, or to none to move all of them at once."
        )
    if not settings.iterations:
        return
    nearest = search.among(Panel(start, "float32"))
    angles = angles_between(start, start, nearest.rows, search.chunk)
    if angles.min() < SAME:
        row = int(angles.argmin())
        raise BrownidError(
            f"The references {row} and {int(nearest.rows[row])} of the start are the same vector, so that nothing "
            "pushes them apart; leave one of them out."
        )
