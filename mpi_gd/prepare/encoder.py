"""How one column becomes features: what an encoder is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.columns import Column
from mpi_gd.prepare.refused import Refusals
from mpi_gd.prepare.terms import Term

__all__ = ["Encoder", "numbers_of", "shown"]


@dataclass(frozen=True)
class Encoder(ABC):
    """Makes features of a column, with all that has been learned for it; its fields are JSON."""

    name: str
    """The column's."""

    # Whether most of the features' values are other than 0.
    is_dense: ClassVar[bool] = True

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """Return the features' names."""

    @property
    def width(self) -> int:
        """Return the number of features."""
        return len(self.names)

    @property
    def n_values(self) -> int:
        """Return how many of the features may be other than 0 in a row."""
        return self.width if self.is_dense else min(1, self.width)

    @abstractmethod
    def encode(self, column: Column, number: int, refusals: Refusals) -> Term:
        """Return the features of a run of rows, each from its own row alone.

        What is refused is noted under the column's `number`, and comes out as anything.
        """


def numbers_of(column: Column) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """Return a column's numbers (n,), and which are missing; NaN counts as missing."""
    # -0.0 is 0.0, also as a level.
    values = np.asarray(column.values, dtype=np.float64) + 0.0
    missing, broken = column.missing, np.isnan(values)
    if missing is not None:
        broken |= missing
    return values, broken if broken.any() else None


def shown(level: str | float) -> str:
    """Return a level as a part of a name: 3.0 as "3"."""
    return level if isinstance(level, str) else repr(float(level)).removesuffix(".0")
