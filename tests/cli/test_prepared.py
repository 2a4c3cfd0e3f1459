"""Columns of text, dates, numbers with gaps, in the whole program: same bytes, one message."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.one_mpi

JOB = """
[data]
path = "table.csv"
target = "y"
[prepare]
categorical = ["colour", "shop", "when.month"]
hash = {user = 6}
dates = ["month", "hour"]
missing = {size = "mean", colour = "level", shop = "most frequent"}
indicator = true
winsorize = {size = 0.01}
splines = {"when.hour" = 5}
interactions = ["size:colour"]
min_count = 20
layout = "sparse"
[loss]
kind = "logistic"
[penalty]
kind = "l2"
alpha = 1e-3
"""


def write(path: Any, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV, in which None is nothing."""
    lines = [",".join("" if cell is None else str(cell) for cell in row.values()) for row in rows]
    path.write_text("\n".join([",".join(rows[0]), *lines]) + "\n")


def table() -> list[dict[str, Any]]:
    """Return rows with gaps, levels that few rows have, and users of whom each is one's alone."""
    rng = np.random.default_rng(7)
    n = 2500
    colour = rng.choice(["red", "green", "blue"], n)
    size, hour = rng.normal(size=n), rng.integers(0, 24, n)
    z = size * (colour == "red") + np.sin(hour / 4) + (colour == "blue")
    y = np.where(z + rng.logistic(size=n) > 0.5, "yes", "no")
    shop = rng.zipf(1.7, n) % 97
    gap = rng.random((n, 2)) < 0.05
    return [
        {
            "colour": None if gap[k, 0] else colour[k],
            "size": None if gap[k, 1] else float(size[k]),
            "shop": shop[k],
            "user": f"user {k}",
            "when": f"2024-{k % 12 + 1:02}-03T{hour[k]:02}:30:00",
            "y": y[k],
        }
        for k in range(n)
    ]


def test_prepared_columns_give_the_same_bytes_and_a_new_level_is_one_error(
    workplace: Any, program: Any
) -> None:
    rows, folder = table(), workplace.folder
    write(folder / "table.csv", rows)
    (folder / "job.toml").write_text(JOB)
    for n in (1, 3):
        assert program(n, "train", "job.toml", "--out", f"on{n}").rc == 0
    assert workplace.model("on1") == workplace.model("on3")
    # In another order, with a column more, and without the target.
    new = [{"more": "?", **{k: row[k] for k in reversed(row) if k != "y"}} for row in rows[:700]]
    write(folder / "new.csv", new)
    for n in (1, 3):
        assert program(n, "predict", "on1/model.npz", "new.csv", "--out", f"p{n}.csv").rc == 0
    expected = (folder / "p1.csv").read_text()
    assert expected == (folder / "p3.csv").read_text() and len(expected.splitlines()) == 701
    new[5]["colour"] = new[699]["colour"] = "mauve"
    write(folder / "odd.csv", new)
    done = program(3, "predict", "on1/model.npz", "odd.csv")
    message = "odd.csv: line 7, column 'colour': 2 rows have levels that the training did not"
    assert done.rc == 2 and done.err.count(message) == 1 and "'mauve'" in done.err


def test_what_is_not_said_is_refused(workplace: Any, program: Any) -> None:
    rows = table()
    write(workplace.folder / "table.csv", rows)
    (workplace.folder / "job.toml").write_text(JOB.replace('colour = "level", ', ""))
    n_gaps = sum(row["colour"] is None for row in rows)
    first = next(k for k, row in enumerate(rows) if row["colour"] is None)
    done = program(3, "train", "job.toml", "--out", "run")
    message = (
        f"table.csv: line {first + 2}, column 'colour': {n_gaps} values are missing, the first"
    )
    assert done.rc == 2 and done.err.count(message) == 1, done.err
