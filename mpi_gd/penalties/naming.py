"""Columns as a penalty names them: in full, or by a pattern, as features of one column are."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

__all__ = ["places_of"]

_SHOWN = 12


def places_of(key: str, name: str, places: Mapping[str, int]) -> list[int]:
    """Return the places of the columns that a name means; a pattern has * or ? in it.

    Raises ValueError, beginning with the key, if there is none.
    """
    if name in places:
        return [places[name]]
    if "*" in name or "?" in name:
        pattern = name.replace("[", "[[]")
        found = [place for column, place in places.items() if fnmatch.fnmatchcase(column, pattern)]
        if found:
            return found
    shown = ", ".join(repr(column) for column in list(places)[:_SHOWN])
    more = ", ..." if len(places) > _SHOWN else ""
    raise ValueError(
        f"{key} names the column {name!r}, which is not there; there are {shown}{more}"
    )
