"""Paths as programs: the same file on any number of ranks, which predict can read."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_a_path_is_the_same_on_any_number_of_ranks(loss: str, workplace: Any, program: Any) -> None:
    job = workplace.job("[path]\nn_alphas = 20", loss=loss, data="test_fraction = 0.2")
    changes = ["--set", "penalty.kind=elastic-net", "--set", "penalty.alpha=path"]
    made = []
    for ranks in (1, 3):
        done = program(ranks, "train", job, "--out", f"run{ranks}", *changes)
        assert done.rc == 0, done.text
        assert "the best held-out mean loss: alpha = " in done.text
        made.append(workplace.model(f"run{ranks}"))
    assert made[0] == made[1]
