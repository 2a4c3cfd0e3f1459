"""The table of all candidates: for people, and for a file whose bytes are the same anywhere."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from mpi_gd.errors import JobError
from mpi_gd.selection.ranking import Result

__all__ = ["as_csv", "as_parquet", "columns_of", "lines", "require_parquet"]

_SHOWN = 12


def columns_of(results: Sequence[Result]) -> dict[str, list[Any]]:
    """Return the table's columns, for results in their order."""
    keys = list(dict.fromkeys(key for result in results for key in result.values))
    n_splits = max((len(result.scores) for result in results), default=0)
    table: dict[str, list[Any]] = {
        "rank": list(range(1, len(results) + 1)),
        "candidate": [result.number for result in results],
        "mean": [_number(result.mean) for result in results],
        "standard_error": [_number(result.error) for result in results],
        "rows": [result.share for result in results],
    }
    for key in keys:
        table[key] = [_plain(result.values.get(key)) for result in results]
    for k in range(n_splits):
        table[f"split_{k + 1}"] = [
            result.scores[k] if k < len(result.scores) else None for result in results
        ]
    table["failed"] = [result.failed for result in results]
    return table


def as_csv(results: Sequence[Result]) -> bytes:
    """Return the table as CSV; numbers have all their digits."""
    table = columns_of(results)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(
        ["" if cell is None else repr(cell) if isinstance(cell, float) else cell for cell in row]
        for row in zip(*table.values(), strict=True)
    )
    return text.getvalue().encode("utf-8")


def require_parquet() -> None:
    """Raise JobError if no Parquet file can be written."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise JobError(
            'tune.results = "parquet" needs pyarrow: pip install "mpi_gd[parquet]"; or set "csv"'
        ) from None


def as_parquet(results: Sequence[Result]) -> bytes:
    """Return the table as a Parquet file."""
    import pyarrow
    import pyarrow.parquet

    table = columns_of(results)
    for key, column in table.items():
        # A key may have numbers and texts, of which no column is made.
        if len({type(cell) for cell in column if cell is not None} - {int, float}) > 1 or (
            any(isinstance(cell, str) for cell in column)
            and any(isinstance(cell, int | float) for cell in column)
        ):
            table[key] = [None if cell is None else str(cell) for cell in column]
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(table), sink)
    return sink.getvalue()


def lines(results: Sequence[Result], metric: str) -> list[dict[str, Any]]:
    """Return the first rows of the table for people."""
    found = []
    for rank, result in enumerate(results[:_SHOWN], start=1):
        row: dict[str, Any] = {"rank": rank}
        row |= {key: _plain(value) for key, value in result.values.items()}
        row[metric] = _number(result.mean)
        row["error"] = _number(result.error)
        if any(each.share < 1.0 for each in results):
            row["rows"] = f"{result.share:.3g}"
        if any(each.failed for each in results[:_SHOWN]):
            row["failed"] = result.failed.partition(":")[0] if result.failed else ""
        found.append(row)
    return found


def _number(value: float) -> float | None:
    """Return a finite number, or None."""
    return value if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    """Return a value that a cell can hold."""
    return (
        value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)
    )
