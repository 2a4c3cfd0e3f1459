"""Collect what several runs have come to: a table of their scores, the best first.

It starts no MPI, so it is no command with a world: `run(options)`.
"""

from __future__ import annotations

import csv
import io
import json
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mpi_gd.errors import FileError, JobError
from mpi_gd.files import write_atomically
from mpi_gd.options import CollectOptions
from mpi_gd.status import read_status

__all__ = ["MORE_IS_BETTER", "Row", "run"]

# Scores of which more is better; of all others less is.
MORE_IS_BETTER = (
    *("accuracy", "balanced_accuracy", "top_2_accuracy", "top_3_accuracy", "top_5_accuracy"),
    *("f1_macro", "f1_weighted", "auc", "auc_ovr", "average_precision", "r2", "d2", "gini"),
)
_EXIT_MISSING = 1


@dataclass
class Row:
    """A run: what is different in its job, and its scores."""

    run: str
    state: str
    keys: dict[str, Any] = field(default_factory=dict)
    """The keys of its job, as in penalty.alpha."""
    scores: dict[str, float] = field(default_factory=dict)
    """Of the rows that were held out or, failing these, of the test file; and the objective."""


def run(options: CollectOptions) -> int:
    """Print the table; return 1 if a run has no result, else 0. Raises JobError, FileError."""
    rows = [_row(Path(folder)) for folder in options.folders]
    done = [row for row in rows if row.scores]
    if not done:
        raise JobError(f"none of {len(rows)} runs has finished; see their status.json")
    by = options.by or _usual(done)
    known = sorted({name for row in done for name in row.scores})
    if by not in known:
        raise JobError(f"--by: got {by!r}, expected one of {', '.join(known)}")
    # Runs without the score come last, and among them those without a result.
    sign = -1.0 if by in MORE_IS_BETTER else 1.0
    rows.sort(key=lambda row: (by not in row.scores, sign * row.scores.get(by, 0.0), row.run))
    table = _table(rows, _different(rows), [by, *(name for name in known if name != by)])
    if options.out:
        write_atomically(options.out, _as_csv(table).encode("utf-8"))
    print(_as_text(table))
    missing = [row for row in rows if not row.scores]
    print(f"The best of {len(done)} by {by}: {rows[0].run}")
    if missing:
        print(f"Without a result: {', '.join(f'{row.run} ({row.state})' for row in missing)}")
    return _EXIT_MISSING if missing else 0


def _row(folder: Path) -> Row:
    """Read a run's folder; raises FileError if it is none."""
    if not folder.is_dir():
        raise FileError(f"{folder}: there is no such run; give folders of runs, as runs/grid/*")
    row = Row(str(folder), str(read_status(folder).get("state", "no run")))
    try:
        job = tomllib.loads((folder / "job.toml").read_text(encoding="utf-8"))
        row.keys = dict(_flat(job))
        if row.state == "finished":
            row.scores = _scores(json.loads((folder / "summary.json").read_text(encoding="utf-8")))
    except OSError:
        # It did not get as far, or its folder is another's.
        pass
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(f"{folder}: job.toml or summary.json is damaged: {error}") from error
    return row


def _flat(document: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return a document's keys and values, with the tables' names in front."""
    found: list[tuple[str, Any]] = []
    for name, value in document.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, value))
    return found


def _scores(summary: dict[str, Any]) -> dict[str, float]:
    """Return the scores that decide."""
    scores = summary.get("scores") or {}
    chosen = scores.get("held-out") or scores.get("test") or {}
    numbers = {name: value for name, value in chosen.items() if name != "n"}
    numbers["objective"] = summary["objective"]
    return {
        name: float(value)
        for name, value in numbers.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _usual(rows: list[Row]) -> str:
    """Return the score to sort by where none is asked for: the loss of rows not trained on."""
    for name in ("log_loss", "deviance", "rmse"):
        if all(name in row.scores for row in rows):
            return name
    return "objective"


def _different(rows: list[Row]) -> list[str]:
    """Return the keys in which the runs differ."""
    keys = [row.keys for row in rows if row.keys]
    names = dict.fromkeys(name for each in keys for name in each)
    return [
        name
        for name in names
        if len({json.dumps(each.get(name), default=str) for each in keys}) > 1
    ]


def _table(rows: list[Row], keys: list[str], scores: list[str]) -> list[list[str]]:
    """Return the table's cells, its head first."""
    cells = [["run", "state", *keys, *scores]]
    for row in rows:
        own = [str(row.keys.get(key, "")) for key in keys]
        numbers = [repr(row.scores[name]) if name in row.scores else "" for name in scores]
        cells.append([row.run, row.state, *own, *numbers])
    return cells


def _as_csv(table: list[list[str]]) -> str:
    """Return the table as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue()


def _as_text(table: list[list[str]]) -> str:
    """Return the table for people: numbers are cut to some digits."""
    shown = [[_short(cell) for cell in row] for row in table]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    )


def _short(cell: str) -> str:
    """Return a number with six digits, a text as it is."""
    try:
        return cell if cell.isdigit() else f"{float(cell):.6g}"
    except ValueError:
        return cell
