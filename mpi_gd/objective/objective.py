"""A solver's questions, answered: local sums, one Allreduce, loss and penalty put together."""

from __future__ import annotations

import dataclasses
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd import pulse
from mpi_gd.comm import ColumnSum, Reduction, TileSum, World
from mpi_gd.errors import OutOfStep
from mpi_gd.losses import Loss, Squared
from mpi_gd.objective.bycolumn import ColumnPlan, is_by_column
from mpi_gd.objective.elimination import Elimination, eliminate
from mpi_gd.objective.kernel import COUNT, LOSS, N_SUMS, RESIDUAL, WEIGHT, Curvature, Kernel
from mpi_gd.objective.moments import second_moments
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.objective.sample import BatchPlan, BatchRows
from mpi_gd.objective.scaling import Scaling
from mpi_gd.penalties import Bound
from mpi_gd.solvers import Answer, Batch, Problem, Question

__all__ = ["Objective", "Reply"]

# The questions' sums are told apart by the batch's size, 0 for all rows, and this much more where
# the Hessian is asked for too.
_HESSIAN_KEY = "h"
_WIDE = 1 << 14


@dataclass(frozen=True)
class Reply:
    """An answer, and what else came with the same message."""

    answer: Answer
    votes: Floats
    """(n_votes,): the sum over ranks of each vote."""
    compute: Floats
    """(size,): the seconds each rank spent on its rows."""
    n_rows: int
    """Rows that counted, of all ranks."""
    reduce_seconds: float
    """Seconds this rank spent in the Allreduce: its transfer, and the wait for the slowest."""


