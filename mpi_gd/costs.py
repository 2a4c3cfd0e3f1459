"""What an iteration costs on a cluster: from measured rates to seconds on any number of ranks.

With P = N nodes x r ranks, n rows of k numbers, and a message of m bytes, an iteration takes

    read      passes n (k number_seconds + row_seconds) / P, times slowdown(r)
    Hessian   n d^2 pair_seconds / P, for the solvers that ask for it
    wait      for the slowest of P: jitter sqrt(2 log P) of the above, the maximum of P normals
    algebra   of the solver, on every rank alike: vectors of d numbers, Cholesky's d^3 / 3
    messages  rounds (link(r, m) + network(N, m) + question_seconds)

where link(p, m) = latency ceil(log2 p) + 2 (p - 1) / p m / bandwidth: the terms of Rabenseifner's
Allreduce ("Optimization of Collective Reduction Operations", ICCS 2004, section 3). slowdown(r) is
how much longer a rank takes beside r - 1 others of its node than alone: they share the memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "SOLVER_COSTS",
    "Forecast",
    "Link",
    "Rates",
    "SolverCost",
    "Work",
    "fit_link",
    "forecast",
]

_NUMBER_BYTES = 8
_LIMBS = 2
# Numbers that travel beside the sums: loss, counts, votes, digest.
_BESIDE = 8


@dataclass(frozen=True)
class Link:
    """What an Allreduce costs, between ranks of a node or between nodes."""

    latency: float
    """Seconds of a step."""
    byte_seconds: float
    """Seconds a byte takes."""

    def seconds(self, size: int, n_bytes: float) -> float:
        """Return the seconds of an Allreduce among `size`."""
        if size < 2:
            return 0.0
        steps = math.ceil(math.log2(size))
        return self.latency * steps + 2.0 * (size - 1) / size * n_bytes * self.byte_seconds


def fit_link(size: int, n_bytes: Sequence[float], seconds: Sequence[float]) -> Link:
    """Return the link of least squared relative error, from Allreduces among `size`, 2 or more.

    Each measurement counts alike, of 8 bytes or 8 MiB; neither term is negative.
    """
    steps, share = math.ceil(math.log2(size)), 2.0 * (size - 1) / size
    # t = a steps + b share m, divided by t: rows (steps / t, share m / t), right side 1.
    rows = [(steps / t, share * m / t) for m, t in zip(n_bytes, seconds, strict=True)]
    aa, ab, bb = (sum(p[i] * p[j] for p in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    a1, b1 = (sum(p[i] for p in rows) for i in (0, 1))
    det = aa * bb - ab * ab
    a, b = (a1 * bb - b1 * ab) / det, (b1 * aa - a1 * ab) / det
    if a < 0:
        return Link(0.0, b1 / bb)
    return Link(a, b) if b >= 0 else Link(a1 / aa, 0.0)


@dataclass(frozen=True)
class Rates:
    """What one rank does in what time; measured by `bench --out`."""

    number_seconds: float
    """Of a gradient, a number of X."""
    row_seconds: float
    """Of a gradient, a row: the loss and its derivative."""
    pair_seconds: float
    """Of a Hessian, a row's product of two numbers."""
    question_seconds: float
    """Of a question and its answer, beside arithmetic and message."""
    vector_seconds: float
    """Of the solver's algebra, a number of a vector that is read or written."""
    flop_seconds: float
    """Of Cholesky's factorization, an operation."""
    jitter: float
    """Deviation of a rank's time for the same work, as a share of it."""
    slowdown: float
    """A rank's time beside all others of its node, as a multiple of that alone."""
    ranks_per_node: int
    """How many those were."""
    cores: int
    """Of a node: more ranks take turns."""

    def slowed(self, ranks: int) -> float:
        """Return the slowdown of `ranks` on a node: along the line from 1 rank to the measured."""
        each = 0.0
        if self.ranks_per_node > 1:
            each = (self.slowdown - 1.0) / (self.ranks_per_node - 1)
        at_once = min(ranks, self.cores)
        return (1.0 + each * (at_once - 1)) * max(1.0, ranks / self.cores)


@dataclass(frozen=True)
class Work:
    """The rows: how many, how wide, with how many numbers each, and for how many outputs."""

    n_rows: float
    n_columns: int
    n_stored: float = 0.0
    """Numbers of a sparse row; 0 if all are stored."""
    n_outputs: int = 1

    @property
    def n_numbers(self) -> float:
        """Return the numbers of a row."""
        return self.n_stored or self.n_columns


@dataclass(frozen=True)
class SolverCost:
    """What an iteration of a solver asks for."""

    passes: float
    """Over the rows."""
    rounds: float
    """Messages with a gradient."""
    vectors: float
    """Vectors of all parameters that its algebra reads or writes."""
    hessians: float = 0.0
    """Passes and messages with a Hessian, whose matrix is then factored."""


# L-BFGS: ten pairs, each read twice in both loops; a trial beside step 1 now and then. FISTA: a
# gradient at the point with momentum, another at the next iterate. Newton-CG: ten products with the
# Hessian. SGD: a pass is 64 batches. Progressive: a whole fit of 9 passes and 40 messages.
SOLVER_COSTS = {
    "gd": SolverCost(1.0, 1.0, 4.0),
    "lbfgs": SolverCost(1.05, 1.05, 50.0),
    "fista": SolverCost(2.0, 2.0, 20.0),
    "newton": SolverCost(1.0, 1.0, 4.0, hessians=1.0),
    "newton-cg": SolverCost(11.0, 11.0, 80.0),
    "sgd": SolverCost(1.0, 64.0, 64.0 * 4.0),
    "fit of progressive": SolverCost(9.0, 40.0, 40.0 * 50.0, hessians=0.1),
}


@dataclass(frozen=True)
class Forecast:
    """Seconds of an iteration, by what takes them."""

    read: float
    hessian: float
    wait: float
    algebra: float
    messages: float

    @property
    def total(self) -> float:
        """Return the seconds of all."""
        return self.read + self.hessian + self.wait + self.algebra + self.messages


def forecast(
    rates: Rates,
    node: Link,
    network: Link,
    work: Work,
    solver: SolverCost,
    n_nodes: int,
    ranks: int,
) -> Forecast:
    """Return the seconds of an iteration on `n_nodes` with `ranks` each."""
    size = n_nodes * ranks
    n_params = (work.n_columns + 1) * work.n_outputs
    of_row = work.n_numbers * work.n_outputs * rates.number_seconds
    of_row += work.n_outputs * rates.row_seconds
    share = work.n_rows / size * rates.slowed(ranks)
    read = solver.passes * share * of_row
    hessian = solver.hessians * share * rates.pair_seconds * n_params**2 / 2.0
    wait = rates.jitter * math.sqrt(2.0 * math.log(size)) * (read + hessian)
    algebra = solver.vectors * n_params * rates.vector_seconds * rates.slowed(ranks)
    if solver.hessians:
        algebra += math.ceil(solver.hessians) * n_params**3 / 3.0 * rates.flop_seconds
    small = (n_params + _BESIDE) * _LIMBS * _NUMBER_BYTES + size * _NUMBER_BYTES
    large = n_params * (n_params + 1) // 2 * _LIMBS * _NUMBER_BYTES

    def message(n_bytes: float) -> float:
        each = node.seconds(ranks, n_bytes) + network.seconds(n_nodes, n_bytes)
        return each + rates.question_seconds

    messages = solver.rounds * message(small)
    messages += solver.hessians * message(large)
    return Forecast(read, hessian, wait, algebra, messages)
