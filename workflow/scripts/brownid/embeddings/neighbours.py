"""Exact nearest neighbours: tiled products with a running maximum, never the whole matrix of pairs.

`nearest` searches once; `NeighbourSearch` again and again, in memory that is allocated once, among several processes,
and in bfloat16: the winner of each tile is then a candidate, and the float32 products of the best candidates decide.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch

from brownid.embeddings.angles import check_widths, tile_side, unit_and_norms
from brownid.jobs.distributed import SINGLE, ProcessGroup, own_parts

CHUNKS = {"cpu": 256, "cuda": 32768}  # rows that are gathered at once
CANDIDATES = 4  # of each row, to be measured again in float32


class Nearest(NamedTuple):
    """The nearest of some others, for each of N vectors."""

    cosines: torch.Tensor  # [N] or [N,count], float32 (float64 where the vectors are)
    rows: torch.Tensor  # int64, rows among the others


def nearest(embeddings: torch.Tensor, others: torch.Tensor, count: int = 1, *, tile: int | None = None) -> Nearest:
    """The `count` nearest of `others` `[M,E]` for each of N embeddings `[N,E]` of any norm: `[N,count]`, nearest first.

    Memory is a few tiles, of side `tile` or of what suits the device, and the result.
    """
    check_widths(embeddings, others)
    tile = tile or tile_side(embeddings.device)
    unit, targets = unit_and_norms(embeddings)[0], unit_and_norms(others)[0]
    found = []
    for own in unit.split(tile):
        best, rows = own.new_empty(len(own), 0), torch.empty(len(own), 0, dtype=torch.int64, device=own.device)
        for first in range(0, len(targets), tile):
            cosines = own @ targets[first : first + tile].T
            places = torch.arange(first, first + cosines.shape[1], device=own.device).expand_as(cosines)
            cosines, rows = torch.cat([best, cosines], dim=1), torch.cat([rows, places], dim=1)
            best, order = cosines.topk(min(count, cosines.shape[1]), dim=1)
            rows = rows.gather(1, order)
        found.append(Nearest(best, rows))
    return Nearest(*(torch.cat(parts) for parts in zip(*found, strict=True)))


class Panel:
    """Unit vectors `[N,E]`, and the same in the number format of the products."""

    def __init__(self, unit: torch.Tensor, precision: str) -> None:
        self.unit = unit
        self.coarse = unit.to(torch.bfloat16) if precision == "bfloat16" else unit

    def __len__(self) -> int:
        return len(self.unit)

    @property
    def exact(self) -> bool:
        """Whether products of it need not be measured again."""
        return self.coarse is self.unit

    def refresh(self, rows: torch.Tensor | None = None) -> None:
        """Follow what has changed: everything, or these rows."""
        if self.exact:
            return
        if rows is None:
            self.coarse.copy_(self.unit)
        else:
            self.coarse.index_copy_(0, rows, self.unit[rows].to(self.coarse.dtype))


class NeighbourSearch:
    """Searches for the nearest neighbours in each iteration, in memory that is allocated once.

    Args:
        device: where the vectors are.
        tile: side of the tiles; None: what suits the device.
        group: the processes that share the tiles; all get the whole result.
    """

    def __init__(self, device: torch.device, *, tile: int | None = None, group: ProcessGroup = SINGLE) -> None:
        self.tile = tile or tile_side(device)
        self.chunk = CHUNKS.get(device.type, CHUNKS["cpu"])
        self.device, self.group = device, group
        self._buffers: dict[tuple[str, torch.dtype], torch.Tensor] = {}

    def among(self, panel: Panel) -> Nearest:
        """The nearest other vector of each. A tile serves the vectors of its rows and those of its columns."""
        parts = self._parts(len(panel))
        values, places = self._table(len(parts), panel)
        corners = ((i, j) for i in range(len(parts)) for j in range(i, len(parts)))
        for i, j in own_parts(corners, self.group):
            cosines = self._products(panel.coarse[parts[i]], panel.coarse[parts[j]])
            if i == j:
                cosines.fill_diagonal_(-math.inf)
            else:
                torch.max(cosines, 0, out=(values[i, parts[j]], places[i, parts[j]]))
            torch.max(cosines, 1, out=(values[j, parts[i]], places[j, parts[i]]))
        return self._decide(values, places, panel, panel)

    def of(self, panel: Panel, others: Panel, own: torch.Tensor | None = None) -> Nearest:
        """The nearest of the others for each vector of a panel; `own` `[N]` are rows of the others to leave out, one a
        vector: itself."""
        row_parts, parts = self._parts(len(panel)), self._parts(len(others))
        values, places = self._table(len(parts), panel)
        grid = ((rows, j) for j in range(len(parts)) for rows in row_parts)
        for rows, j in own_parts(grid, self.group):
            cosines = self._products(panel.coarse[rows], others.coarse[parts[j]])
            if own is not None:
                _leave_out(cosines, own[rows] - parts[j].start)
            torch.max(cosines, 1, out=(values[j, rows], places[j, rows]))
        return self._decide(values, places, panel, others)

    def _parts(self, count: int) -> list[slice]:
        return [slice(start, min(start + self.tile, count)) for start in range(0, count, self.tile)]

    def _buffer(self, name: str, dtype: torch.dtype, *shape: int) -> torch.Tensor:
        """Memory of this shape, whatever is in it; it is the same at every call."""
        size = math.prod(shape)
        known = self._buffers.get((name, dtype))
        if known is None or known.numel() < size:
            known = self._buffers[name, dtype] = torch.empty(size, dtype=dtype, device=self.device)
        return known[:size].view(shape)

    def _table(self, tiles: int, panel: Panel) -> tuple[torch.Tensor, torch.Tensor]:
        """Room for the winner of each tile for each vector, `[tiles, N]`: its cosine, and its place in the tile."""
        values = self._buffer("values", panel.coarse.dtype, tiles, len(panel))
        places = self._buffer("places", torch.int64, tiles, len(panel))
        if self.group.size > 1:  # tiles of other processes stay as they are here
            values.fill_(-math.inf)
            places.zero_()
        return values, places

    def _products(self, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        found = self._buffer("products", rows.dtype, len(rows), len(columns))
        return torch.mm(rows, columns.T, out=found)

    def _decide(self, values: torch.Tensor, places: torch.Tensor, panel: Panel, others: Panel) -> Nearest:
        """The best of each column of the table, measured again where that is needed, over all processes."""
        starts = torch.arange(0, len(others), self.tile, device=self.device)[:, None]
        rows = places.add_(starts)
        if not panel.exact:
            if len(values) > CANDIDATES:
                values, tiles = values.topk(CANDIDATES, dim=0)
                rows = rows.gather(0, tiles)
            values = self._measured(rows, panel, others).masked_fill_(values == -math.inf, -math.inf)
        cosines, best = values.max(dim=0)
        rows = rows.gather(0, best[None])[0]
        if self.group.size > 1:
            own, cosines = cosines, self.group.maximum(cosines)
            rows = self.group.maximum(torch.where(own == cosines, rows, -1))
        return Nearest(cosines, rows)

    def _measured(self, rows: torch.Tensor, panel: Panel, others: Panel) -> torch.Tensor:
        """Exact cosines of each vector with the others in `rows` `[candidates, N]`."""
        cosines = self._buffer("cosines", panel.unit.dtype, *rows.shape)
        for part in chunks(len(panel), self.chunk):
            vectors = panel.unit[part]
            gathered = self._buffer("gathered", vectors.dtype, *vectors.shape)
            for candidate in range(len(rows)):
                torch.index_select(others.unit, 0, rows[candidate, part], out=gathered)
                torch.sum(gathered.mul_(vectors), 1, out=cosines[candidate, part])
        return cosines


def chunks(count: int, size: int) -> Iterator[slice]:
    """The rows 0 … count−1 in slices of at most `size`."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _leave_out(cosines: torch.Tensor, places: torch.Tensor) -> None:
    """Make −∞ of each row's place, where the tile has it; without asking the device which rows these are."""
    inside = (places >= 0) & (places < cosines.shape[1])
    columns = places.clamp(0, cosines.shape[1] - 1)[:, None]
    cosines.scatter_(1, columns, cosines.gather(1, columns).masked_fill_(inside[:, None], -math.inf))
