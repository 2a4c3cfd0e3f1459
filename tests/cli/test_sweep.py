"""The sweep of a step as a program."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.mark.one_mpi
def test_a_suggested_step_is_the_same_on_any_number_of_ranks(workplace: Any, program: Any) -> None:
    job = workplace.job('[solver]\nkind = "sgd"')
    for n in (1, 3):
        done = program(n, "sweep", job, "--steps", "60", "--out", f"{n}.json")
        assert done.rc == 0, done.text
    folder = workplace.folder
    assert (folder / "1.json").read_bytes() == (folder / "3.json").read_bytes()
    step = json.loads((folder / "1.json").read_text())["suggestion"]
    assert f"\n  --set solver.step={step:g}\n" in done.out
    trained = program(2, "train", job, "--set", f"solver.step={step:g}", "--out", "run")
    assert trained.rc == 0, trained.text