class Objective:
    """F(u) = (1 / sum of weights) sum_i weight_i loss(y_i, z_i) + penalty, on all ranks' rows."""

    def __init__(
        self,
        world: World,
        rows: Rows,
        loss: Loss,
        penalty: Bound,
        scaling: Scaling,
        *,
        reduction: Reduction = "exact",
        seed: int = 0,
        n_votes: int = 0,
        free: NDArray[np.bool_] | None = None,
        is_ill_conditioned: bool = False,
        kink_width: float = 1.0,
    ) -> None:
        """Plan kernel and message; nothing is computed or sent.

        `free` (n_params,) says which parameters are not held at 0, None for all; `kink_width` what
        the size of residuals is, for a loss with kinks.
        """
        self._world, self._rows, self._seed = world, rows, seed
        self._loss, self._penalty, self._scaling = loss, penalty, scaling
        self._reduction, self._n_votes = reduction, n_votes
        self._fixed = None if free is None or free.all() else ~free
        self._is_ill_conditioned, self._kink_width = is_ill_conditioned, kink_width
        shift = scaling.mean if scaling.is_shifted else None
        self._kernel = Kernel(rows, loss, scaling.n_outputs, shift)
        # What rides in the message: a digest of u, votes, each rank's compute seconds.
        self._extra = np.zeros(1 + n_votes + world.size)
        self._columns: ColumnPlan | None = None
        if is_by_column(rows):
            is_used = (scaling.mean_squares > 0) | (scaling.mean != 0)
            self._columns = ColumnPlan(is_used, scaling.n_outputs)
        self._sums: dict[str, TileSum | ColumnSum] = {"0": self._tile_sum(rows.grid.n_tiles)}
        # Sums so long that those of all tiles at once would leave the cache, or fill the memory.
        self._is_wide = self._kernel.width >= _WIDE
        n_rows = 0 if self._is_wide else rows.n_tiles
        self._partials = np.empty((n_rows, self._kernel.width))
        self._n_answers = 0
        self._batches: dict[int, BatchRows] = {}

    @property
    def n_params(self) -> int:
        """Return the number of coefficients and intercepts."""
        return (self._rows.x.shape[1] + 1) * self._scaling.n_outputs

    @property
    def problem(self) -> Problem:
        """Return what a solver may know beforehand."""
        scaling, penalty = self._scaling, self._penalty
        # The trace of X'X / n bounds its eigenvalues; the intercept's column of ones adds 1.
        squares = np.append(scaling.mean_squares, 1.0)
        curvature = self._loss.curvature
        bends = np.append(penalty.hessian_diagonal(), np.zeros(scaling.n_outputs))
        return Problem(
            n_params=self.n_params,
            mean_curvature=self._loss.usual_curvature * float(squares.mean()) + float(bends.mean()),
            max_curvature=curvature * float(squares.sum()) + penalty.curvature(),
            n_batches=lambda size: BatchPlan(self._rows.grid, size).n_batches,
            rest=None if penalty.is_smooth else _Rest(penalty, scaling.n_outputs),
            has_kinks=not self._loss.is_smooth,
            kink_width=self._kink_width,
            n_outputs=scaling.n_outputs,
            has_closed_form=self._loss == Squared() and penalty.is_smooth,
            is_ill_conditioned=self._is_ill_conditioned,
        )

    @property
    def rounding(self) -> float:
        """Return the largest error of a gradient, as `stop.tol` counts, from float32 messages.

        In these coordinates columns have a root mean square of about 1, so that the ranks' sums of
        one, without their signs, add up to the root mean square of dloss/dz at most.
        """
        return self._sums["0"].rounding

    def answer(self, question: Question, votes: Floats | None = None) -> Reply:
        """Answer with one Allreduce; collective, the same question and answer on all ranks.

        Raises OutOfStep when the ranks do not ask the same.
        """
        began = time.perf_counter_ns()
        self._n_answers += 1
        pulse.doing("computing gradient", self._n_answers)
        self._kernel.loss = (
            self._loss.smoothed(question.smoothing) if question.smoothing else self._loss
        )
        key = self._plan(question.batch, question.hessian)
        tile_sum = self._sums[key]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if isinstance(tile_sum, ColumnSum):
                sums, extra, digest, computed = self._by_column(question, votes, tile_sum, began)
            elif question.hessian or self._is_wide:
                sums, extra, digest, computed = self._streamed(question, votes, tile_sum, began)
            else:
                partials = self._local_sums(question)
                extra, digest = self._fill_extra(question.u, votes)
                computed = time.perf_counter_ns()
                extra[1 + self._n_votes + self._world.rank] = computed - began
                pulse.waiting()
                sums = tile_sum.sum(partials, extra)
            pulse.done()
            reduced = time.perf_counter_ns()
            self._require_step(extra[0], digest)
            gradient_sums = sums[: self._kernel.width]
            if not question.hessian:
                # All terms grow with the loss's derivatives.
                tile_sum.follow(float(gradient_sums[RESIDUAL]))
            answer = self._assemble(question.u, gradient_sums, sums[self._kernel.width :])
        if question.optimum:
            answer = dataclasses.replace(answer, optimum=self._optimum())
        return Reply(
            answer=answer,
            votes=extra[1 : 1 + self._n_votes].copy(),
            compute=extra[1 + self._n_votes :] * 1e-9,
            n_rows=int(gradient_sums[COUNT]),
            reduce_seconds=(reduced - computed) * 1e-9,
        )

    def gram(self, u: Floats, curvature: Curvature) -> Floats:
        """Return sum_i h_i x_i x_i' over all ranks' rows, x in the solver's coordinates, at u.

        (n_params, n_params), not divided by the weights; `curvature` gives h. Collective.
        """
        usual = self._kernel.curvature
        self._kernel.curvature, self._kernel.loss = curvature, self._loss
        tile_sum = self._hessian_sum(self._rows.grid.n_tiles)
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                sums, *_ = self._streamed(Question(u, hessian=True), None, tile_sum, 0)
        finally:
            self._kernel.curvature = usual
            pulse.done()
        return self._scaling.hessian(sums[self._kernel.width :])

    def predictor(self, u: Floats) -> Floats:
        """Return z of all local rows, offset included: (n_rows,) or (n_rows, K)."""
        return self._kernel.predictor(*self._scaling.to_kernel(u))

    def scores(self, u: Floats) -> Iterator[tuple[int, Floats]]:
        """Yield the weighted gradient of each local row's loss at u, block by block.

        Each is the first local row and (n, n_params), in the solver's coordinates.
        """
        w, b = self._scaling.to_kernel(u)
        for first, dense, r in self._kernel.residuals(w, b, self._loss):
            yield first, self._scaling.scores(dense, r)

    def exponents(self) -> dict[str, NDArray[np.int64]]:
        """Return the exact sums' exponents, which are part of the training's state."""
        return {key: tile_sum.exponents for key, tile_sum in self._sums.items()}

    def set_exponents(self, exponents: dict[str, NDArray[np.int64]]) -> None:
        """Take the exponents from a checkpoint."""
        for key, values in exponents.items():
            size = int(key.removesuffix(_HESSIAN_KEY))
            self._plan(Batch(size, 0) if size else None, key.endswith(_HESSIAN_KEY))
            self._sums[key].set_exponents(values)

    def _optimum(self) -> Floats:
        """Return the minimum of least squares, to the digits that the data have; collective."""
        found = self.eliminate()
        return self._scaling.to_solver(found.coef, found.intercept)

    def eliminate(self) -> Elimination:
        """Return the solution of least squares and its inverse, in the data's units; collective."""
        scaling, rows = self._scaling, self._rows
        y = rows.target if rows.offset is None else rows.target - rows.offset
        # The penalty's weights on w_j = u_j / deviation_j.
        ridge = self._penalty.hessian_diagonal() * np.square(scaling.deviation) * scaling.weight
        has_intercept = self._fixed is None or not self._fixed[-1]
        return eliminate(second_moments(self._world, rows, y), has_intercept, ridge)

    def _tile_sum(self, n_terms: int) -> TileSum | ColumnSum:
        """Plan a message for sums of `n_terms` rows of partial sums."""
        mode, n_extra = self._reduction, self._extra.size
        if self._columns:
            n_rest = self._scaling.n_outputs + N_SUMS
            return self._columns.sum(self._world, n_terms, n_rest, mode, n_extra)
        return TileSum(self._world, n_terms, self._kernel.width, mode, n_extra)

    def _hessian_sum(self, n_terms: int) -> TileSum:
        """Plan a message with the Hessian."""
        width = self._kernel.width + self._kernel.hessian_width
        return TileSum(self._world, n_terms, width, self._reduction, self._extra.size)

    def _plan(self, batch: Batch | None, hessian: bool) -> str:
        """Make what such questions need, if it is not there; return its key."""
        size = batch.size if batch else 0
        key = f"{size}{_HESSIAN_KEY}" if hessian else str(size)
        if key not in self._sums:
            n_terms = self._rows.grid.n_tiles
            if size:
                plan = BatchPlan(self._rows.grid, size)
                rows = self._rows
                self._batches[size] = BatchRows(plan, self._seed, rows.first_tile, rows.last_tile)
                n_terms = plan.n_lanes
            self._sums[key] = self._hessian_sum(n_terms) if hessian else self._tile_sum(n_terms)
        return key

    def _chunks(self, batch: Batch | None) -> list[tuple[int, int]]:
        """Return the local rows of each term of a sum: tiles, or chunks of a batch."""
        if batch is None:
            return list(self._rows.tiles())
        return self._batches[batch.size].of(batch.number)

    def _local_sums(self, question: Question) -> Floats:
        """Return the sums over this rank's tiles, or over its chunks of a batch."""
        w, b = self._scaling.to_kernel(question.u)
        if question.batch is None:
            self._kernel.tiles(w, b, self._partials)
            return self._partials
        chunks = self._chunks(question.batch)
        partials = np.empty((len(chunks), self._kernel.width))
        for (start, stop), sums in zip(chunks, partials, strict=True):
            self._kernel.rows(start, stop, w, b, sums)
        return partials

    def _by_column(
        self, question: Question, votes: Floats | None, column_sum: ColumnSum, began: int
    ) -> tuple[Floats, Floats, int, int]:
        """Sum the gradient of sparse rows column by column; return what `_streamed` does."""
        pieces = self._chunks(question.batch)
        rest = np.empty((len(pieces), self._scaling.n_outputs + N_SUMS))
        r = self._kernel.derivatives(pieces, *self._scaling.to_kernel(question.u), rest)
        extra, digest = self._fill_extra(question.u, votes)
        computed = began

        def when_made() -> None:
            nonlocal computed
            computed = time.perf_counter_ns()
            extra[1 + self._n_votes + self._world.rank] = computed - began
            pulse.waiting()

        columns = self._rows.x.by_columns(pieces)
        plan = self._columns or ColumnPlan(np.ones(0, dtype=bool), 1)
        terms = plan.terms(columns, lambda chunk: chunk.times(r))
        sums = column_sum.sum(terms, rest, extra, when_made)
        return plan.expanded(sums), extra, digest, computed

    def _streamed(
        self,
        question: Question,
        votes: Floats | None,
        tile_sum: TileSum,
        began: int,
    ) -> tuple[Floats, Floats, int, int]:
        """Sum gradient and Hessian, tile by tile: Hessians of all tiles would fill the memory.

        Return the sums, what rode along, the digest of u, and when the computing was done.
        """
        w, b = self._scaling.to_kernel(question.u)
        chunks = self._chunks(question.batch)
        width = self._kernel.width + (self._kernel.hessian_width if question.hessian else 0)
        terms = np.empty(width)
        extra, digest = self._fill_extra(question.u, votes)
        place = 1 + self._n_votes + self._world.rank
        computed = began

        def tiles() -> Iterator[Floats]:
            nonlocal computed
            for start, stop in chunks:
                self._kernel.rows(start, stop, w, b, terms)
                yield terms
            computed = time.perf_counter_ns()
            extra[place] = computed - began
            pulse.waiting()

        def pilot() -> Floats:
            terms[:] = 0.0
            if question.batch is None and self._rows.first_tile == 0 and chunks:
                self._kernel.rows(*chunks[0], w, b, terms)
            return terms

        return tile_sum.sum_stream(tiles, pilot, extra), extra, digest, computed

    def _fill_extra(self, u: Floats, votes: Floats | None) -> tuple[Floats, int]:
        """Return what rides in the message, all but the seconds, and the digest of u."""
        digest = zlib.crc32(u.data)
        extra = self._extra
        extra[:] = 0.0
        extra[0] = digest
        if votes is not None:
            extra[1 : 1 + self._n_votes] = votes
        return extra, digest

    def _require_step(self, total: float, digest: int) -> None:
        """Raise OutOfStep unless all ranks have asked about the same point."""
        if total != digest * self._world.size:
            raise OutOfStep(
                "the ranks no longer compute the same numbers: the hosts' processors or libraries "
                "differ, or memory is damaged; use hosts of one kind, or set OPENBLAS_CORETYPE and "
                "NPY_DISABLE_CPU_FEATURES alike on all of them"
            )

    def _assemble(self, u: Floats, sums: Floats, hessian_sums: Floats) -> Answer:
        """Return the smooth part's value, gradient and Hessian in the solver's coordinates."""
        weight = float(sums[WEIGHT]) or 1.0
        n_outputs = self._scaling.n_outputs
        gradient = self._scaling.gradient(sums)
        gradient /= weight
        self._penalty.add_gradient(u[:-n_outputs], gradient[:-n_outputs])
        value = float(sums[LOSS]) / weight + self._penalty.value(u[:-n_outputs])
        hessian = None
        if hessian_sums.size:
            hessian = self._scaling.hessian(hessian_sums)
            hessian /= weight
            diagonal = hessian.reshape(-1)[:: len(u) + 1]
            diagonal[:-n_outputs] += self._penalty.hessian_diagonal()
        if self._fixed is not None:
            gradient[self._fixed] = 0.0
            if hessian is not None:
                hessian[self._fixed] = 0.0
                hessian[:, self._fixed] = 0.0
        return Answer(value, gradient, float(np.sqrt(sums[RESIDUAL] / weight)), hessian)


