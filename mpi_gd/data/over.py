"""A source that is made of another one, and has its rows at the same places."""

from __future__ import annotations

from typing import Generic, TypeVar

from mpi_gd.data.source import Source

__all__ = ["SourceOver"]

S = TypeVar("S", bound=Source)


class SourceOver(Source, Generic[S]):
    """The rows of `source`, whose columns are others."""

    source: S

    def guess_rows(self) -> int:
        """Return about how many rows there are."""
        return self.source.guess_rows()

    def locate(self, row: int) -> str:
        """Name the place of a global row."""
        return self.source.locate(row)

    def locate_target(self, row: int) -> str:
        """Name the place of a global row's target."""
        return self.source.locate_target(row)

    def locate_extra(self, role: str, row: int) -> str:
        """Name the place of a global row's value in another role."""
        return self.source.locate_extra(role, row)
