"""A solver's questions, answered: local sums, one Allreduce, loss and penalty put together."""

from __future__ import annotations

import dataclasses
import math
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mpi_gd import pulse
from mpi_gd.comm import ColumnSum, Reduction, SerialWorld, TileSum, World
from mpi_gd.errors import OutOfStep
from mpi_gd.losses import Loss, Squared
from mpi_gd.objective.assembly import Assembly
from mpi_gd.objective.bycolumn import ColumnPlan, is_by_column
from mpi_gd.objective.chunks import Chunking, Chunks
from mpi_gd.objective.elimination import Elimination, eliminate
from mpi_gd.objective.gram import Gram, Squares
from mpi_gd.objective.kernel import COUNT, N_SUMS, RESIDUAL, Curvature, Kernel, Residual
from mpi_gd.objective.messages import Messages
from mpi_gd.objective.moments import second_moments
from mpi_gd.objective.rest import PenaltyRest
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.objective.sample import BatchPlan
from mpi_gd.objective.scaling import Scaling
from mpi_gd.objective.workers import Workers, seed_of
from mpi_gd.penalties import Bound
from mpi_gd.solvers import Answer, Problem, Question, Sample

__all__ = ["Objective", "Reply"]

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
        gram: Gram | None = None,
        on_not_finite: Callable[[], None] | None = None,
    ) -> None:
        """Plan kernel and message; nothing is computed or sent.

        `free` (n_params,) says which parameters are not held at 0, None for all; `kink_width` what
        the size of residuals is, for a loss with kinks; `gram` the rows' second moments, where the
        loss is the squared one.
        """
        self._world, self._rows, self._seed = world, rows, seed
        self._loss, self._penalty, self._scaling = loss, penalty, scaling
        self._n_votes = n_votes
        self._fixed = None if free is None or free.all() else ~free
        self._is_ill_conditioned, self._kink_width = is_ill_conditioned, kink_width
        self.squares = None if gram is None else _squares(gram, scaling, self._fixed)
        # The rows have been read for it once; that is told with the first answer.
        self._n_unread = gram.n_rows if gram else 0
        self._on_not_finite = on_not_finite
        shift = scaling.mean if scaling.is_shifted else None
        self._kernel = Kernel(rows, loss, scaling.n_outputs, shift)
        # What rides in the message: a digest of u, votes, each rank's compute seconds.
        self._extra = np.zeros(1 + n_votes + world.size)
        self._columns: ColumnPlan | None = None
        if is_by_column(rows):
            is_used = (scaling.mean_squares > 0) | (scaling.mean != 0)
            self._columns = ColumnPlan(is_used, scaling.n_outputs)
        self._messages = Messages(
            world,
            rows.grid,
            self._kernel,
            reduction,
            self._extra.size,
            self._columns,
            lambda n_workers: self._crew(n_workers).n_slots,
        )
        self._chunking = Chunking(rows, seed)
        self._assembly = Assembly(scaling, penalty, self._fixed)
        # Sums so long that those of all tiles at once would leave the cache, or fill the memory.
        self._is_wide = self._kernel.width >= _WIDE
        n_rows = 0 if self._is_wide else rows.n_tiles
        self._partials = np.empty((n_rows, self._kernel.width))
        self._n_answers = 0
        self._workers: dict[int, Workers] = {}

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
            # A sample of the rows bounds nothing.
            max_curvature=math.inf
            if scaling.is_rough
            else curvature * float(squares.sum()) + penalty.curvature(),
            n_batches=lambda size: BatchPlan(self._rows.grid, size).n_batches,
            rest=None if penalty.is_smooth else PenaltyRest(penalty, scaling.n_outputs),
            coordinate_curvature=self._coordinate_curvature,
            has_kinks=not self._loss.is_smooth,
            kink_width=self._kink_width,
            n_outputs=scaling.n_outputs,
            has_closed_form=self._loss == Squared() and penalty.is_smooth,
            is_ill_conditioned=self._is_ill_conditioned,
            has_moments=self.squares is not None,
            n_rows=self._rows.grid.n_samples,
            tile_rows=self._rows.grid.tile_rows,
            row_numbers=self._rows.grid.row_numbers,
        )

    def _coordinate_curvature(self) -> float:
        """Return what `Problem.coordinate_curvature` says."""
        scaling, k = self._scaling, self._scaling.n_outputs
        diagonal = self._loss.usual_curvature * np.repeat(scaling.mean_squares, k)
        diagonal += self._penalty.hessian_diagonal()
        bent = diagonal[diagonal > 0]
        if not bent.size:
            return self._loss.usual_curvature
        return float(np.sqrt(bent.max() * np.quantile(bent, 0.25)))

    @property
    def rounding(self) -> float:
        """Return the largest error of a gradient, as `stop.tol` counts, from float32 messages.

        In these coordinates columns have a root mean square of about 1, so that the ranks' sums of
        one, without their signs, add up to the root mean square of dloss/dz at most.
        """
        return self._messages.rounding

    def answer(self, question: Question, votes: Floats | None = None) -> Reply:
        """Answer with one Allreduce; collective, the same question and answer on all ranks.

        Raises OutOfStep when the ranks do not ask the same.
        """
        began = time.perf_counter_ns()
        self._n_answers += 1
        pulse.doing("computing gradient", self._n_answers)
        if question.moments and self.squares is not None:
            return self._from_moments(question.u, self.squares, votes, began)
        self._kernel.loss = (
            self._loss.smoothed(question.smoothing) if question.smoothing else self._loss
        )
        tile_sum = self._messages.of(question)
        chunks = self._chunking.of(question)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if isinstance(tile_sum, ColumnSum):
                sums, extra, digest, computed = self._by_column(
                    question, chunks, votes, tile_sum, began
                )
            elif question.hessian or self._is_wide:
                sums, extra, digest, computed = self._streamed(
                    question, chunks, votes, tile_sum, began
                )
            else:
                partials = self._local_sums(question, chunks)
                extra, digest = self._fill_extra(question, votes)
                computed = time.perf_counter_ns()
                extra[1 + self._n_votes + self._world.rank] = computed - began
                pulse.waiting()
                sums = tile_sum.sum(partials, extra)
            pulse.done()
            reduced = time.perf_counter_ns()
            self._require_step(extra[0], digest)
            gradient_sums = sums[: self._kernel.width]
            if self._on_not_finite and not np.isfinite(gradient_sums).all():
                look, self._on_not_finite = self._on_not_finite, None
                look()
            if not question.hessian and question.control is None:
                # All terms grow with the loss's derivatives; a change comes and goes in size.
                tile_sum.follow(float(gradient_sums[RESIDUAL]) * chunks.factor)
            if question.along is None:
                answer = self._assembly.answer(question, gradient_sums, sums[self._kernel.width :])
            else:
                answer = self._assembly.product(question.along, gradient_sums)
            answer = self._assembly.with_control(question, answer)
        if question.optimum:
            answer = dataclasses.replace(answer, optimum=self._optimum())
        usual, n_rows = self._extra.size, int(gradient_sums[COUNT])
        if question.work:
            local = self._crew(question.work.n_workers).read(extra[usual:])
            answer = dataclasses.replace(answer, local=local)
            n_rows += local.n_rows
        return Reply(
            answer=answer,
            votes=extra[1 : 1 + self._n_votes].copy(),
            compute=extra[1 + self._n_votes : usual] * 1e-9,
            n_rows=n_rows,
            reduce_seconds=(reduced - computed) * 1e-9,
        )

    def _from_moments(self, u: Floats, squares: Squares, votes: Floats | None, began: int) -> Reply:
        """Answer from the second moments; the message has what rides along, and nothing else."""
        answer = self._assembly.from_moments(u, squares)
        extra, digest = self._fill_extra(Question(u), votes)
        computed = time.perf_counter_ns()
        extra[1 + self._n_votes + self._world.rank] = computed - began
        pulse.waiting()
        self._world.allreduce_sum(extra)
        pulse.done()
        reduced = time.perf_counter_ns()
        self._require_step(extra[0], digest)
        n_rows, self._n_unread = self._n_unread, 0
        return Reply(
            answer=answer,
            votes=extra[1 : 1 + self._n_votes].copy(),
            compute=extra[1 + self._n_votes :] * 1e-9,
            n_rows=n_rows,
            reduce_seconds=(reduced - computed) * 1e-9,
        )

    def gram(self, u: Floats, curvature: Curvature, sample: Sample | None = None) -> Floats:
        """Return sum_i h_i x_i x_i' over all ranks' rows, x in the solver's coordinates, at u.

        (n_params, n_params), not divided by the weights; `curvature` gives h. Collective.
        """
        usual = self._kernel.curvature
        self._kernel.curvature, self._kernel.loss = curvature, self._loss
        question = Question(u, hessian=True, sample=sample)
        tile_sum = self._messages.hessian_sum()
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                sums, *_ = self._streamed(question, self._chunking.of(question), None, tile_sum, 0)
        finally:
            self._kernel.curvature = usual
            pulse.done()
        return self._scaling.hessian(sums[self._kernel.width :])

    def transposed(self, r: Floats) -> Floats:
        """Return the mean of r_i x_i over all ranks' rows, (n_params,), for a number a local row.

        x in the solver's coordinates; 0 for parameters that are held. `r` is (n_rows,), or
        (n_rows, K); collective.
        """
        partials = np.empty((self._rows.n_tiles, self._kernel.width))
        times = self._kernel.given(r)
        for (start, stop), sums in zip(self._rows.tiles(), partials, strict=True):
            self._kernel.rows(start, stop, times, sums)
        n_tiles, width = self._rows.grid.n_tiles, self._kernel.width
        return self._assembly.mean(TileSum(self._world, n_tiles, width).sum(partials))

    def beside(self, u: Floats) -> Answer:
        """Answer about a point that is not the training's, and leave no trace in its state."""
        kept = {name: exponents.copy() for name, exponents in self.exponents().items()}
        try:
            return self.answer(Question(u)).answer
        finally:
            self.set_exponents(kept)

    @property
    def weight(self) -> float:
        """Return the sum of all rows' weights."""
        return self._scaling.weight

    def predictor(self, u: Floats) -> Floats:
        """Return z of all local rows, offset included: (n_rows,) or (n_rows, K)."""
        return self._kernel.predictor(*self._scaling.to_kernel(u))

    def scores(self, u: Floats) -> Iterator[tuple[int, Floats]]:
        """Yield the weighted gradient of each local row's loss at u, block by block.

        Each is the first local row and (n, n_params), in the solver's coordinates.
        """
        w, b = self._scaling.to_kernel(u)
        for first, dense, r in self._kernel.scores(w, b, self._loss):
            yield first, self._scaling.scores(dense, r)

    def exponents(self) -> dict[str, NDArray[np.int64]]:
        """Return the exact sums' exponents, which are part of the training's state."""
        return self._messages.exponents()

    def set_exponents(self, exponents: dict[str, NDArray[np.int64]]) -> None:
        """Take the exponents from a checkpoint."""
        self._messages.set_exponents(exponents)

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

    def _crew(self, n_workers: int) -> Workers:
        """Return the workers whose rows are here, each with an objective of its own."""
        if n_workers not in self._workers:

            def objective_of(rows: Rows, worker: int) -> Objective:
                return Objective(
                    SerialWorld(),
                    rows,
                    self._loss,
                    self._penalty,
                    self._scaling,
                    reduction="fast",
                    seed=seed_of(self._seed, worker),
                    free=None if self._fixed is None else ~self._fixed,
                    is_ill_conditioned=self._is_ill_conditioned,
                    kink_width=self._kink_width,
                )

            crew = Workers(self._rows, n_workers, self.n_params, objective_of)
            self._workers[n_workers] = crew
        return self._workers[n_workers]

    def _local_sums(self, question: Question, chunks: Chunks) -> Floats:
        """Return the sums over this rank's tiles, or over its chunks of a sample or batch."""
        room = self._partials
        if len(chunks.places) > len(room):
            room = np.empty((len(chunks.places), self._kernel.width))
        partials = room[: len(chunks.places)]
        residual = self._residual(question)
        self._kernel.expect(chunks.places)
        for (start, stop), sums in zip(chunks.places, partials, strict=True):
            self._kernel.rows(start, stop, residual, sums)
        return partials

    def _residual(self, question: Question) -> Residual:
        """Return what X' is multiplied by for such a question."""
        here = self._scaling.to_kernel(question.u)
        if question.control is not None:
            return self._kernel.change(here, self._scaling.to_kernel(question.control))
        if question.along is None:
            return self._kernel.gradient_at(here)
        along = question.along
        if self._fixed is not None:
            along = np.where(self._fixed, 0.0, along)
        return self._kernel.product(here, self._scaling.to_kernel(along))

    def _by_column(
        self,
        question: Question,
        chunks: Chunks,
        votes: Floats | None,
        column_sum: ColumnSum,
        began: int,
    ) -> tuple[Floats, Floats, int, int]:
        """Sum the gradient of sparse rows column by column; return what `_streamed` does."""
        rest = np.empty((len(chunks.places), self._scaling.n_outputs + N_SUMS))
        r = self._kernel.residuals(chunks.places, self._residual(question), rest)
        extra, digest = self._fill_extra(question, votes)
        computed = began

        def when_made() -> None:
            nonlocal computed
            computed = time.perf_counter_ns()
            extra[1 + self._n_votes + self._world.rank] = computed - began
            pulse.waiting()

        # Where there is such a sum, there is its plan.
        plan = cast(ColumnPlan, self._columns)
        terms = plan.terms(self._rows.x.by_columns(chunks.places), lambda chunk: chunk.times(r))
        sums = column_sum.sum(terms, rest, extra, when_made)
        return plan.expanded(sums), extra, digest, computed

    def _streamed(
        self,
        question: Question,
        chunks: Chunks,
        votes: Floats | None,
        tile_sum: TileSum,
        began: int,
    ) -> tuple[Floats, Floats, int, int]:
        """Sum gradient and Hessian, tile by tile: Hessians of all tiles would fill the memory.

        Return the sums, what rode along, the digest of u, and when the computing was done.
        """
        residual = self._residual(question)
        terms = np.empty(self._messages.width(question))
        extra, digest = self._fill_extra(question, votes)
        place = 1 + self._n_votes + self._world.rank
        computed = began

        def tiles() -> Iterator[Floats]:
            nonlocal computed
            pulse.doing("computing gradient", self._n_answers)
            self._kernel.expect(chunks.places)
            for start, stop in chunks.places:
                self._kernel.rows(start, stop, residual, terms)
                yield terms
            computed = time.perf_counter_ns()
            extra[place] = computed - began
            pulse.waiting()

        def pilot() -> Floats:
            terms[:] = 0.0
            if chunks.has_first:
                self._kernel.rows(*chunks.places[0], residual, terms)
            pulse.waiting()
            return terms

        return tile_sum.sum_stream(tiles, pilot, extra), extra, digest, computed

    def _fill_extra(self, question: Question, votes: Floats | None) -> tuple[Floats, int]:
        """Return what rides in the message, all but the seconds, and the digest of u.

        What the workers of this rank have done follows the usual numbers.
        """
        digest = zlib.crc32(question.u.data)
        extra = self._extra
        if question.work:
            done = self._crew(question.work.n_workers).do(question.work)
            extra = np.append(extra, done)
        extra[: self._extra.size] = 0.0
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


def _squares(gram: Gram, scaling: Scaling, fixed: NDArray[np.bool_] | None) -> Squares:
    """Return the squared loss in the solver's coordinates."""
    squares = gram.squares(scaling, has_intercept=fixed is None or not fixed[-1])
    return squares if fixed is None else squares.held(fixed)
