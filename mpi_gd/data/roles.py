"""What a column can be besides a feature: the target, and what weighs, shifts or groups the rows.

A role's name is its key in [data]. All of them are read in one way, and come as arrays (n_rows,)
by role beside X and y.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mpi_gd.errors import JobError

__all__ = [
    "NEEDED",
    "ROLES",
    "Purpose",
    "Role",
    "find_invalid",
    "is_file",
    "require_different",
    "way_without",
]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

# What the rows are read for.
Purpose = Literal["train", "score", "predict"]

# Sums of such weights neither overflow nor vanish.
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-100, 1e100
# Whole numbers below are float64 numbers, one each.
_WHOLE = 2.0**53


@dataclass(frozen=True)
class Role:
    """A column beside the features and the target: numbers, unless it is text."""

    expected: str
    """What its values must be, in the words of a message."""
    is_invalid: Callable[[Floats], Booleans]
    """Tells which numbers (n,) are something else."""
    is_text: bool = False
    """Whether it may be text, and is text in a text file."""


def _is_whole(values: Floats) -> Booleans:
    """Whether numbers are whole and exact."""
    return np.asarray((np.abs(values) < _WHOLE) & (values == np.rint(values)))


ROLES: dict[str, Role] = {
    "weight": Role(
        f"0, or a number from {_LEAST_WEIGHT:g} to {_MOST_WEIGHT:g}",
        lambda v: ~((v == 0) | ((v >= _LEAST_WEIGHT) & (v <= _MOST_WEIGHT))),
    ),
    "offset": Role("a finite number", lambda v: ~np.isfinite(v)),
    "exposure": Role("a finite number above 0", lambda v: ~((v > 0) & np.isfinite(v))),
    "trials": Role("a whole number, 1 or more", lambda v: ~((v >= 1) & _is_whole(v))),
    "cluster": Role("text, or a whole number", lambda v: ~_is_whole(v), is_text=True),
}

# What must be there for each purpose. What is not needed may be there, and is not read.
NEEDED: dict[Purpose, tuple[str, ...]] = {
    "train": ("target", *ROLES),
    "score": ("target", "weight", "offset", "exposure", "trials"),
    "predict": ("offset", "exposure"),
}


def is_file(name: str | int) -> bool:
    """Whether a column is named by a file of its own, or a pattern of files: by .npy files."""
    return str(name).endswith(".npy")


def find_invalid(role: str, values: NDArray[Any]) -> int | None:
    """Return the first row whose value is none that the role can have."""
    if values.dtype.kind == "U":
        return None
    rows = np.flatnonzero(ROLES[role].is_invalid(values))
    return int(rows[0]) if rows.size else None


def require_different(places: Mapping[str, Hashable], where: str) -> None:
    """Raise JobError if two roles are at the same place, as a column's number or name."""
    owners: dict[Hashable, str] = {}
    for role, place in places.items():
        if place in owners:
            raise JobError(
                f"{where}: data.{owners[place]} and data.{role} name the same column, expected "
                "different ones; remove one of them"
            )
        owners[place] = role


def way_without(role: str, purpose: Purpose) -> str:
    """Say how to do without a role that is not in the file, where that is possible."""
    if purpose == "train" or role == "target":
        return ""
    return f'; the model was trained with it: to do without, give --set data.{role}=""'
