"""What a column has become: a few numbers a row, and the features that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Term", "one_hot", "product"]


@dataclass(frozen=True, eq=False)
class Term:
    """Rows of `width` features, of which m may be other than 0 in each row."""

    width: int
    values: NDArray[np.float64]
    """(n, m)."""
    places: NDArray[np.int64] | None = None
    """(n, m): the feature of each value, different ones in a row; None: all, in order."""

    def put(self, out: NDArray[Any]) -> None:
        """Put the features into `out` (n, width)."""
        if self.places is None:
            out[...] = self.values
            return
        out[...] = 0.0
        if self.width:
            np.put_along_axis(out, self.places, self.values, axis=1)

    def placed(self) -> NDArray[np.int64]:
        """Return the feature of each value, (n, m)."""
        if self.places is not None:
            return self.places
        return np.broadcast_to(np.arange(self.width, dtype=np.int64), self.values.shape)


def one_hot(
    places: NDArray[np.int64], width: int, values: NDArray[np.float64] | None = None
) -> Term:
    """Return features that are 0 but at `places` (n,), where they are 1 or `values` (n,).

    A place below 0 is none.
    """
    if not width:
        return Term(0, np.zeros((len(places), 0)))
    is_one = places >= 0
    ones = is_one.astype(np.float64) if values is None else np.where(is_one, values, 0.0)
    return Term(width, ones[:, None], np.where(is_one, places, 0)[:, None])


def product(first: Term, second: Term) -> Term:
    """Return the product of each feature of the one with each of the other, the second's faster."""
    n, width = len(first.values), first.width * second.width
    if not width:
        return Term(0, np.zeros((n, 0)))
    m = first.values.shape[1] * second.values.shape[1]
    values = (first.values[:, :, None] * second.values[:, None, :]).reshape(n, m)
    if first.places is None and second.places is None:
        return Term(width, values)
    places = first.placed()[:, :, None] * second.width + second.placed()[:, None, :]
    return Term(width, values, places.reshape(n, m))
