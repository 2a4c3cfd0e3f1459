"""What is to be said of columns before they are trained on, and what helps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mpi_gd.commands.profile import MOST_LEVELS, ColumnProfile
from mpi_gd.data.names import list_some

__all__ = ["find_remarks"]

# Means and deviations further apart than so many powers of ten make a solver's work hard.
_DECADES = 4.0
_MANY_LEVELS = 1000
_MOSTLY = 0.95
_FEW_COLUMNS = 20
_MOST_LABELS = 20

Test = Callable[[ColumnProfile], bool]


def find_remarks(columns: Sequence[ColumnProfile], n_rows: int, is_sparse: bool) -> list[str]:
    """Return remarks, each with a remedy."""
    features = [column for column in columns if column.role == "feature"]
    numbers = [column for column in features if column.kind != "text"]
    found: list[str] = []

    def say(of: Sequence[ColumnProfile], test: Test, what: str) -> None:
        names = [column.name for column in of if test(column)]
        if names:
            found.append(f"{list_some(names)}: {what}")

    say(columns, lambda c: c.n_infinite > 0, "infinite values: correct them, or remove the rows")
    say(features, lambda c: c.n_missing == n_rows, "no values at all: leave the column out")
    say(
        numbers,
        lambda c: 0 < c.n_missing < n_rows,
        'values are missing: fill them, as by missing = "median" in [prepare]',
    )
    say(
        [c for c in features if c.kind == "text"],
        lambda c: 0 < c.n_missing < n_rows,
        'values are missing: make them a level, by missing = "level" in [prepare]',
    )
    say(columns, _is_constant, "always the same: it tells nothing; leave the column out")
    say(
        features,
        lambda c: c.kind == "text" and c.n_levels is not None and c.n_levels <= _MANY_LEVELS,
        'text: a feature for each level by categorical = "auto" in [prepare]',
    )
    say(
        features,
        lambda c: c.kind == "text" and (c.n_levels is None or c.n_levels > _MANY_LEVELS),
        f"text with more than {_MANY_LEVELS:,} levels: hash it, as by hash = {{NAME = 16}} in "
        "[prepare], or leave out what numbers the rows",
    )
    say(features, lambda c: c.kind == "date", "dates: take parts of them, by dates in [prepare]")
    found += _same(numbers)
    found += _scales(numbers, is_sparse)
    zeros = sum(column.n_zeros for column in numbers) / max(1, len(numbers) * n_rows)
    if not is_sparse and len(numbers) >= _FEW_COLUMNS and zeros > _MOSTLY:
        found.append(
            f"{zeros:.0%} of the numbers are 0: sparse rows would be smaller and faster "
            "(scipy.sparse.save_npz)"
        )
    found += _target(columns)
    return found


def _is_constant(column: ColumnProfile) -> bool:
    """Whether there is one value only."""
    if column.role not in ("feature", "target") or column.n_missing:
        return False
    return column.lowest == column.highest if column.kind != "text" else column.n_levels == 1


def _same(numbers: Sequence[ColumnProfile]) -> list[str]:
    """Name columns whose figures are all alike."""
    seen: dict[tuple[float, ...], str] = {}
    found = []
    for column in numbers:
        if _is_constant(column) or math.isnan(column.mean):
            continue
        figures = (
            *(column.mean, column.deviation, column.lowest, column.highest),
            *(float(column.n_zeros), float(column.n_missing)),
        )
        # Of few different numbers all that is told here may be alike by chance.
        other = None if column.is_whole else seen.setdefault(figures, column.name)
        if other not in (None, column.name):
            found.append(f"{column.name!r}: all figures are those of {other!r}; is it the same?")
    return found


def _scales(numbers: Sequence[ColumnProfile], is_sparse: bool) -> list[str]:
    """Say whether deviations are so different that a penalty would treat columns unlike."""
    sizes = [c.deviation for c in numbers if c.kind == "number" and 0 < c.deviation < math.inf]
    if not sizes or math.log10(max(sizes)) - math.log10(min(sizes)) < _DECADES or is_sparse:
        return []
    return [
        f"deviations from {min(sizes):.2g} to {max(sizes):.2g}: a penalty would be hard on small "
        "columns; set standardize = true"
    ]


def _target(columns: Sequence[ColumnProfile]) -> list[str]:
    """Say which losses the target is for, and what is wrong with it."""
    target = next((column for column in columns if column.role == "target"), None)
    if target is None:
        return ["no target is named: set it, as by --set target=NAME"]
    if target.n_missing:
        return [f"{target.name!r}: the target is missing in {target.n_missing:,} rows: remove them"]
    n = target.n_levels
    if n == 2:
        return [f'the target {target.name!r} has two labels: loss "logistic"']
    if target.kind == "text":
        if n is None:
            return [f"the target {target.name!r} has more than {MOST_LEVELS:,} labels"]
        return [f'the target {target.name!r} has {n} labels: loss "multinomial"'] if n > 2 else []
    if n is not None and n <= _MOST_LABELS and target.is_whole:
        kinds = '"multinomial" if they are labels, "poisson" if they are counts'
        return [f"the target {target.name!r} has {n} different whole numbers: loss {kinds}"]
    counts = ', "poisson" or "negative-binomial" for counts' if target.is_whole else ""
    if target.lowest > 0:
        kinds = f'"squared", "gamma" for amounts{counts}'
    elif target.lowest == 0 and target.n_zeros:
        kinds = f'"squared", "tweedie" for amounts that may be 0{counts}'
    else:
        kinds = '"squared", or "huber" if there are outliers'
    return [f"the target {target.name!r} is a number: loss {kinds}"]
