"""Whether two files can be parts of one data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mpi_gd.data.names import default_names, list_some
from mpi_gd.data.source import Source
from mpi_gd.errors import DataError

__all__ = ["require_alike"]


def require_alike(
    first: Source, first_path: Path, other: Source, path: Path, by_file: frozenset[str]
) -> None:
    """Raise DataError, naming both files, if they differ in form, columns or types.

    The names of the roles `by_file` are those of files, and may differ.
    """
    if type(first) is not type(other):
        raise DataError(
            f"{path}: got {_form(other)}, expected {_form(first)} as in {first_path}; shards must "
            "be of one format"
        )
    _require_columns(first.columns, first_path, other.columns, path)
    for role, name in {"target": first.target_name, **first.role_names}.items():
        found = other.target_name if role == "target" else other.role_names.get(role, "")
        if role not in by_file and found != name:
            raise DataError(
                f"{path}: the {role} is the column {found!r}, expected {name!r} as in "
                f"{first_path}; save all shards with the same columns"
            )
    if first.dtype != other.dtype:
        raise DataError(
            f"{path}: got numbers of {other.dtype}, expected {first.dtype} as in {first_path}; "
            'set dtype = "float64", or save all shards alike'
        )
    for role in (first.texts | other.texts) - (first.texts & other.texts):
        got, wanted = ("text", "numbers") if role in other.texts else ("numbers", "text")
        raise DataError(
            f"{path}: {role}: got {got}, expected {wanted} as in {first_path}; save all shards "
            "alike"
        )


def _form(source: Source) -> str:
    """Name a format for a message."""
    return f"a file for {type(source).__name__}"


def _require_columns(
    expected: Sequence[str], first_path: Path, found: Sequence[str], path: Path
) -> None:
    """Raise DataError if the features' names differ."""
    if found == expected:
        return
    has_names, had_names = (names != default_names(len(names)) for names in (found, expected))
    if has_names != had_names and len(found) == len(expected):
        got, wanted = ("names", "none") if has_names else ("no names", "names")
        raise DataError(
            f"{path}: got {got} of columns, expected {wanted} as in {first_path}; give all shards "
            "a header, or none"
        )
    if len(found) != len(expected) or set(found) != set(expected):
        lacks = [name for name in expected if name not in set(found)]
        more = [name for name in found if name not in set(expected)]
        parts = [f"it lacks {list_some(lacks)}"] if lacks else []
        parts += [f"it has {list_some(more)} besides"] if more else []
        raise DataError(
            f"{path}: got {len(found)} features, expected the {len(expected)} of {first_path}: "
            f"{' and '.join(parts)}; save all shards with the same columns"
        )
    place = next(k for k, name in enumerate(expected) if found[k] != name)
    raise DataError(
        f"{path}: got the column {found[place]!r} where {first_path} has {expected[place]!r}; save "
        "all shards with their columns in one order"
    )
