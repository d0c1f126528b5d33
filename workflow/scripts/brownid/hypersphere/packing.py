"""HyperFace: references packed on the embedding hypersphere, each as far from its nearest neighbour as it gets.

Otroshi Shahreza and Marcel, "HyperFace: Generating Synthetic Face Recognition Datasets by Exploring Face Embedding
Hypersphere", ICLR 2025.
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch

from brownid.dynamics.checks import check_matrix
from brownid.dynamics.potentials import check_widths
from brownid.dynamics.run import iterate
from brownid.dynamics.share import SINGLE, ProcessGroup
from brownid.dynamics.statistics import as_arrays
from brownid.errors import BrownidError
from brownid.hypersphere.descent import STATISTICS, Descent
from brownid.hypersphere.energy import angles_between
from brownid.hypersphere.nearest import Panel, Search
from brownid.hypersphere.settings import PackingSettings
from brownid.precision import resolve_precision
from brownid.resuming import StateFile

FEW = 1024  # references; for fewer, measuring candidates again takes longer than float32 products
SAME = 1e-6  # radians; closer vectors are the same but for rounding, and nothing pushes them apart


@dataclass(frozen=True)
class Packing:
    """Where a packing ended.

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
        gallery: `[m,E]`, likewise; None: nothing pulls, α is not used, and `gallery_avg` is NaN.
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
    search = Search(start.device, tile=tile, group=group)
    _check(start, settings, search)
    if state is not None:
        state = state.with_settings(algorithm="hyperface", settings=asdict(settings), seed=seed)
    descent = Descent(
        gallery,
        settings,
        search,
        precision=_precision(settings.precision, start),
        seed=seed,
        in_place=state is None,
    )
    end, records = iterate(
        descent.block,
        {"references": start, "first": torch.zeros_like(start), "second": torch.zeros_like(start)},
        -(-settings.iterations // settings.record_every),
        STATISTICS,
        description="hyperface",
        given={"start": start} | ({} if gallery is None else {"gallery": gallery}),
        state=state,
        group=group,
    )
    references = end["references"]
    last = descent.in_float32().record(references, settings.iterations)
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
            f"{name} cannot be normalised: row {row} is zero and has no direction; mend or leave out that row."
        )
    unit = (matrix.detach() / largest).float()  # so that no square overflows or vanishes
    return unit.div_(torch.linalg.vector_norm(unit, dim=1, keepdim=True))


def _check(start: torch.Tensor, settings: PackingSettings, search: Search) -> None:
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
