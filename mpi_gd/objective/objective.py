"""A solver's questions, answered: local sums, one Allreduce, loss and penalty put together."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd import pulse
from mpi_gd.comm import Reduction, TileSum, World
from mpi_gd.errors import OutOfStep
from mpi_gd.losses import Loss
from mpi_gd.objective.kernel import LOSS, RESIDUAL, WEIGHT, Kernel
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.objective.sample import BatchPlan, BatchRows
from mpi_gd.objective.scaling import Scaling
from mpi_gd.penalties import Penalty
from mpi_gd.solvers import Answer, Problem, Question

__all__ = ["Objective", "Reply"]


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
        penalty: Penalty,
        scaling: Scaling,
        *,
        reduction: Reduction = "exact",
        seed: int = 0,
        n_votes: int = 0,
    ) -> None:
        """Plan kernel and message; nothing is computed or sent."""
        self._world, self._rows, self._seed = world, rows, seed
        self._loss, self._penalty, self._scaling = loss, penalty, scaling
        self._reduction, self._n_votes = reduction, n_votes
        self._kernel = Kernel(rows, loss, scaling.mean if scaling.is_shifted else None)
        # What rides in the message: a digest of u, votes, each rank's compute seconds.
        self._extra = np.zeros(1 + n_votes + world.size)
        self._sums: dict[int, TileSum] = {0: self._tile_sum(rows.grid.n_tiles)}
        self._partials = np.empty((rows.n_tiles, self._kernel.width))
        self._n_answers = 0
        self._batches: dict[int, BatchRows] = {}

    @property
    def problem(self) -> Problem:
        """Return what a solver may know beforehand."""
        scaling, penalty = self._scaling, self._penalty
        # The trace of X'X / n bounds its eigenvalues; the intercept's column of ones adds 1.
        squares = np.append(scaling.mean_squares, 1.0)
        return Problem(
            n_params=len(squares),
            mean_curvature=self._loss.curvature * float(squares.mean()),
            max_curvature=self._loss.curvature * float(squares.sum())
            + penalty.curvature(scaling.penalty_factor),
            n_batches=lambda size: BatchPlan(self._rows.grid, size).n_batches,
        )

    def answer(self, question: Question, votes: Floats | None = None) -> Reply:
        """Answer with one Allreduce; collective, the same question and answer on all ranks.

        Raises OutOfStep when the ranks do not ask the same.
        """
        began = time.perf_counter_ns()
        self._n_answers += 1
        pulse.doing("computing gradient", self._n_answers)
        size = question.batch.size if question.batch else 0
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            partials = self._local_sums(question)
            extra, digest = self._fill_extra(question.u, votes)
            computed = time.perf_counter_ns()
            extra[1 + self._n_votes + self._world.rank] = computed - began
            pulse.waiting()
            sums = self._sums[size].sum(partials, extra)
            pulse.done()
            reduced = time.perf_counter_ns()
            self._require_step(extra[0], digest)
            # All terms grow with the loss's derivatives.
            self._sums[size].follow(float(sums[RESIDUAL]))
            answer = self._assemble(question.u, sums)
        return Reply(
            answer=answer,
            votes=extra[1 : 1 + self._n_votes].copy(),
            compute=extra[1 + self._n_votes :] * 1e-9,
            n_rows=int(sums[WEIGHT]),
            reduce_seconds=(reduced - computed) * 1e-9,
        )

    def exponents(self) -> dict[str, NDArray[np.int64]]:
        """Return the exact sums' exponents, which are part of the training's state."""
        return {str(size): tile_sum.exponents for size, tile_sum in self._sums.items()}

    def set_exponents(self, exponents: dict[str, NDArray[np.int64]]) -> None:
        """Take the exponents from a checkpoint."""
        for size, values in exponents.items():
            self._plan_batches(int(size))
            self._sums[int(size)].set_exponents(values)

    def _tile_sum(self, n_terms: int) -> TileSum:
        """Plan a message for sums of `n_terms` rows of partial sums."""
        width = self._kernel.width
        return TileSum(self._world, n_terms, width, self._reduction, self._extra.size)

    def _plan_batches(self, size: int) -> None:
        """Make what batches of this size need."""
        if size in self._sums:
            return
        plan = BatchPlan(self._rows.grid, size)
        rows = self._rows
        self._batches[size] = BatchRows(plan, self._seed, rows.first_tile, rows.last_tile)
        self._sums[size] = self._tile_sum(plan.n_lanes)

    def _local_sums(self, question: Question) -> Floats:
        """Return the sums over this rank's tiles, or over its chunks of a batch."""
        w, b = self._scaling.to_kernel(question.u)
        if question.batch is None:
            self._kernel.tiles(w, b, self._partials)
            return self._partials
        self._plan_batches(question.batch.size)
        chunks = self._batches[question.batch.size].of(question.batch.number)
        partials = np.empty((len(chunks), self._kernel.width))
        for (start, stop), sums in zip(chunks, partials, strict=True):
            self._kernel.rows(start, stop, w, b, sums)
        return partials

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

    def _assemble(self, u: Floats, sums: Floats) -> Answer:
        """Return value and gradient in the solver's coordinates."""
        weight = float(sums[WEIGHT]) or 1.0
        factor = self._scaling.penalty_factor
        gradient = self._scaling.gradient(sums)
        gradient /= weight
        self._penalty.add_gradient(u[:-1], factor, gradient[:-1])
        value = float(sums[LOSS]) / weight + self._penalty.value(u[:-1], factor)
        return Answer(value, gradient, float(np.sqrt(sums[RESIDUAL] / weight)))
