"""What the target says: numbers for a regression, two labels for a classifier."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.load import Loaded
from mpi_gd.errors import DataError

__all__ = ["encode_labels", "find_labels", "require_numbers"]

Floats = NDArray[np.float64]

# Pairs of numbers that people use for two classes.
_NUMBERS = ({"0", "1"}, {"-1", "1"}, {"1", "2"})
_EXPECTED = "two labels: 0 and 1, -1 and 1, 1 and 2, or two texts"
# More labels than this need not travel to show that there are too many.
_SENT = 4


def require_numbers(world: World, data: Loaded) -> Floats:
    """Return y as numbers; raises DataError on all ranks for text, NaN or infinity."""
    with world.phase("checking the target"):
        if data.y.dtype.kind == "U":
            raise DataError(
                f"{data.source.locate_target(0)}: target {data.source.target_name!r}: got text, "
                'expected numbers; use loss "logistic" for two labels, or name another target'
            )
        _require_finite(data)
    return np.asarray(data.y, dtype=np.float64)


def find_labels(
    world: World, data: Loaded, held: NDArray[np.bool_] | None = None
) -> tuple[str, str]:
    """Return the two labels of all ranks' rows, sorted; raises DataError on all ranks.

    Rows that are `held` out teach no label.
    """
    with world.phase("checking the labels"):
        if data.y.dtype.kind != "U":
            _require_finite(data)
        used = np.arange(len(data.y)) if held is None else np.flatnonzero(~held)
        values, places = np.unique(data.y[used], return_index=True)
        order = np.argsort(places)[:_SENT]
        mine = {_text(values[k]): data.start + int(used[places[k]]) for k in order}
    first: dict[str, int] = {}
    for text in world.gather_small(json.dumps(mine)):
        for label, row in json.loads(text).items():
            first[label] = min(row, first.get(label, row))
    labels = sorted(first, key=lambda label: first[label])
    _require_two(data, labels, first)
    is_text = data.y.dtype.kind == "U"
    low, high = sorted(labels) if is_text else sorted(labels, key=float)
    return low, high


def encode_labels(world: World, data: Loaded, labels: tuple[str, ...]) -> Floats:
    """Return 0 for the first label and 1 for the second; raises DataError for any other."""
    with world.phase("checking the labels"):
        wanted: NDArray[np.generic] = np.array(labels)
        if data.y.dtype.kind != "U":
            try:
                wanted = wanted.astype(np.float64)
            except ValueError:
                raise DataError(
                    f"{data.source.locate_target(0)}: got numbers as labels, expected "
                    f"{labels[0]!r} or {labels[1]!r}; use data with the same labels"
                ) from None
        is_second = data.y == wanted[1]
        bad = np.flatnonzero(~is_second & (data.y != wanted[0]))
        if bad.size:
            raise DataError(
                f"{data.source.locate_target(data.start + int(bad[0]))}: got the label "
                f"{_text(data.y[bad[0]])!r}, expected {labels[0]!r} or {labels[1]!r}; remove the "
                "row or correct its label"
            )
    return np.asarray(is_second, dtype=np.float64)


def _require_finite(data: Loaded) -> None:
    """Raise DataError for a target that is NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(data.y))
    if bad.size:
        raise DataError(
            f"{data.source.locate_target(data.start + int(bad[0]))}: target "
            f"{data.source.target_name!r}: got {data.y[bad[0]]}, expected a finite number; remove "
            "the row"
        )


def _require_two(data: Loaded, labels: list[str], first: dict[str, int]) -> None:
    """Raise DataError unless there are two labels that can be labels."""
    name = data.source.target_name
    if not labels:
        raise DataError("no row is left to train on: set data.test_fraction lower")
    if len(labels) < 2:
        raise DataError(
            f"target {name!r}: all rows that are trained on have the label {labels[0]!r}, "
            f"expected {_EXPECTED}"
        )
    is_number = data.y.dtype.kind != "U"
    if len(labels) == 2 and (not is_number or set(labels) in _NUMBERS):
        return
    odd = next(
        (label for label in labels if is_number and label not in ("0", "1", "-1", "2")),
        labels[min(2, len(labels) - 1)],
    )
    shown = ", ".join(repr(label) for label in labels[:5]) + (", ..." if len(labels) > 5 else "")
    raise DataError(
        f"{data.source.locate_target(first[odd])}: got the label {odd!r} in target {name!r}, "
        f"expected {_EXPECTED}; the labels are {shown}; correct them, or use a loss for numbers"
    )


def _text(value: object) -> str:
    """Return a label as text: 1.0 as "1"."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
