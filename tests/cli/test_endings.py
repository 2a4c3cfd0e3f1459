"""How a training ends, as the program tells it: exit codes, summary, certificate; and paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def summary_of(workplace: Any, out: str) -> Any:
    """Return the summary of a run."""
    return json.loads((workplace.folder / out / "summary.json").read_text())


def test_a_run_that_must_converge_fails_otherwise_with_all_it_has(
    workplace: Any, program: Any
) -> None:
    job = workplace.job()
    short = ("--set", "solver.kind=gd", "--set", "stop.max_iter=2")
    assert program(2, "train", job, "--out", "kind", *short).rc == 0
    must = (*short, "--set", "stop.require_convergence=true")
    done = program(2, "train", job, "--out", "strict", *must)
    assert done.rc == 4, done.text
    assert "Not converged: max_iter" in done.out
    run: Path = workplace.folder / "strict"
    assert workplace.model("strict") and list((run / "checkpoints").iterdir())
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("finished", 4)
    # The same again has nothing left to do, and is no better.
    assert program(2, "train", job, "--out", "strict", "--resume", *must).rc == 4
    # With time enough it goes on, and is content.
    more = ("--set", "solver.kind=gd", "--set", "stop.require_convergence=true")
    enough = ("--set", "stop.tol=1e-3", "--set", "stop.max_iter=5000")
    done = program(3, "train", job, "--out", "strict", "--resume", *more, *enough)
    assert done.rc == 0, done.text
    assert "Going on from iteration 2" in done.out


def test_the_certificate_is_told_and_written(workplace: Any, program: Any) -> None:
    done = program(2, "train", workplace.job(), "--out", "run")
    assert done.rc == 0, done.text
    assert "(duality gap)" in done.out and "digits of it are certain" in done.out
    certificate = summary_of(workplace, "run")["certificate"]
    assert certificate["bound"] == "duality gap" and certificate["certain_digits"] >= 7
    assert 0 < certificate["gap"] < 1e-6
    assert certificate["kkt_residual"] == summary_of(workplace, "run")["criterion"]


def test_a_gap_or_passes_end_a_run(workplace: Any, program: Any) -> None:
    job = workplace.job()
    rules = ("--set", "stop.gap_tol=1e-3", "--set", "stop.tol=0", "--set", "solver.kind=lbfgs")
    done = program(2, "train", job, "--out", "gap", *rules)
    assert done.rc == 0 and "within gap_tol" in done.out, done.text
    told = summary_of(workplace, "gap")
    assert told["converged"] and told["certificate"]["gap"] <= 1e-3 * told["objective"]
    limit = ("--set", "stop.max_passes=5", "--set", "solver.kind=gd", "--set", "stop.tol=0")
    done = program(1, "train", job, "--out", "passes", *limit)
    assert done.rc == 0 and "max_passes reached" in done.out, done.text
    assert summary_of(workplace, "passes")["rows"] == 5 * 4321


def test_a_path_has_the_same_bytes_on_any_number_of_ranks(workplace: Any, program: Any) -> None:
    job = workplace.job(loss="squared")
    lasso = ("--set", "penalty.kind=l1", "--n-alphas", "20")
    for n in (1, 3):
        done = program(n, "path", job, *lasso, "--out", f"path-{n}.npz")
        assert done.rc == 0, done.text
    files = [(workplace.folder / f"path-{n}.npz").read_bytes() for n in (1, 3)]
    assert files[0] == files[1]
    with np.load(workplace.folder / "path-1.npz") as path:
        coef, alphas = path["coef"], path["alphas"]
        assert coef.shape == (20, 7) and not coef[0].any() and coef[-1].any()
        assert alphas[-1] / alphas[0] - 1e-3 < 1e-12 and (np.diff(path["explained"]) >= 0).all()
        last, intercept = coef[-1], float(path["intercept"][-1])
        objective = float(path["objective"][-1])
    # Each is the fit that a training of that alpha finds.
    alpha = ("--set", "penalty.kind=l1", "--set", f"penalty.alpha={float(alphas[-1])!r}")
    assert program(2, "train", job, *alpha, "--out", "one").rc == 0
    residual = workplace.x @ last + intercept - workplace.y
    np.testing.assert_allclose(summary_of(workplace, "one")["objective"], objective, rtol=1e-12)
    penalty = float(alphas[-1]) * np.abs(last).sum()
    np.testing.assert_allclose(objective, np.square(residual).mean() / 2 + penalty, rtol=1e-10)


def test_a_path_of_another_loss(workplace: Any, program: Any) -> None:
    lasso = ("--set", "penalty.kind=l1", "--n-alphas", "4", "--out", "path.csv")
    done = program(2, "path", workplace.job(), *lasso)
    assert done.rc == 0, done.text
    lines = (workplace.folder / "path.csv").read_text().splitlines()
    assert len(lines) == 5 and lines[0].startswith('"alphas","objective","loss","explained"')
    refused = program(1, "path", workplace.job(), "--set", "penalty.kind=none")
    assert refused.rc == 2 and "a path is of" in refused.err
