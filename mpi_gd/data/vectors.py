"""Stored arrays (n,) or (n, 1), as y and the roles are: checked, read as numbers or text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.arrays import first_bad_text
from mpi_gd.data.roles import ROLES
from mpi_gd.data.stored import StoredArray
from mpi_gd.errors import DataError

__all__ = ["check_column", "column_values", "roles_of_text"]


def roles_of_text(target: StoredArray | None, extras: Mapping[str, StoredArray]) -> frozenset[str]:
    """Return the roles whose arrays hold text."""
    arrays = {**extras, **({"target": target} if target else {})}
    return frozenset(role for role, array in arrays.items() if array.header.dtype.kind in "US")


def check_column(array: StoredArray, n_samples: int, where: str, role: str) -> None:
    """Raise DataError if an array is not (n,) or (n, 1), or has not as many rows as X, or text.

    X has `n_samples` rows, and is called `where`.
    """
    shape = array.header.shape
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        raise DataError(
            f"{array.where}: got the shape {shape}, expected ({n_samples},): one {role}"
        )
    if array.header.dtype.kind in "US" and not (role == "target" or ROLES[role].is_text):
        raise DataError(
            f"{array.where}: got an array of text ({array.header.dtype}), expected numbers, as "
            f"data.{role} must be"
        )
    if shape[0] != n_samples:
        raise DataError(
            f"{array.where}: got {shape[0]} rows, expected {n_samples} as in {where}; "
            "save both from the same rows"
        )


def column_values(array: StoredArray, start: int, stop: int) -> NDArray[Any]:
    """Return an array's rows [start, stop), (stop - start,), as float64 or text."""
    found = array.header.dtype
    if found.kind not in "US":
        numbers = array.rows(start, stop, np.dtype(np.float64))
        # It is small: a copy of it is safe from what happens to the file.
        return np.array(numbers).reshape(-1)
    texts = np.array(array.rows(start, stop, found.newbyteorder("="))).reshape(-1)
    if found.kind == "S":
        return _decoded(array, texts, start)
    bad = first_bad_text(texts)
    if bad is not None:
        raise DataError(
            f"{array.locate(start + bad)}: a text has a character that is none in Unicode; save "
            "the array again"
        )
    return texts


def _decoded(array: StoredArray, texts: NDArray[Any], start: int) -> NDArray[Any]:
    """Decode byte strings; raises DataError for what is not UTF-8."""
    try:
        return np.strings.decode(texts, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{array.where}: row {start} or a later one: a text is not UTF-8 ({error}); save the "
            "array again as text (str)"
        ) from error
