"""Which local rows a question is about, term by term of its sum."""

from __future__ import annotations

from dataclasses import dataclass

from mpi_gd.objective.rows import Rows
from mpi_gd.objective.sample import BatchPlan, BatchRows, sampled_rows
from mpi_gd.solvers import Question, Sample

__all__ = ["Chunking", "Chunks"]


@dataclass(frozen=True)
class Chunks:
    """The local rows of each term of a sum."""

    places: list[tuple[int, int]]
    has_first: bool
    """Whether the first of them is the first of all ranks'."""
    factor: float
    """How many times larger a sum over all tiles is, about."""


class Chunking:
    """Finds the rows of questions; remembers those of tiles and of samples."""

    def __init__(self, rows: Rows, seed: int) -> None:
        """Take this rank's rows."""
        self._rows, self._seed = rows, seed
        self._all = Chunks(list(rows.tiles()), rows.first_tile == 0 and rows.n_tiles > 0, 1.0)
        self._samples: dict[Sample, Chunks] = {}
        self._batches: dict[int, BatchRows] = {}

    def of(self, question: Question) -> Chunks:
        """Return tiles, their beginnings, or the local chunks of a batch."""
        if question.batch:
            rows = self._batch_rows(question.batch.size)
            return Chunks(rows.of(question.batch.number), False, 1.0)
        if question.sample is None:
            return self._all
        found = self._samples.get(question.sample)
        if found is None:
            found = self._samples[question.sample] = self._sampled(question.sample)
        return found

    def _batch_rows(self, size: int) -> BatchRows:
        """Return where the rows of batches of a size are."""
        if size not in self._batches:
            rows, plan = self._rows, BatchPlan(self._rows.grid, size)
            self._batches[size] = BatchRows(plan, self._seed, rows.first_tile, rows.last_tile)
        return self._batches[size]

    def _sampled(self, sample: Sample) -> Chunks:
        """Return the local rows of a sample of tiles."""
        grid, first, last = self._rows.grid, self._rows.first_tile, self._rows.last_tile
        offset = first * grid.tile_rows
        rows = sampled_rows(grid, sample.stride, sample.rows, self._seed)
        own = [(i - offset, j - offset) for tile, i, j in rows if first <= tile < last]
        n_rows = sum(stop - start for _, start, stop in rows)
        return Chunks(own, first <= rows[0][0] < last, grid.n_samples / n_rows)
