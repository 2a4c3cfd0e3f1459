"""Tables whose columns come from pyarrow: what Parquet and Arrow files have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.arrays import aligned_empty, narrow, storage_type
from mpi_gd.data.columns import Column, Kind, empty, join
from mpi_gd.data.formats.arrow_columns import kind_of, role_values, to_column
from mpi_gd.data.formats.arrow_lists import element, places_of, with_lists
from mpi_gd.data.formats.csv_layout import find_roles
from mpi_gd.data.names import check_names, describe_roles, digest_of_names
from mpi_gd.data.probe import Stamp, open_same, sample_digest
from mpi_gd.data.roles import NEEDED, ROLES, Purpose
from mpi_gd.data.selection import selected
from mpi_gd.data.source import Block, Target
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.table import TableBlock, TableSource
from mpi_gd.errors import DataError, GapError, JobError

__all__ = ["ArrowTable", "explained_arrow", "require_pyarrow"]

# Rows that are copied from columns into rows of X at a time: their part of X stays in the cache.
_BLOCK_ROWS = 2048


def require_pyarrow(path: Path, what: str, extra: str) -> None:
    """Raise JobError without pyarrow."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise JobError(f'{path}: {what} needs pyarrow: pip install "mpi_gd[{extra}]"') from error


@contextmanager
def explained_arrow(path: Path, what: str) -> Iterator[None]:
    """Turn what pyarrow raises on damaged files into a DataError."""
    import pyarrow as pa

    try:
        yield
    except (DataError, JobError):
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, EOFError) as error:
        raise DataError(
            f"{path}: not a readable {what} file ({str(error)[:200]}); copy it or write it again"
        ) from error


