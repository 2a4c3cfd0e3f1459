"""The table that `inspect` prints for people."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mpi_gd.commands.profile import ColumnProfile
from mpi_gd.data import Source

__all__ = ["as_text"]

_SHOWN = 50
_HEAD = ("column", "kind", "missing", "zeros", "lowest", "mean", "highest", "deviation")
_NAME, _LEVELS = 30, 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_text(
    source: Source,
    columns: Sequence[ColumnProfile],
    plan: dict[str, Any],
    remarks: Sequence[str],
    *,
    all_: bool,
) -> str:
    """Return the summary, a line a column, the plan, and the remarks."""
    what = "sparse columns" if source.n_stored else "columns"
    lines = [f"{source.n_samples:,} rows x {source.n_features:,} {what} of {source.dtype}"]
    if source.n_stored:
        share = source.n_stored / (source.n_samples * source.n_features)
        lines[0] += f", {source.n_stored:,} numbers stored ({share:.2g} of all)"
    lines += ["", *_table(source.n_samples, columns, all_), "", *_plan(plan)]
    if remarks:
        lines += ["", *(f"* {remark}" for remark in remarks)]
    return "\n".join(lines)


def _table(n_rows: int, columns: Sequence[ColumnProfile], all_: bool) -> list[str]:
    """Return a line a column, the first ones of many, and those with a role."""
    features = [column for column in columns if column.role == "feature"]
    others = [column for column in columns if column.role != "feature"]
    shown = features if all_ else features[:_SHOWN]
    cells = [_HEAD, *(_cells(n_rows, column) for column in [*shown, *others])]
    n = len(_HEAD)
    widths = [max(len(row[k]) for row in cells if len(row) == n or k < 4) for k in range(n)]
    room = max(60, shutil.get_terminal_size((100, 24)).columns)
    lines = []
    for row in cells:
        parts = [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
        parts += [cell.rjust(width) for cell, width in zip(row[2:4], widths[2:4], strict=True)]
        if len(row) == n:
            parts += [cell.rjust(width) for cell, width in zip(row[4:], widths[4:], strict=True)]
        else:
            parts.append(row[4])
        line = "  ".join(parts).rstrip()
        lines.append(line if len(line) <= room else f"{line[: room - 3]}...")
    if len(shown) < len(features):
        lines.append(f"... and {len(features) - len(shown):,} more features (--all)")
    return lines


def _cells(n_rows: int, column: ColumnProfile) -> tuple[str, ...]:
    """Return what is shown of a column."""
    kind = column.kind
    if column.role != "feature":
        kind = f"{kind}, {column.role}"
    name = column.name if len(column.name) <= _NAME else f"{column.name[: _NAME - 3]}..."
    missing = _share(column.n_missing, n_rows)
    if column.kind == "text":
        return name, kind, missing, "", _levels(column)
    show = _date if column.kind == "date" else _number
    figures = (column.lowest, column.mean, column.highest)
    spread = "" if column.kind == "date" else _number(column.deviation)
    return name, kind, missing, _share(column.n_zeros, n_rows), *map(show, figures), spread


def _levels(column: ColumnProfile) -> str:
    """Return the number of levels, and the most frequent ones."""
    if column.n_levels is None:
        return "too many levels to count"
    top = ", ".join(f"{text:.20} ({count:,})" for text, count in column.top[:_LEVELS])
    more = ", ..." if column.n_levels > _LEVELS else ""
    return f"{column.n_levels:,} levels: {top}{more}"


def _share(count: int, n_rows: int) -> str:
    """Return a count as a share that is neither 0 nor 1 unless it is."""
    if not count:
        return "-"
    share = 100.0 * count / n_rows
    if share < 0.1:
        return "< 0.1%"
    return "> 99.9%" if 99.9 < share < 100.0 else f"{share:.3g}%"


def _number(value: float) -> str:
    """Return a number in few digits."""
    return "" if math.isnan(value) else f"{value:.5g}"


def _date(value: float) -> str:
    """Return a moment."""
    if math.isnan(value):
        return ""
    try:
        moment = _EPOCH + timedelta(microseconds=round(value))
    except OverflowError:
        return _number(value)
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    return text.removesuffix(" 00:00:00")


def _plan(plan: dict[str, Any]) -> list[str]:
    """Return what training takes."""
    few, many = plan["rows_per_rank"]
    rows = f"{few:,}" if few == many else f"{few:,} to {many:,}"
    ranks = "1 rank" if plan["ranks"] == 1 else f"{plan['ranks']:,} ranks"
    fits = "fits" if plan["fits"] else "does NOT fit; use more nodes or a narrower dtype"
    return [
        f"On {ranks}: {rows} rows each; {plan['tiles']:,} tiles of {plan['tile_rows']:,} rows, in "
        f"blocks of {plan['block_rows']:,}",
        f"Memory: {_bytes(plan['x_bytes'])} of rows, about {_bytes(plan['rank_bytes'])} a rank, "
        f"{_bytes(plan['node_bytes'])} a node, of {_bytes(plan['free_bytes'])} free here: {fits}",
        f"A pass over the rows: about {_seconds(plan['pass_seconds'])} "
        f"({plan['pass_seconds_are']})",
    ]


def _bytes(count: float) -> str:
    """Return bytes in a unit that people read."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def _seconds(value: float) -> str:
    """Return a time in few digits."""
    return f"{value:.2g} s" if value >= 1 else f"{1e3 * value:.2g} ms"
