"""Write rows as a Parquet file: groups of rows that depend on the rows' shape alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpi_gd.data.columns import Column
from mpi_gd.data.writing.layout import Layout, Rows
from mpi_gd.data.writing.npy import dense_of
from mpi_gd.errors import JobError
from mpi_gd.files import discard, publish, reserve

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["write_parquet"]

# Numbers of a group of rows: small enough for many ranks, and large enough to pack well.
_GROUP_NUMBERS = 1 << 21
_LEAST_ROWS = 1024
_MOST_COLUMNS = 20_000


def write_parquet(
    path: Path, layout: Layout, read: Callable[[int, int], Rows], *, write: bool = True
) -> dict[str, str]:
    """Write the rows that `read` gives, if `write`; return the keys of [data] that read the file.

    Raises JobError without pyarrow, or for more columns than a table has; FileError.
    """
    roles = [role for role in layout.vectors if role != "target"]
    roles += ["target"] if layout.target else []
    if len(layout.columns) > _MOST_COLUMNS:
        raise JobError(
            f"{path}: {len(layout.columns):,} columns, expected at most {_MOST_COLUMNS:,} in a "
            "Parquet file; give a name that ends in .npz"
        )
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise JobError(f'{path}: Parquet needs pyarrow: pip install "mpi_gd[csv]"') from error
    if write:
        step = max(_LEAST_ROWS, _GROUP_NUMBERS // (len(layout.columns) + len(roles)))
        temporary = reserve(path, 0)
        try:
            schema = None
            with temporary.open("wb") as file:
                for start in range(0, layout.n_rows, step):
                    table = _table(read(start, min(start + step, layout.n_rows)), layout, roles)
                    if schema is None:
                        schema = table.schema
                        writer = pq.ParquetWriter(file, schema, compression="snappy")
                    writer.write_table(table, row_group_size=step)
                writer.close()
            publish(temporary, path)
        finally:
            discard(temporary)
    return {"path": path.name, **{role: layout.name_of(role) for role in roles}}


def _table(rows: Rows, layout: Layout, roles: list[str]) -> pa.Table:
    """Return rows as Arrow's columns."""
    import pyarrow as pa

    columns: dict[str, Any] = {}
    if rows.columns:
        for name in layout.columns:
            columns[name] = _array(rows.columns[name])
    else:
        for name, values in zip(layout.columns, dense_of(rows.x).T, strict=True):
            columns[name] = pa.array(np.ascontiguousarray(values, layout.dtype))
    for role in roles:
        columns[layout.name_of(role)] = pa.array(rows.vectors[role])
    return pa.table(columns)


def _array(column: Column) -> pa.Array:
    """Return a table's column as Arrow has it."""
    import pyarrow as pa

    missing = column.missing
    if column.kind == "text":
        codes = pa.array(column.values.astype(np.int32), mask=missing)
        return pa.DictionaryArray.from_arrays(codes, pa.array(column.levels, pa.string())).cast(
            pa.string()
        )
    if column.kind == "boolean":
        return pa.array(column.values == 1, mask=missing)
    if column.kind == "date":
        return pa.array(column.values, pa.timestamp("us"), mask=missing)
    return pa.array(column.values, mask=missing)