class _Rest:
    """A penalty's part without derivatives, of coefficients and intercepts together."""

    def __init__(self, penalty: Bound, n_outputs: int) -> None:
        self._penalty, self._n_outputs = penalty, n_outputs
        self.blocks, self.is_convex = penalty.blocks, penalty.is_convex
        self.l1 = self._padded(penalty.l1, 0.0)
        self.lower = self._padded(penalty.lower, -np.inf)
        self.upper = self._padded(penalty.upper, np.inf)

    def _padded(self, array: Floats | None, value: float) -> Floats | None:
        """Return an array of the coefficients with the intercepts' value."""
        return None if array is None else np.append(array, np.full(self._n_outputs, value))

    def value(self, u: Floats) -> float:
        """Return the penalty of the coefficients."""
        return self._penalty.rest(u[: -self._n_outputs])

    def prox(self, v: Floats, step: float | Floats) -> Floats:
        """Return the proximal map, which leaves the intercepts alone."""
        k = -self._n_outputs
        part = step if isinstance(step, float) else step[:k]
        return np.append(self._penalty.prox(v[:k], part), v[k:])

    def residual(self, u: Floats, gradient: Floats) -> Floats:
        """Return the smallest subgradient of the whole objective."""
        k = -self._n_outputs
        return np.append(self._penalty.subgradient_residual(u[:k], gradient[:k]), gradient[k:])
