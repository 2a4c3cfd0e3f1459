"""Columns whose values are in the names of folders, as Hive and Spark write them.

year=2024/month=05/part-0.parquet    # year is 2024, month is 5 in all rows of the file
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import unquote

import numpy as np

from mpi_gd.data.columns import Column, Kind
from mpi_gd.data.listing import Shard
from mpi_gd.data.spec import DataSpec
from mpi_gd.errors import DataError, JobError

__all__ = ["Partitions", "find_partitions"]

_MISSING = "__HIVE_DEFAULT_PARTITION__"
# Exact as float64.
_WHOLE = re.compile(r"-?[0-9]{1,15}")


@dataclass(frozen=True)
class Partitions:
    """The columns that the names of folders make, and their values in each file."""

    kinds: Mapping[str, Kind]
    """number if all values are whole numbers, else text; by name, in order."""
    values: Sequence[Mapping[str, str | None]]
    """By file: the value of each column, None where it is missing."""

    def column(self, name: str, kind: Kind, shard: int, n_rows: int) -> Column:
        """Return a file's rows of a column."""
        value = self.values[shard][name]
        missing = np.ones(n_rows, dtype=bool) if value is None else None
        if kind == "text":
            levels = () if value is None else (value,)
            return Column(kind, np.zeros(n_rows, dtype=np.int32), missing, levels)
        number = np.nan if value is None else float(value)
        return Column("number", np.full(n_rows, number), missing)

    def chosen(self, spec: DataSpec) -> Partitions:
        """Return those that the job includes."""

        def is_chosen(name: str) -> bool:
            is_in = not spec.include or any(fnmatchcase(name, each) for each in spec.include)
            return is_in and not any(fnmatchcase(name, each) for each in spec.exclude)

        kinds: dict[str, Kind] = {
            name: "text" if any(fnmatchcase(name, each) for each in spec.text) else kind
            for name, kind in self.kinds.items()
            if is_chosen(name)
        }
        return dataclasses.replace(self, kinds=kinds)

    def without(self, spec: DataSpec) -> DataSpec:
        """Return how to read the files, which do not have these columns; raises JobError."""
        keys = self.values[0].keys()
        lists = {name: getattr(spec, name) for name in ("include", "exclude", "text")}
        left = {key: [each for each in names if each not in keys] for key, names in lists.items()}
        if spec.include and not left["include"]:
            # Without any name they would give all their columns.
            raise JobError(
                f"data.include: got {', '.join(spec.include)}, which are in the names of folders, "
                "expected a column of the files, too; add one"
            )
        return dataclasses.replace(
            spec, include=left["include"], exclude=left["exclude"], text=left["text"]
        )


def find_partitions(shards: Sequence[Shard]) -> Partitions | None:
    """Return what the names of the files' folders tell; None if that is nothing.

    Raises DataError if they do not all tell of the same columns.
    """
    values = [_values(shard.name) for shard in shards]
    names = list(values[0])
    for shard, found in zip(shards, values, strict=True):
        if list(found) != names:
            raise DataError(
                f"{shard.path}: its folders name the columns {', '.join(found) or 'none'}, "
                f"expected {', '.join(names) or 'none'} as for {shards[0].path}; move the file, or "
                "name files of one kind by a pattern"
            )
    if not names:
        return None
    kinds: dict[str, Kind] = {}
    for name in names:
        known = [found[name] for found in values if found[name] is not None]
        kinds[name] = "number" if all(_WHOLE.fullmatch(str(each)) for each in known) else "text"
    return Partitions(kinds, values)


def _values(name: str) -> dict[str, str | None]:
    """Return the values in the folders' names of a path; of a name that comes twice the last."""
    found: dict[str, str | None] = {}
    for part in name.split("/")[:-1]:
        key, equals, value = part.partition("=")
        if key and equals:
            text = unquote(value)
            found[unquote(key)] = None if text == _MISSING else text
    return found
