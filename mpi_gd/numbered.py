"""Names of very many columns that have none: made when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

__all__ = ["MANY", "NumberedNames"]

MANY = 100_000
"""Names of more columns than that are not made beforehand, unless the data have them."""


class NumberedNames(Sequence[str]):
    """The names x0, x1, ..., made when they are asked for: ten million would take a gigabyte."""

    def __init__(self, n: int, first: int = 0) -> None:
        """Stand for n of them, from number `first` on."""
        self._numbers = range(first, first + n)

    @property
    def first(self) -> int:
        """Return the number in the first name."""
        return self._numbers.start

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [f"x{j}" for j in self._numbers[place]]
        return f"x{self._numbers[place]}"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, NumberedNames):
            return self._numbers == other._numbers
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))
