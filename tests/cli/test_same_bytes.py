"""The model's bytes are the same on any number of ranks, and after a resume on another number."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest

from mpi_gd.model import load_model
from mpi_gd.solvers import SOLVERS

RANKS = [1, 3]
ALL_RANKS = [1, 2, 3, 4, 5, 8]
SETTINGS = {kind: "epochs = 3\nbatch_size = 100" for kind in ("sgd", "adagrad", "adam")} | {
    "svrg": "batch_size = 300",
    # Fewer than the most ranks, some of which have no rows then.
    "averaging": "workers = 5",
    "local-sgd": "workers = 5\nrounds = 3",
    "admm": "workers = 5",
}
# Solvers that are for one kind of loss; some take too few questions to be stopped.
LOSS = {"least-squares": "squared", "gram": "squared", "finite-smoothing": "hinge"}
# Under both MPIs tests/mpi has the bits of every solver: the whole program has these.
WITH_BOTH = {"auto", "sgd"}
KINDS = [
    pytest.param(kind, marks=() if kind in WITH_BOTH else pytest.mark.one_mpi) for kind in SOLVERS
]
STOPPABLE = [kind for kind in KINDS if kind.values[0] not in ("least-squares", "averaging", "gram")]


@pytest.mark.parametrize("kind", KINDS)
def test_every_solver_gives_the_same_bytes_on_any_number_of_ranks(
    kind: str, workplace: Any, program: Any
) -> None:
    job = workplace.job(
        f'[solver]\nkind = "{kind}"\n{SETTINGS.get(kind, "")}\n[stop]\nmax_iter = 15',
        loss=LOSS.get(kind, "logistic"),
        data="test_fraction = 0.3",
    )
    models, printed = set(), set()
    for n in ALL_RANKS if kind == "auto" else RANKS:
        done = program(n, "train", job, "--out", f"run{n}")
        assert done.rc == 0, done.text
        models.add(hashlib.sha256(workplace.model(f"run{n}")).hexdigest())
        printed.add(next(line for line in done.out.splitlines() if "held-out" in line))
    assert len(models) == 1
    assert len(printed) == 1


@pytest.mark.one_mpi
def test_float32_and_regression_too(workplace: Any, program: Any) -> None:
    job = workplace.job(
        loss="squared", data='dtype = "float32"\nstandardize = true\ntest_fraction = 0.1'
    )
    for n in (1, 3):
        assert program(n, "train", job, "--out", f"run{n}").rc == 0
    assert workplace.model("run1") == workplace.model("run3")


@pytest.mark.one_mpi
def test_the_optimum_is_right(workplace: Any, program: Any) -> None:
    """Ridge regression has a closed form."""
    assert program(2, "train", workplace.job(loss="squared"), "--out", "run").rc == 0
    model = load_model(workplace.folder / "run" / "model.npz")
    x, y = workplace.x, workplace.y
    centred = x - x.mean(axis=0)
    gram = centred.T @ centred / len(x) + 1e-3 * np.eye(x.shape[1])
    coef = np.linalg.solve(gram, centred.T @ (y - y.mean()) / len(x))
    np.testing.assert_allclose(model.coef, coef, rtol=1e-6)
    np.testing.assert_allclose(model.intercept, y.mean() - x.mean(axis=0) @ coef, rtol=1e-6)


@pytest.mark.one_mpi
def test_fewer_rows_than_ranks(workplace: Any, program: Any) -> None:
    np.save(workplace.folder / "x.npy", workplace.x[:5])
    np.save(workplace.folder / "label.npy", [1.0, -1.0, 1.0, -1.0, 1.0])
    for n in (1, 8):
        assert program(n, "train", workplace.job(), "--out", f"run{n}").rc == 0
    assert workplace.model("run1") == workplace.model("run8")


@pytest.mark.parametrize("kind", STOPPABLE)
def test_a_stopped_run_resumes_on_other_ranks_with_the_same_bytes(
    kind: str, workplace: Any, program: Any
) -> None:
    job = workplace.job(
        f'[solver]\nkind = "{kind}"\n{SETTINGS.get(kind, "")}\n[stop]\nmax_iter = 12\ntol = 0',
        loss=LOSS.get(kind, "logistic"),
    )
    assert program(2, "train", job, "--out", "whole").rc == 0
    # The time is over at once: each start takes one question more, then saves.
    stopped = program(3, "train", job, "--out", "parts", "--set", "stop.max_seconds=1e-9")
    assert stopped.rc == 75, stopped.text
    assert "--resume" in stopped.out
    assert not (workplace.folder / "parts" / "model.npz").exists()
    again = program(1, "train", job, "--out", "parts", "--resume", "--set", "stop.max_seconds=1e-9")
    assert again.rc == 75, again.text
    done = program(5, "train", job, "--out", "parts", "--resume")
    assert done.rc == 0, done.text
    # The limit of the time is in the job that the model records; it was given on the way only.
    assert workplace.model("parts") == workplace.model("whole")
    iterations = [
        json.loads(line)["iteration"]
        for line in (workplace.folder / "parts" / "metrics.jsonl").read_text().splitlines()
    ]
    assert iterations == sorted(set(iterations))
