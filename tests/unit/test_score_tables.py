"""Scores as people read them: one line that sums up, or all numbers and tables, cut if long."""

from __future__ import annotations

import numpy as np

from mpi_gd.commands.score import describe_scores, format_scores
from mpi_gd.commands.tables import format_table
from mpi_gd.losses import LOSSES
from tests.scored import score


def test_one_line_has_the_main_numbers() -> None:
    scores = score(LOSSES["logistic"](), [0, 1, 1, 0], [-1, 2, -0.5, -2])
    assert format_scores(scores) == "4 rows: accuracy 0.75, log loss 0.385299, AUC 1"
    one = score(LOSSES["logistic"](), [0, 0], [-1, 2])
    assert format_scores(one).endswith("AUC (no row of any weight is of the class '1')")


def test_all_scores_in_lines() -> None:
    labels = ("no", "yes, perhaps")
    scores = score(LOSSES["logistic"](), [0, 1, 1, 0], [-1, 2, -0.5, -2], labels=labels)
    lines = describe_scores(scores)
    assert lines[0] == "4 rows:"
    assert "  balanced accuracy  0.75" in lines
    start = lines.index("classes")
    assert lines[start + 1 : start + 4] == [
        "  class         precision  recall        f1  support",
        "  no             0.666667       1       0.8        2",
        "  yes, perhaps          1     0.5  0.666667        2",
    ]
    assert max(map(len, lines)) <= 100
    none = describe_scores(score(LOSSES["logistic"](), [0, 0], [-1, 2], labels=labels))
    reason = next(line for line in none if line.startswith("  AUC "))
    assert reason.endswith("  no row of any weight is of the class 'yes, perhaps'")


def test_large_tables_are_cut_with_a_note() -> None:
    scores = score(LOSSES["multinomial"](), np.arange(40), np.eye(40), labels=tuple(names(40)))
    table = scores["confusion"]
    assert isinstance(table, list)
    lines = format_table(table)
    assert max(map(len, lines)) <= 100
    assert lines[-1] == "  (20 more rows and 38 more columns: use --json)"
    assert len(lines) == 1 + 20 + 1
    assert format_table([]) == ["  (empty)"]


def names(n: int) -> list[str]:
    return [f"a label that is rather long, of number {k}" for k in range(n)]
