"""From what all rows say to the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mpi_gd.data.names import suggest
from mpi_gd.errors import DataError, JobError
from mpi_gd.prepare.categories import NOWHERE, REFUSED, Category, Hashed
from mpi_gd.prepare.encoder import Encoder, shown
from mpi_gd.prepare.learner import Level
from mpi_gd.prepare.numeric import Indicator, Number, Spline
from mpi_gd.prepare.plan import Plan, Variable
from mpi_gd.prepare.recipe import Recipe
from mpi_gd.prepare.spec import PrepareSpec
from mpi_gd.prepare.splines import full_knots, probabilities

__all__ = ["Known", "bounds_of", "conclude"]


@dataclass
class Known:
    """What all rows say about a variable."""

    n_missing: int = 0
    n_missing_used: int = 0
    n_present: int = 0
    counts: Mapping[Level, int] = field(default_factory=dict)
    """Of each level, in order, the rows that are trained on."""
    quantiles: Mapping[float, float] = field(default_factory=dict)
    mean: float = 0.0


def conclude(plan: Plan, known: Mapping[str, Known]) -> Recipe:
    """Return the recipe, from what is known of each variable that is learned.

    Raises DataError where rows do not say enough, JobError for a level that is none.
    """
    encoders: list[Encoder] = []
    for variable in plan.variables:
        found = known.get(variable.name, Known())
        if variable.is_learned and not found.n_present:
            raise DataError(
                f"column {variable.name!r}: no row that is trained on has a value, expected at "
                "least one; leave the column out of the data"
            )
        if variable.use == "category":
            encoders.append(_category(plan.spec, variable, found))
        elif variable.use == "hash":
            takes_missing = variable.missing != "refuse"
            encoders.append(Hashed(variable.name, variable.bits, takes_missing))
        else:
            encoders.append(_number(variable, found))
            if variable.has_indicator and found.n_missing:
                encoders.append(Indicator(variable.name, variable.input))
    return Recipe(plan.inputs, tuple(encoders), plan.interactions, plan.spec.layout)


def bounds_of(variable: Variable, quantiles: Mapping[float, float]) -> tuple[float, float]:
    """Return the bounds that `winsorize` sets, infinite if it does not."""
    if not variable.winsorize or not quantiles:
        return -np.inf, np.inf
    return quantiles[variable.winsorize], quantiles[1.0 - variable.winsorize]


def _number(variable: Variable, known: Known) -> Number:
    """Return the encoder of a column of numbers."""
    bounds = bounds_of(variable, known.quantiles)
    low, high = (_clipped(bound, (-np.inf, np.inf)) for bound in bounds)
    if variable.clip:
        low, high = (_clipped(bound, variable.clip) for bound in bounds)
    fill = _fill(variable, known)
    fields = (
        variable.name,
        None if low == -np.inf else low,
        None if high == np.inf else high,
        None if fill is None else float(fill),
    )
    if variable.use == "number":
        return Number(*fields)
    places = (0.0, *probabilities(variable.df), 1.0)
    first, *inner, last = (_clipped(known.quantiles[p], (low, high)) for p in places)
    if not first < last:
        raise DataError(
            f"column {variable.name!r}: all rows that are trained on have {shown(first)}, expected "
            "different numbers for a spline; remove it from prepare.splines"
        )
    return Spline(*fields, knots=full_knots(first, last, inner))


def _clipped(value: float, bounds: tuple[float, float]) -> float:
    """Return the value, or the bound that it is beyond."""
    return min(max(value, bounds[0]), bounds[1])


def _fill(variable: Variable, known: Known) -> float | str | None:
    """Return what stands in for a missing number."""
    bounds = bounds_of(variable, known.quantiles)
    match variable.missing:
        case "refuse":
            return None
        case "mean":
            return known.mean
        case "median":
            return known.quantiles[0.5]
        case "most frequent":
            return _clipped(float(_most_frequent(known.counts)), bounds)
        case "level":
            # Of all columns; a number has no levels, and its gaps are not filled.
            return None
    return variable.missing


def _most_frequent(counts: Mapping[Level, int]) -> Level:
    """Return the level that most rows have; of several the first in their order."""
    return max(counts, key=lambda level: counts[level])


def _category(spec: PrepareSpec, variable: Variable, known: Known) -> Category:
    """Return the encoder of a column of categories.

    A level that only rows have which are not trained on is known, and has no feature of its own.
    """
    counts = known.counts
    reference = _reference(variable, counts)
    own = [level for level in counts if counts[level] >= max(1, spec.min_count)]
    labels = {level: shown(level) for level in own if level != reference}
    place_of: dict[Level, int] = {level: place for place, level in enumerate(labels)}
    names = list(labels.values())
    rare = NOWHERE
    is_rare = [0 < counts[level] < spec.min_count and level != reference for level in counts]
    if any(is_rare):
        rare = len(names)
        names.append("(rare)")
    missing = {"reference": NOWHERE, "rare": rare, "refuse": REFUSED}[spec.unseen]
    unseen = missing
    if variable.missing == "refuse":
        missing = REFUSED
    elif variable.missing == "most frequent":
        most = _most_frequent(counts)
        missing = NOWHERE if most == reference else place_of.get(most, rare)
    elif known.n_missing_used:
        missing = len(names)
        names.append("(missing)")
    places = [NOWHERE if level == reference else place_of.get(level, rare) for level in counts]
    return Category(variable.name, tuple(counts), tuple(places), tuple(names), missing, unseen)  # type: ignore[arg-type]


def _reference(variable: Variable, counts: Mapping[Level, int]) -> Level | None:
    """Return the level without a feature, of those that are trained on."""
    used = [level for level in counts if counts[level]]
    if variable.has_level:
        named: Sequence[str] = [shown(level) for level in used]
        if variable.reference not in named:
            raise JobError(
                f"prepare.reference: column {variable.name!r} has no level "
                f"{variable.reference!r}; {suggest(variable.reference, named)}"
            )
        return used[named.index(variable.reference)]
    if variable.reference == "none":
        return None
    return _most_frequent(counts) if variable.reference == "most frequent" else used[0]
