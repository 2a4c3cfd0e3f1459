"""Columns of lists, as embeddings are stored: each place in the lists is a feature of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from glob import escape
from typing import Any

from mpi_gd.data.spec import DataSpec
from mpi_gd.errors import DataError

__all__ = ["Place", "element", "places_of", "with_lists"]

# Longer ones are no embedding, and their names alone would take more than the rows.
_LONGEST = 1 << 16


@dataclass(frozen=True)
class Place:
    """Where a feature is in lists."""

    column: str
    number: int
    length: int
    """How many there are in each list."""


def _is_list(form: Any) -> bool:
    """Whether values of an Arrow type are lists."""
    import pyarrow as pa

    types = pa.types
    kinds = (types.is_fixed_size_list, types.is_list, types.is_large_list)
    return any(kind(form) for kind in kinds)


def places_of(
    names: Sequence[str],
    schema: Any,
    spec: DataSpec,
    first_list: Callable[[str], Any],
    where: str,
) -> dict[str, Place]:
    """Return the features, called "embedding.0", that columns of lists hold.

    `first_list` returns a column's first value: where the type does not say how long the lists are,
    all must be as long as that. Raises DataError for lists without an end, or without a value.
    """
    import pyarrow as pa

    found: dict[str, Place] = {}
    for name in names:
        form = schema.field(name).type
        if not _is_list(form) or not _is_wanted(name, spec):
            continue
        if pa.types.is_fixed_size_list(form):
            length = form.list_size
        else:
            length = len(first_list(name) or ())
        if not 0 < length <= _LONGEST:
            raise DataError(
                f"{where}: column {name!r}: got a list of {length} values in the first row, "
                f"expected 1 to {_LONGEST:,}; leave it out: exclude = [{name!r}] under [data]"
            )
        found |= {f"{name}.{k}": Place(name, k, length) for k in range(length)}
    return found


def _is_wanted(name: str, spec: DataSpec) -> bool:
    """Whether a job may mean something of a column of lists."""
    if any(fnmatchcase(name, pattern) for pattern in spec.exclude):
        return False
    named = (fnmatchcase(name, each) or each.startswith(f"{name}.") for each in spec.include)
    return not spec.include or any(named)


def with_lists(spec: DataSpec, places: Mapping[str, Place]) -> DataSpec:
    """Let a column's own name in data.include and data.exclude mean all that its lists hold."""
    lists = {place.column for place in places.values()}

    def meant(patterns: Sequence[str]) -> list[str]:
        return [f"{escape(each)}.*" if each in lists else each for each in patterns]

    return replace(spec, include=meant(spec.include), exclude=meant(spec.exclude))


def element(column: Any, place: Place, where: str, first_row: int) -> Any:
    """Return one place of a chunked array's lists; it is missing where the list is.

    Raises DataError, beginning with `where`, for a list of another length.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_fixed_size_list(column.type):
        lengths = pc.list_value_length(column)
        others = pc.fill_null(pc.not_equal(lengths, place.length), False)
        row = others.index(True).as_py()
        if row >= 0:
            raise DataError(
                f"{where}: row {first_row + row}: got a list of {lengths[row].as_py()} values, "
                f"expected {place.length} as in the first row; correct it, or leave it out: "
                f"exclude = [{place.column!r}] under [data]"
            )
    return pc.list_element(column, place.number)
