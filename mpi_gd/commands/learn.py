"""Learn together how columns become features: every rank looks at its own rows.

What is sent are the levels, each to one rank and then from there to all, so that a rank gets each
of them about once; whole numbers, added up; and two numbers of bisection a round for each quantile.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.data.table import TableBlock, TableSource
from mpi_gd.prepare.conclude import Known, bounds_of, conclude
from mpi_gd.prepare.exactsum import mean_of_limbs
from mpi_gd.prepare.learner import N_COUNTS, Learner, Level, require_few
from mpi_gd.prepare.plan import Plan, make_plan
from mpi_gd.prepare.quantiles import Bisection, quantile, ranks_of
from mpi_gd.prepare.recipe import Recipe
from mpi_gd.prepare.source import pieces
from mpi_gd.prepare.spec import PrepareSpec

__all__ = ["learn"]

Used = Callable[[int, int, TableBlock], NDArray[np.bool_] | None]


def learn(world: World, table: TableSource, spec: PrepareSpec, used: Used, name: str) -> Recipe:
    """Return the recipe for the columns of a table that is settled; collective.

    `used` tells which rows [start, stop) of a block are trained on, None for all. The result is the
    same whatever the number of ranks. Raises on all ranks: JobError, DataError.
    """
    with world.phase("planning the preparation"):
        plan = make_plan(spec, table.columns, table.kinds)
    inputs = [each.name for each in plan.learned_inputs]
    known: dict[str, Known] = {}
    if inputs:
        learner = Learner(plan)
        n, rank, size = table.n_samples, world.rank, world.size
        with world.phase(f"learning from {name}"):
            for start, stop in pieces(n * rank // size, n * (rank + 1) // size, len(inputs)):
                block = table.read_columns(start, stop, inputs)
                learner.add(block.columns, used(start, stop, block))
        known = gather(world, plan, learner)
    with world.phase("planning the preparation"):
        return conclude(plan, known)


def gather(world: World, plan: Plan, learner: Learner) -> dict[str, Known]:
    """Return what all ranks' rows say about each variable that is learned; collective."""
    levels = _all_levels(world, learner.levels())
    with world.phase("learning the levels"):
        for variable, found in zip(learner.variables, levels, strict=True):
            require_few(variable.name, found, plan.spec.most_levels)
    counts = learner.counts(levels)
    world.allreduce_sum(counts)
    known: dict[str, Known] = {}
    at = 0
    for variable, found in zip(learner.variables, levels, strict=True):
        missing, missing_used, present, *own = counts[at : at + N_COUNTS + len(found)].tolist()
        at += N_COUNTS + len(found)
        of_levels = dict(zip(found, own, strict=True))
        known[variable.name] = Known(missing, missing_used, present, of_levels)
    _add_quantiles(world, learner, known)
    _add_means(world, learner, known)
    return known


def _all_levels(world: World, mine: Sequence[Sequence[Level]]) -> list[list[Level]]:
    """Return the union of all ranks' levels of each variable, in order; collective."""
    # A level goes to the rank that its text chooses, which has it once, however many send it.
    parts: list[list[list[Level]]] = [[[] for _ in mine] for _ in range(world.size)]
    for number, levels in enumerate(mine):
        for level in levels:
            key = f"{number} {level!r}".encode("utf-8", "surrogatepass")
            parts[zlib.crc32(key) % world.size][number].append(level)
    sent = [np.frombuffer(json.dumps(part).encode(), dtype=np.uint8) for part in parts]
    own: list[set[Level]] = [set() for _ in mine]
    for came in world.alltoallv(sent):
        _add(own, came.tobytes().decode())
    every: list[set[Level]] = [set() for _ in mine]
    for text in world.gather_small(json.dumps([list(levels) for levels in own])):
        _add(every, text)
    return [sorted(levels) for levels in every]


def _add(levels: list[set[Level]], text: str) -> None:
    """Add the levels that a rank has sent."""
    for known, found in zip(levels, json.loads(text), strict=True):
        known.update(found)


def _add_quantiles(world: World, learner: Learner, known: Mapping[str, Known]) -> None:
    """Find the quantiles that are wanted; collective."""
    columns: list[int] = []
    orders: list[int] = []
    for number, variable in enumerate(learner.variables):
        n = known[variable.name].n_present
        for p in variable.probabilities if n else ():
            for order in ranks_of(p, n):
                columns.append(number)
                orders.append(order)
    if not columns:
        return
    ends, kept = learner.ends(), learner.kept
    world.allreduce_max(ends)
    search = Bisection(columns, orders, -ends[columns, 1], ends[columns, 0])
    while not search.is_done:
        counts = search.count(kept)
        world.allreduce_sum(counts)
        search.take(counts)
    found = iter(search.found().tolist())
    for variable in learner.variables:
        own = known[variable.name]
        if own.n_present:
            own.quantiles = {
                p: quantile(p, own.n_present, next(found), next(found))
                for p in variable.probabilities
            }


def _add_means(world: World, learner: Learner, known: Mapping[str, Known]) -> None:
    """Find the means that are wanted, within the bounds of `winsorize`; collective."""
    wanted = [known[each.name] for each in learner.variables if each.needs_mean]
    if not wanted:
        return
    bounds = [bounds_of(each, known[each.name].quantiles) for each in learner.variables]
    limbs = learner.sums(bounds)
    world.allreduce_sum(limbs)
    for own, sum_ in zip(wanted, limbs, strict=True):
        if own.n_present:
            own.mean = mean_of_limbs(sum_, own.n_present)
