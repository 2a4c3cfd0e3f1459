"""A solver's questions, answered: local sums, one Allreduce, loss and penalty put together."""

from __future__ import annotations

import dataclasses
import re
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd import pulse
from mpi_gd.comm import Reduction, SerialWorld, TileSum, World
from mpi_gd.errors import OutOfStep
from mpi_gd.losses import Loss, Squared
from mpi_gd.objective.elimination import Elimination, eliminate
from mpi_gd.objective.gram import Gram, Squares
from mpi_gd.objective.kernel import COUNT, LOSS, RESIDUAL, WEIGHT, Curvature, Kernel
from mpi_gd.objective.moments import second_moments
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.objective.sample import BatchPlan, BatchRows, sampled_rows
from mpi_gd.objective.scaling import Scaling
from mpi_gd.objective.workers import Workers, seed_of
from mpi_gd.penalties import Bound
from mpi_gd.solvers import Answer, Problem, Question, Sample

__all__ = ["Objective", "Reply"]

# The questions' sums are told apart by the batch's size, 0 for tiles, and this much more where the
# Hessian, or its factors, are asked for too, its product alone, the change from another point, or
# what so many workers do. A tile's sums are as large in a sample.
_HESSIAN_KEY, _FACTORS_KEY, _PRODUCT_KEY, _CHANGE_KEY, _WORK_KEY = "h", "k", "v", "d", "w"
# A change is small where the points are near each other, as at first, and grows from there.
_CHANGE_SPARE_BITS = 24
_KEY = re.compile(r"(\d+)([a-z]?)(\d*)")
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
        self._reduction, self._n_votes = reduction, n_votes
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
        self._sums: dict[str, TileSum] = {"0": self._tile_sum(rows.grid.n_tiles)}
        # Sums so long that those of all tiles at once would leave the cache, or fill the memory.
        self._is_wide = self._kernel.width >= _WIDE
        n_rows = 0 if self._is_wide else rows.n_tiles
        self._partials = np.empty((n_rows, self._kernel.width))
        self._n_answers = 0
        self._batches: dict[int, BatchRows] = {}
        self._workers: dict[int, Workers] = {}
        self._samples: dict[Sample, _Chunks] = {}
        self._all = _Chunks(list(rows.tiles()), rows.first_tile == 0 and rows.n_tiles > 0, 1.0)

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
            has_moments=self.squares is not None,
            n_rows=self._rows.grid.n_samples,
            tile_rows=self._rows.grid.tile_rows,
            row_numbers=self._rows.grid.row_numbers,
        )

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
        tile_sum = self._plan(_key(question))
        chunks = self._chunks(question)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if question.hessian or self._is_wide:
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
                answer = self._assemble(question, gradient_sums, sums[self._kernel.width :])
            else:
                answer = self._assemble_product(question.along, gradient_sums)
            answer = self._with_control(question, answer)
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
        value, gradient = squares.at(u)
        value_error, errors = squares.errors(u)
        residual = float(np.sqrt(2.0 * value))
        d = len(u) - 1
        self._penalty.add_gradient(u[:d], gradient[:d])
        hessian = squares.hessian.copy()
        np.einsum("ii->i", hessian)[:d] += self._penalty.hessian_diagonal()
        if self._fixed is not None:
            gradient[self._fixed] = errors[self._fixed] = 0.0
            hessian[self._fixed] = 0.0
            hessian[:, self._fixed] = 0.0
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
            answer=Answer(
                value + self._penalty.value(u[:d]),
                gradient,
                residual,
                hessian,
                error=float(errors.max()),
                value_error=value_error,
            ),
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
        tile_sum = self._tile_sum(self._rows.grid.n_tiles, _HESSIAN_KEY)
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                sums, *_ = self._streamed(question, self._chunks(question), None, tile_sum, 0)
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
            self._plan(key).set_exponents(values)

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

    def _width(self, kind: str) -> int:
        """Return how many sums answer a question of a kind."""
        kernel = self._kernel
        more = {_HESSIAN_KEY: kernel.hessian_width, _FACTORS_KEY: kernel.factors_width}
        return kernel.width + more.get(kind, 0)

    def _tile_sum(self, n_terms: int, kind: str = "", n_slots: int = 0) -> TileSum:
        """Plan a message for sums of `n_terms` rows of partial sums, and for the workers' slots."""
        width = self._width(kind)
        extra = self._extra.size + n_slots
        if kind == _CHANGE_KEY:
            return TileSum(
                self._world, n_terms, width, self._reduction, extra, spare_bits=_CHANGE_SPARE_BITS
            )
        return TileSum(self._world, n_terms, width, self._reduction, extra)

    def _plan(self, key: str) -> TileSum:
        """Make what such questions need, if it is not there; return their message."""
        if key in self._sums:
            return self._sums[key]
        parts = _KEY.fullmatch(key)
        if parts is None:
            raise ValueError(f"got the sum {key!r}, expected one of this objective's")
        size, n_workers = int(parts[1]), int(parts[3] or 0)
        n_terms = self._rows.grid.n_tiles
        if size:
            plan = BatchPlan(self._rows.grid, size)
            rows = self._rows
            self._batches[size] = BatchRows(plan, self._seed, rows.first_tile, rows.last_tile)
            n_terms = plan.n_lanes
        n_slots = self._crew(n_workers).n_slots if n_workers else 0
        self._sums[key] = self._tile_sum(n_terms, parts[2], n_slots)
        return self._sums[key]

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

    def _chunks(self, question: Question) -> _Chunks:
        """Return the local rows of each term of a sum: tiles, their beginnings, or of a batch."""
        if question.batch:
            return _Chunks(self._batches[question.batch.size].of(question.batch.number), False, 1.0)
        if question.sample is None:
            return self._all
        found = self._samples.get(question.sample)
        if found is None:
            found = self._samples[question.sample] = self._sampled(question.sample)
        return found

    def _sampled(self, sample: Sample) -> _Chunks:
        """Return the local rows of a sample of tiles."""
        grid, first, last = self._rows.grid, self._rows.first_tile, self._rows.last_tile
        offset = first * grid.tile_rows
        rows = sampled_rows(grid, sample.stride, sample.rows, self._seed)
        own = [(i - offset, j - offset) for tile, i, j in rows if first <= tile < last]
        return _Chunks(own, first <= rows[0][0] < last, grid.n_tiles / len(rows))

    def _local_sums(self, question: Question, chunks: _Chunks) -> Floats:
        """Return the sums over this rank's tiles, or over its chunks of a sample or batch."""
        room = self._partials
        if len(chunks.places) > len(room):
            room = np.empty((len(chunks.places), self._kernel.width))
        partials = room[: len(chunks.places)]
        compute = self._computing(question)
        for (start, stop), sums in zip(chunks.places, partials, strict=True):
            compute(start, stop, sums)
        return partials

    def _computing(self, question: Question) -> Callable[[int, int, Floats], None]:
        """Return what puts the sums over local rows [start, stop) into an array."""
        kernel = self._kernel
        w, b = self._scaling.to_kernel(question.u)
        if question.control is not None:
            there = self._scaling.to_kernel(question.control)
            return lambda start, stop, sums: kernel.changes(start, stop, (w, b), there, sums)
        if question.along is None:
            return lambda start, stop, sums: kernel.rows(start, stop, w, b, sums)
        kernel.stand_at(w, b)
        along = question.along
        if self._fixed is not None:
            along = np.where(self._fixed, 0.0, along)
        v, c = self._scaling.to_kernel(along)
        return lambda start, stop, sums: kernel.products(start, stop, v, c, sums)

    def _streamed(
        self,
        question: Question,
        chunks: _Chunks,
        votes: Floats | None,
        tile_sum: TileSum,
        began: int,
    ) -> tuple[Floats, Floats, int, int]:
        """Sum gradient and Hessian, tile by tile: Hessians of all tiles would fill the memory.

        Return the sums, what rode along, the digest of u, and when the computing was done.
        """
        compute = self._computing(question)
        terms = np.empty(self._width(_kind(question)))
        extra, digest = self._fill_extra(question, votes)
        place = 1 + self._n_votes + self._world.rank
        computed = began

        def tiles() -> Iterator[Floats]:
            nonlocal computed
            for start, stop in chunks.places:
                compute(start, stop, terms)
                yield terms
            computed = time.perf_counter_ns()
            extra[place] = computed - began
            pulse.waiting()

        def pilot() -> Floats:
            terms[:] = 0.0
            if chunks.has_first:
                compute(*chunks.places[0], terms)
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

    def _assemble(self, question: Question, sums: Floats, hessian_sums: Floats) -> Answer:
        """Return the smooth part's value, gradient and Hessian in the solver's coordinates."""
        weight = float(sums[WEIGHT]) or 1.0
        coef = question.u[: -self._scaling.n_outputs]
        gradient = self._scaling.gradient(sums)
        gradient /= weight
        self._penalty.add_gradient(coef, gradient[: len(coef)])
        value = float(sums[LOSS]) / weight + self._penalty.value(coef)
        if self._fixed is not None:
            gradient[self._fixed] = 0.0
        answer = Answer(value, gradient, float(np.sqrt(sums[RESIDUAL] / weight)))
        if not question.hessian:
            return answer
        if question.kronecker:
            factor, coupling = self._factors(hessian_sums / weight)
            return dataclasses.replace(answer, hessian=factor, coupling=coupling)
        hessian = self._scaling.hessian(hessian_sums)
        hessian /= weight
        self._bend(hessian, self._penalty.hessian_diagonal(), self._fixed)
        return dataclasses.replace(answer, hessian=hessian)

    def _factors(self, means: Floats) -> tuple[Floats, Floats]:
        """Return the Kronecker factors of the Hessian."""
        n_outputs = self._scaling.n_outputs
        single = dataclasses.replace(self._scaling, n_outputs=1)
        coupling = means[-(n_outputs**2) :].reshape(n_outputs, n_outputs)
        hessian = single.hessian(means[: -(n_outputs**2)])
        fixed = None if self._fixed is None else self._fixed[::n_outputs]
        # All outputs of a column are penalized alike, and of the first factor has the penalty too.
        self._bend(hessian, self._penalty.hessian_diagonal()[::n_outputs], fixed)
        # The first factor's h is the mean of the outputs' own, so the second one's mean is 1.
        return hessian, coupling / (float(np.trace(coupling)) / n_outputs or 1.0)

    @staticmethod
    def _bend(hessian: Floats, penalty: Floats, fixed: NDArray[np.bool_] | None) -> None:
        """Add a penalty's Hessian, and leave out what is held."""
        diagonal = hessian.reshape(-1)[:: len(hessian) + 1]
        diagonal[: len(penalty)] += penalty
        if fixed is not None:
            hessian[fixed] = 0.0
            hessian[:, fixed] = 0.0

    def _assemble_product(self, along: Floats, sums: Floats) -> Answer:
        """Return the smooth part's Hessian times `along`."""
        k = -self._scaling.n_outputs
        product = self._scaling.gradient(sums)
        product /= float(sums[WEIGHT]) or 1.0
        product[:k] += self._penalty.hessian_diagonal() * along[:k]
        if self._fixed is not None:
            product[self._fixed] = 0.0
        return Answer(np.nan, np.empty(0), np.nan, product=product)

    def _with_control(self, question: Question, answer: Answer) -> Answer:
        """Take the penalty's gradient at the other point off, where there is one."""
        if question.control is None:
            return answer
        other = np.zeros_like(answer.gradient)
        k = -self._scaling.n_outputs
        self._penalty.add_gradient(question.control[:k], other[:k])
        if self._fixed is not None:
            other[self._fixed] = 0.0
        return dataclasses.replace(answer, gradient=answer.gradient - other)


def _kind(question: Question) -> str:
    """Return what tells the sums of such a question from those of others about the same rows."""
    if question.work:
        return _WORK_KEY
    if question.control is not None:
        return _CHANGE_KEY
    if question.along is not None:
        return _PRODUCT_KEY
    if question.hessian:
        return _FACTORS_KEY if question.kronecker else _HESSIAN_KEY
    return ""


def _key(question: Question) -> str:
    """Return the name of the sums that answer such a question."""
    size = question.batch.size if question.batch else 0
    return f"{size}{_kind(question)}{question.work.n_workers if question.work else ''}"


def _squares(gram: Gram, scaling: Scaling, fixed: NDArray[np.bool_] | None) -> Squares:
    """Return the squared loss in the solver's coordinates."""
    squares = gram.squares(scaling, has_intercept=fixed is None or not fixed[-1])
    return squares if fixed is None else squares.held(fixed)


@dataclass(frozen=True)
class _Chunks:
    """The local rows of each term of a sum."""

    places: list[tuple[int, int]]
    has_first: bool
    """Whether the first of them is the first of all ranks'."""
    factor: float
    """How many times larger a sum over all tiles is, about."""


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
