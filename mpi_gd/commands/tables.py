"""Tables and lists of numbers as people read them: aligned, of a terminal's width, cut if long."""

from __future__ import annotations

from collections.abc import Sequence

from mpi_gd.evaluation import Table

__all__ = ["format_cell", "format_pairs", "format_table"]

_WIDTH = 100
_MOST_ROWS = 20
_LONGEST_TEXT = 24
_GAP = "  "


def format_table(table: Table, indent: str = "  ") -> list[str]:
    """Return a header and a line a row: text to the left, numbers to the right.

    Columns beyond 100 characters and rows beyond 20 are left out, which the last line says.
    """
    if not table:
        return [f"{indent}(empty)"]
    names = list(table[0])
    rows = table[:_MOST_ROWS]
    columns = [_column(name, [row[name] for row in rows]) for name in names]
    shown = _fitting([len(column[0]) for column in columns], len(indent))
    lines = zip(*columns[:shown], strict=True)
    left_out = []
    if len(table) > len(rows):
        left_out.append(f"{len(table) - len(rows)} more rows")
    if shown < len(names):
        left_out.append(f"{len(names) - shown} more columns")
    note = [f"{indent}({' and '.join(left_out)}: use --json)"] if left_out else []
    return [*(f"{indent}{_GAP.join(line)}".rstrip() for line in lines), *note]


def format_pairs(pairs: Sequence[tuple[str, str]], indent: str = "  ") -> list[str]:
    """Return a line for each name and value, the values below each other."""
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"{indent}{name:<{width}}{_GAP}{value}" for name, value in pairs]


def format_cell(value: object) -> str:
    """Return a number with six digits, a count with all of them, a text cut to what fits."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 3] + "..."


def _column(name: str, values: Sequence[object]) -> list[str]:
    """Return the cells of a column, the name first, all of one width."""
    cells = [format_cell(cell) for cell in (name, *values)]
    width = max(map(len, cells))
    is_text = any(isinstance(value, str) for value in values)
    return [cell.ljust(width) if is_text else cell.rjust(width) for cell in cells]


def _fitting(widths: list[int], used: int) -> int:
    """Return how many columns fit on a line: one at least."""
    for number, width in enumerate(widths):
        used += width + len(_GAP)
        if used > _WIDTH + len(_GAP):
            return max(1, number)
    return len(widths)
