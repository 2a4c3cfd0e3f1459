"""Write rows as a Parquet file: groups of rows that depend on the rows' shape alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mpi_gd.data.columns import Column
from mpi_gd.data.writing.layout import Layout, Rows
from mpi_gd.data.writing.npy import dense_of
from mpi_gd.errors import JobError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["job_lines", "write_parquet"]

# Numbers of a group of rows: small enough for many ranks, and large enough to pack well.
_GROUP_NUMBERS = 1 << 21
_LEAST_ROWS = 1024
_MOST_COLUMNS = 20_000


def write_parquet(
    file: BinaryIO, layout: Layout, path: Path, read: Callable[[int, int], Rows]
) -> None:
    """Write the rows that `read` gives into a file that will be `path`.

    Raises JobError without pyarrow, or for more columns than a table has.
    """
    roles, schema = _roles(layout), None
    if len(layout.columns) > _MOST_COLUMNS:
        raise JobError(
            f"{path}: {len(layout.columns):,} columns, expected at most {_MOST_COLUMNS:,} in a "
            "Parquet file; give a name that ends in .npz"
        )
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise JobError(f'{path}: Parquet needs pyarrow: pip install "mpi_gd[parquet]"') from error
    step = max(_LEAST_ROWS, _GROUP_NUMBERS // (len(layout.columns) + len(roles)))
    for start in range(0, layout.n_rows, step):
        table = _table(read(start, min(start + step, layout.n_rows)), layout, roles)
        if schema is None:
            schema = table.schema
            writer = pq.ParquetWriter(file, schema, compression="snappy")
        writer.write_table(table, row_group_size=step)
    writer.close()


def job_lines(path: Path, layout: Layout) -> dict[str, str]:
    """Return the keys of [data] that read the file."""
    return {"path": path.name, **{role: layout.name_of(role) for role in _roles(layout)}}


def _roles(layout: Layout) -> list[str]:
    """Return the columns beside the features, the target last."""
    roles = [role for role in layout.vectors if role != "target"]
    return [*roles, "target"] if layout.target else roles


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
