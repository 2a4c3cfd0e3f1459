"""The labels of a classifier: found in all ranks' rows, and told by their places."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.load import Loaded
from mpi_gd.errors import DataError
from mpi_gd.losses.loss import Task

__all__ = ["encode_labels", "find_labels", "require_finite"]

Floats = NDArray[np.float64]

# Pairs of numbers that people use for two classes.
_NUMBERS = ({"0", "1"}, {"-1", "1"}, {"1", "2"})
_EXPECTED = "two labels: 0 and 1, -1 and 1, 1 and 2, or two texts"
_EXPECTED_CLASSES = "two labels or more: whole numbers, or texts"
_MOST_CLASSES = 1000
# More labels than these need not travel to show that there are too many.
_SENT = {"two classes": 4, "classes": _MOST_CLASSES + 1}


def find_labels(
    world: World,
    data: Loaded,
    left_out: NDArray[np.bool_] | None = None,
    task: Task = "two classes",
) -> tuple[str, ...]:
    """Return the labels of all ranks' rows, sorted; collective, raises DataError on all ranks.

    Texts are sorted as texts, numbers as numbers. Rows that are `left_out` of the training teach no
    label.
    """
    with world.phase("checking the labels"):
        if data.y.dtype.kind != "U":
            require_finite(data)
        used = np.arange(len(data.y)) if left_out is None else np.flatnonzero(~left_out)
        values, places = np.unique(data.y[used], return_index=True)
        order = np.argsort(places)[: _SENT[task]]
        mine = {_text(values[k]): data.start + int(used[places[k]]) for k in order}
    first = _first_rows(world, mine)
    labels = sorted(first, key=lambda label: first[label])
    if not labels:
        raise DataError("no row is left to train on: set data.test_fraction lower")
    (_require_two if task == "two classes" else _require_classes)(data, labels, first)
    is_text = data.y.dtype.kind == "U"
    return tuple(sorted(labels) if is_text else sorted(labels, key=float))


def _first_rows(world: World, mine: dict[str, int]) -> dict[str, int]:
    """Return the first row of each label of any rank, from each rank's own; collective.

    The ranks send only what the root has not seen: most often nothing.
    """
    first: dict[str, int] = json.loads(world.bcast_text(json.dumps(mine)))
    new = {label: row for label, row in mine.items() if label not in first}
    for text in world.gather_small(json.dumps(new)):
        for label, row in json.loads(text).items():
            first[label] = min(row, first.get(label, row))
    return first


def encode_labels(world: World, data: Loaded, labels: tuple[str, ...]) -> Floats:
    """Return each row's place among the labels; raises DataError for a label that is none."""
    with world.phase("checking the labels"):
        wanted: NDArray[np.generic] = np.array(labels)
        if data.y.dtype.kind != "U":
            try:
                wanted = wanted.astype(np.float64)
            except ValueError:
                raise DataError(
                    f"{data.source.locate_target(0)}: got numbers as labels, expected "
                    f"{_listed(labels)}; use data with the same labels"
                ) from None
        order = np.argsort(wanted)
        found = np.minimum(np.searchsorted(wanted, data.y, sorter=order), len(labels) - 1)
        places = order[found]
        bad = np.flatnonzero(wanted[places] != data.y)
        if bad.size:
            raise DataError(
                f"{data.source.locate_target(data.start + int(bad[0]))}: got the label "
                f"{_text(data.y[bad[0]])!r}, which no row has that is trained on, expected "
                f"{_listed(labels)}; remove the row or correct its label"
            )
    return places.astype(np.float64)


def require_finite(data: Loaded) -> None:
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
    is_many = len(labels) > 2 and (not is_number or all(map(_is_whole, labels)))
    better = 'the loss "multinomial"' if is_many else "a loss for numbers"
    raise DataError(
        f"{data.source.locate_target(first[odd])}: got the label {odd!r} in target {name!r}, "
        f"expected {_EXPECTED}; the labels are {shown}; correct them, or use {better}"
    )


def _require_classes(data: Loaded, labels: list[str], first: dict[str, int]) -> None:
    """Raise DataError unless there are labels enough, and not too many, that can be labels."""
    name = data.source.target_name
    if len(labels) < 2:
        raise DataError(
            f"target {name!r}: all rows that are trained on have the label {labels[0]!r}, "
            f"expected {_EXPECTED_CLASSES}"
        )
    broken = [label for label in labels if data.y.dtype.kind != "U" and not _is_whole(label)]
    if broken:
        raise DataError(
            f"{data.source.locate_target(first[broken[0]])}: got the label {broken[0]!r} in target "
            f"{name!r}, expected {_EXPECTED_CLASSES}; correct it, or use a loss for numbers"
        )
    if len(labels) > _MOST_CLASSES:
        last = labels[_MOST_CLASSES]
        raise DataError(
            f"{data.source.locate_target(first[last])}: got the label {last!r} in target {name!r} "
            f"after {_MOST_CLASSES} others, expected at most so many; use a loss for numbers"
        )


def _is_whole(label: str) -> bool:
    """Whether a number's text is a whole number's."""
    return float(label).is_integer()


def _listed(labels: tuple[str, ...]) -> str:
    """Return the labels as words."""
    if len(labels) <= 5:
        return f"{', '.join(map(repr, labels[:-1]))} or {labels[-1]!r}"
    return f"one of {len(labels)} labels: {', '.join(map(repr, labels[:5]))}, ..."


def _text(value: object) -> str:
    """Return a label as text: 1.0 as "1"."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
