"""Numbers as they are, within bounds and with their gaps filled; and what shows the gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.columns import Column
from mpi_gd.prepare.encoder import Encoder, numbers_of
from mpi_gd.prepare.refused import Refusals
from mpi_gd.prepare.splines import basis
from mpi_gd.prepare.terms import Term

__all__ = ["Indicator", "Number", "Spline"]


@dataclass(frozen=True)
class Number(Encoder):
    """One feature: the number."""

    low: float | None = None
    """Smaller numbers become this: by `clip` and `winsorize` together; None: there is no bound."""
    high: float | None = None
    fill: float | None = None
    """What stands in for a missing value; None: it is refused."""

    @property
    def names(self) -> Sequence[str]:
        """Return the column's name."""
        return (self.name,)

    def clean(self, column: Column, number: int, refusals: Refusals) -> NDArray[np.float64]:
        """Return the numbers (n,) within their bounds, without gaps."""
        values, missing = numbers_of(column)
        if self.low is not None or self.high is not None:
            values = np.clip(values, self.low, self.high)
        if missing is not None and self.fill is None:
            refusals.add(number, self.name, "missing", missing, lambda row: "median")
        elif missing is not None:
            values[missing] = self.fill
        return values

    def encode(self, column: Column, number: int, refusals: Refusals) -> Term:
        """Return the numbers."""
        return Term(1, self.clean(column, number, refusals)[:, None])


@dataclass(frozen=True)
class Spline(Number):
    """The values of a B-spline basis at the number."""

    knots: tuple[float, ...] = ()
    """With the ends."""

    @property
    def names(self) -> Sequence[str]:
        """Return bs(name,1), bs(name,2), ..."""
        return tuple(f"bs({self.name},{k + 1})" for k in range(len(self.knots) + 1))

    def encode(self, column: Column, number: int, refusals: Refusals) -> Term:
        """Return the basis but for its first function."""
        x = self.clean(column, number, refusals)
        # A missing value has been noted, and may not lead to no interval.
        return Term(self.width, basis(np.nan_to_num(x, nan=self.knots[0]), self.knots))


@dataclass(frozen=True)
class Indicator(Encoder):
    """One feature: 1 where the number is missing, else 0."""

    label: str = ""
    """What is missing: of a part of a date, the date."""

    @property
    def names(self) -> Sequence[str]:
        """Return what it says."""
        return (f"{self.label} is missing",)

    def encode(self, column: Column, number: int, refusals: Refusals) -> Term:
        """Return the gaps."""
        values, missing = numbers_of(column)
        gaps = np.zeros(len(values)) if missing is None else missing.astype(np.float64)
        return Term(1, gaps[:, None])