class ArrowTable(TableSource):
    """Rows of an Arrow schema's columns."""

    what: str
    """What the file is, for messages."""

    def __init__(
        self, spec: DataSpec, path: Path, mark: Stamp, schema: Any, purpose: Purpose
    ) -> None:
        """Find the columns by the schema; raises DataError, JobError."""
        self._path, self._stamp = path, mark
        names = list(schema.names)
        check_names(names, str(path), "name each column once")
        found = find_roles(spec, path, names, True, purpose, ",")
        others = [name for place, name in enumerate(names) if place not in found.values()]
        with explained_arrow(path, self.what):
            self._places = places_of(others, schema, spec, self.first_value, str(path))
        held: dict[str, list[str]] = {each.column: [] for each in self._places.values()}
        for name, place in self._places.items():
            held[place.column].append(name)
        others = [each for name in others for each in held.get(name, [name])]
        check_names(others, str(path), "name each column once")
        if not others:
            raise DataError(f"{path}: there is no column that is a feature; name another target")
        spec = with_lists(spec, self._places)
        self.columns = tuple(selected(others, spec, str(path), purpose))
        types = {name: self._type(name, schema) for name in self.columns}
        self.kinds = {name: self._kind(name, form) for name, form in types.items()}
        roles = {role: names[p] for role, p in found.items() if role in NEEDED[purpose]}
        self._role_kinds = {
            role: self._kind(name, schema.field(name).type) for role, name in roles.items()
        }
        self.texts = frozenset(role for role, kind in self._role_kinds.items() if kind == "text")
        self.target_name = roles.get("target", "")
        self.role_names = {role: name for role, name in roles.items() if role != "target"}
        self._roles = roles
        self.n_features = len(self.columns)
        own = set(map(str, types.values()))
        halves = {"halffloat": np.float16, "float": np.float32}
        kept = halves.get(own.pop(), np.float64) if len(own) == 1 else np.float64
        self.dtype = storage_type(spec.dtype, np.dtype(kept))

    def _type(self, name: str, schema: Any) -> Any:
        """Return the Arrow type of a feature's values."""
        place = self._places.get(name)
        return schema.field(place.column).type.value_type if place else schema.field(name).type

    def _kind(self, name: str, form: Any) -> Kind:
        """Return a column's kind; raises DataError for a type that is none."""
        kind = kind_of(form)
        if kind is None:
            raise DataError(
                f"{self._path}: column {name!r} is of the type {form!s:.60}, expected numbers, "
                f"text, booleans or dates; leave it out: exclude = [{name!r}] under [data]"
            )
        return kind

    @abstractmethod
    def first_value(self, name: str) -> Any:
        """Return a column's value in the first row, None without rows."""

    @abstractmethod
    def batches(self, start: int, stop: int, names: Sequence[str]) -> Iterator[Any]:
        """Yield tables of Arrow's that are the rows [start, stop), with these columns."""

    def _tables(self, start: int, stop: int, names: Sequence[str]) -> Iterator[tuple[int, Any]]:
        """Yield first rows and tables, from a file that is still the same."""
        stored = [self._places[name].column if name in self._places else name for name in names]
        wanted = list(dict.fromkeys([*stored, *self._roles.values()]))
        with open_same(self._path, self._stamp), explained_arrow(self._path, self.what):
            for table in self.batches(start, stop, wanted):
                yield start, table
                start += table.num_rows
        if start < stop:
            raise DataError(
                f"{self._path}: it ends before row {start}, expected {self.n_samples} rows; copy "
                "it or write it again"
            )

    def read_columns(self, start: int, stop: int, names: Sequence[str]) -> TableBlock:
        """Return some columns of the rows [start, stop)."""
        self.check_range(start, stop)
        parts: dict[str, list[Column]] = {name: [] for name in names}
        rest: dict[str, list[NDArray[Any]]] = {role: [] for role in self._roles}
        for row, table in self._tables(start, stop, names):
            for name in names:
                parts[name].append(self._column(table, name, row))
            self._add_rest(rest, table, row)
        found = {
            name: join(each) if each else empty(self.kinds[name]) for name, each in parts.items()
        }
        return TableBlock(found, *self._joined(rest, stop - start))

    def read(self, start: int, stop: int) -> Block:
        """Return the rows [start, stop), of which every value is a number."""
        self.check_range(start, stop)
        x = aligned_empty((stop - start, self.n_features), self.dtype)
        rest: dict[str, list[NDArray[Any]]] = {role: [] for role in self._roles}
        for row, table in self._tables(start, stop, self.columns):
            self._put(table, row, x[row - start : row - start + table.num_rows])
            self._add_rest(rest, table, row)
        return Block(x, *self._joined(rest, stop - start))

    def _put(self, table: Any, row: int, out: NDArray[Any]) -> None:
        """Copy a table's columns into rows; raises DataError for a gap or too large a number."""
        found = [self._column(table, name, row) for name in self.columns]
        for name, column in zip(self.columns, found, strict=True):
            if column.first_missing is not None:
                raise GapError(
                    f"{self.locate_cell(row + column.first_missing, name)}: got nothing, expected "
                    "a number; remove the row, or say what stands for it: missing under [prepare]"
                )
        for first in range(0, len(out), _BLOCK_ROWS):
            last = min(first + _BLOCK_ROWS, len(out))
            block = np.empty((last - first, len(found)))
            for place, column in enumerate(found):
                block[:, place] = column.values[first:last]
            lost = narrow(block, out[first:last])
            if lost is not None:
                raise DataError(
                    f"{self.locate(row + first + lost)}: a number is too large for {self.dtype}; "
                    'set dtype = "float64" or rescale the column'
                )

    def _column(self, table: Any, name: str, row: int) -> Column:
        """Return a feature's column of a table."""
        where = f"{self._path}: column {name!r}"
        place = self._places.get(name)
        found = element(table.column(place.column), place, where, row) if place else None
        return to_column(
            table.column(name) if found is None else found, self.kinds[name], where, row
        )

    def _add_rest(self, rest: dict[str, list[NDArray[Any]]], table: Any, row: int) -> None:
        """Add what a table has in the roles."""
        for role, name in self._roles.items():
            where = f"{self._path}: column {name!r} (data.{role})"
            column = to_column(table.column(name), self._role_kinds[role], where, row)
            is_text = role == "target" or ROLES[role].is_text
            rest[role].append(role_values(column, where, row, is_text))

    def _joined(
        self, rest: dict[str, list[NDArray[Any]]], n_rows: int
    ) -> tuple[Target, dict[str, NDArray[Any]]]:
        """Return y and the other roles."""
        found = {
            role: np.concatenate(parts)
            if parts
            else np.empty(0, dtype="U1" if role in self.texts else np.float64)
            for role, parts in rest.items()
        }
        y = found.pop("target", None)
        return np.full(n_rows, np.nan) if y is None else y, found

    def fingerprint(self) -> str:
        """Describe size, columns, kinds and a sample of the bytes."""
        kinds = ",".join(self.kinds.values()) if set(self.kinds.values()) != {"number"} else ""
        return (
            f"{self._stamp.size} bytes ({sample_digest(self._path, self._stamp)}), "
            f"{digest_of_names(self.columns)}{kinds and f' of {kinds}'}, {self.dtype}, target "
            f"{self.target_name!r}{describe_roles(self.role_names)}"
        )

    def locate(self, row: int) -> str:
        """Name the row, counted from 0."""
        return f"{self._path}: row {row}"

    def locate_cell(self, row: int, name: str) -> str:
        """Name the row and the column."""
        return f"{self._path}: row {row}, column {name!r}"
