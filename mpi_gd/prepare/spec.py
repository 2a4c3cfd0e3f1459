"""What a job says about how columns become features: the table [prepare]."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from mpi_gd.prepare.dates import PARTS
from mpi_gd.prepare.splines import FEWEST, MOST

__all__ = ["PrepareSpec"]

# A table of 2^22 hashed features has 4 million coefficients and names, on every rank.
_MOST_BITS = 22
_FILLS = ("refuse", "mean", "median", "most frequent", "level")


@dataclass(frozen=True)
class PrepareSpec:
    """Say how columns become features; the fields are the keys of the table [prepare].

    Columns are named in full, or by a pattern with * and ?: the full name goes before a pattern,
    and an earlier pattern before a later one. What is learned is learned of the rows that are
    trained on, each counted once.
    Raises ValueError, beginning with the field's name, for a value that can mean nothing.
    """

    categorical: Literal["none", "auto"] | list[str] = "none"
    """Columns whose different values (levels) get a feature each, of 0 or 1, as in "colour=red":
    a list of names of columns of text or numbers; "auto": all columns of text. A column of text
    that is neither here nor in `hash` is refused."""

    reference: Literal["first", "most frequent", "none"] | dict[str, str] = "first"
    """The level that gets no feature, so that the others are compared with it: the first one in the
    order of text or numbers, the most frequent one, or a table of levels by column; "none": every
    level gets a feature, which treats all alike but needs a penalty."""

    min_count: int = 0
    """Levels that fewer rows have share one feature, as in "colour=(rare)"; 0: none do."""

    most_levels: int = 10000
    """Most levels that a column may have; for more there is `hash`."""

    unseen: Literal["refuse", "reference", "rare"] = "refuse"
    """What to do in prediction with a level that the training did not have: stop, and say where it
    is; take it as the reference (all features 0); or as one of the rare levels (`min_count`)."""

    hash: dict[str, int] = field(default_factory=dict)
    """Columns of very many levels, and bits: a level's text is hashed to one of 2^bits features,
    with a sign (Weinberger et al., ICML 2009); nothing is learned, and no level is unseen."""

    dates: list[str] | dict[str, list[str]] = field(default_factory=list)
    """Parts that dates become, of all dates or by column, as in ["year", "month"], each a number
    like any other column, called "when.month": year, quarter, month, day, weekday (Monday is 0),
    day_of_year, hour, minute, second, days (since 1970-01-01, with fractions)."""

    missing: str | float | dict[str, str | float] = "refuse"
    """What stands in for missing values, of all columns or by column: "refuse" stops and says where
    they are; "mean", "median", "most frequent" or a number is put in their place, after `clip` and
    `winsorize`; of categories they become a level of their own ("level", also where all columns
    have "mean", "median" or a number) or the most frequent one."""

    indicator: bool = False
    """Whether each column of numbers in which values are missing gets a further feature, that is 1
    where they are, as in "age is missing"."""

    clip: dict[str, list[float]] = field(default_factory=dict)
    """Columns and the bounds [low, high] that their numbers are moved to if beyond."""

    winsorize: dict[str, float] = field(default_factory=dict)
    """Columns and a share p below 0.5: numbers beyond the quantiles p and 1 - p are moved there."""

    splines: dict[str, int] = field(default_factory=dict)
    """Columns and the number of features, 3 or more, of a cubic B-spline in place of the column,
    as in "bs(age,1)": its knots are quantiles; beyond the smallest and the largest number it was
    trained on it is constant."""

    interactions: list[str] = field(default_factory=list)
    """Products of columns, as in ["age:income", "age:colour"], besides the columns themselves: of
    each feature of the one with each of the other."""

    layout: Literal["auto", "dense", "sparse"] = "auto"
    """How features are kept: all numbers, or those of categories without their zeros; "auto" is
    "sparse" where 7 of 8 numbers would be zeros, and there are at least 128 features."""

    def __post_init__(self) -> None:
        _require_at_least(0, min_count=self.min_count)
        _require_at_least(2, most_levels=self.most_levels)
        if self.unseen == "rare" and not self.min_count:
            raise ValueError('unseen is "rare", which needs rare levels: set min_count, as in 10')
        for column, bits in self.hash.items():
            _require_range(f"hash of {column!r}", bits, 1, _MOST_BITS)
        for column, df in self.splines.items():
            _require_range(f"splines of {column!r}", df, FEWEST, MOST)
        for column, share in self.winsorize.items():
            if not 0 < share < 0.5:
                raise ValueError(f"winsorize of {column!r} must be above 0, below 0.5, got {share}")
        for column, bounds in self.clip.items():
            if len(bounds) != 2 or not bounds[0] < bounds[1]:
                raise ValueError(
                    f"clip of {column!r} must be two numbers [low, high], low below high, got "
                    f"{bounds}"
                )
        self._check_dates()
        self._check_missing()
        for product in self.interactions:
            if ":" not in product or not all(product.split(":")):
                raise ValueError(
                    f'interactions must be names with a colon between, as "age:colour", got '
                    f"{product!r}"
                )

    def _check_dates(self) -> None:
        """Raise ValueError for a part that dates do not have."""
        lists = self.dates.values() if isinstance(self.dates, dict) else [self.dates]
        for parts in lists:
            for part in parts:
                if part not in PARTS:
                    raise ValueError(f"dates must be some of {', '.join(PARTS)}, got {part!r}")
            if len(set(parts)) < len(parts):
                raise ValueError(f"dates must name each part once, got {parts}")

    def _check_missing(self) -> None:
        """Raise ValueError for a text that is no way to fill gaps."""
        given: Iterable[Any] = [self.missing]
        if isinstance(self.missing, dict):
            given = self.missing.values()
        for fill in given:
            if isinstance(fill, str) and fill not in _FILLS:
                raise ValueError(
                    f"missing must be a number or one of {', '.join(map(repr, _FILLS))}, or a "
                    f"table of these by column, got {fill!r}"
                )


def _require_at_least(least: int, **fields: int) -> None:
    """Raise ValueError for a field that is less."""
    for name, value in fields.items():
        if value < least:
            raise ValueError(f"{name} must be {least} or more, got {value}")


def _require_range(what: str, value: int, least: int, most: int) -> None:
    """Raise ValueError for a number that is not in [least, most]."""
    if not least <= value <= most:
        raise ValueError(f"{what} must be from {least} to {most}, got {value}")
