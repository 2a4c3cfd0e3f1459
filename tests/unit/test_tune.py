"""The command tune in one process: scores as plain NumPy has them, and searches that go on."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpi_gd import signals
from mpi_gd.comm import SerialWorld, World
from mpi_gd.commands import folder, trial, tune
from mpi_gd.config.tune import parse_search
from mpi_gd.errors import DataError, JobError
from mpi_gd.model import load_model
from mpi_gd.options import TuneOptions
from mpi_gd.selection.folds import make_plan
from tests.simulated import on_ranks

N, D = 900, 5
RNG = np.random.default_rng(8)
X = RNG.normal(size=(N, D)) * [1.0, 5.0, 0.2, 1.0, 2.0] + [0.0, 30.0, 0.0, -1.0, 0.0]
Y = X @ [1.0, 0.1, 3.0, 0.0, 0.0] + RNG.normal(size=N)
B = (Y + RNG.normal(size=N) > np.median(Y)) * 1.0
GROUP = RNG.integers(0, 40, N) * 1.0
WEIGHT = RNG.integers(0, 3, N) * 1.0


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folder, "_locks", {})
    for name, array in (("x", X), ("y", Y), ("b", B), ("w", WEIGHT), ("g", GROUP)):
        np.save(f"{name}.npy", array)
    return tmp_path


def job(text: str = "", loss: str = "squared", data: str = "", penalty: str = "l2") -> str:
    """Write a job; `text` has the tables [tune] and [space]."""
    target = "b.npy" if loss == "logistic" else "y.npy"
    Path("job.toml").write_text(
        f'[data]\npath = "x.npy"\ntarget = "{target}"\n{data}\n[loss]\nkind = "{loss}"\n'
        f'[penalty]\nkind = "{penalty}"\n{text}\n'
    )
    return "job.toml"


def run(path: str, *overrides: str, world: World | None = None, **options: Any) -> int:
    """Search."""
    options = {"out": "run", "progress": "none", **options}
    return tune.run(world or SerialWorld(), TuneOptions(path, overrides=overrides, **options))


def table(out: str = "run") -> list[dict[str, str]]:
    """Return the rows of the results."""
    return list(csv.DictReader(Path(out, "results.csv").read_text().splitlines()))


def scores(row: dict[str, str], n: int) -> list[float]:
    return [float(row[f"split_{k + 1}"]) for k in range(n)]


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_ridge_scores_are_those_of_plain_numpy(standardize: bool, weighted: bool) -> None:
    data = f"standardize = {str(standardize).lower()}\n" + ('weight = "w.npy"' if weighted else "")
    alphas = [1e-3, 0.1, 10.0]
    path = job(f'[tune]\nfolds = 4\n[space]\n"penalty.alpha" = {alphas}', data=data)
    assert run(path, "seed=3") == 0
    used = WEIGHT > 0 if weighted else np.ones(N, dtype=bool)
    weight = WEIGHT if weighted else np.ones(N)
    plan = make_plan(SerialWorld(), "random", 0, N, folds=4, fraction=0.2, seed=3, used=used)
    rows = {float(row["penalty.alpha"]): row for row in table()}
    for alpha in alphas:
        for split, score in zip(plan.splits, scores(rows[alpha], 4), strict=True):
            own, other = plan.trained(split), plan.tested(split)
            w = weight[own] / weight[own].sum()
            mean = w @ X[own]
            scale = np.sqrt(w @ (X[own] - mean) ** 2) if standardize else np.ones(D)
            z, t = (X[own] - mean) / scale, Y[own] - w @ Y[own]
            coef = np.linalg.solve(z.T @ (w[:, None] * z) + alpha * np.eye(D), z.T @ (w * t))
            left = Y[other] - w @ Y[own] - (X[other] - mean) / scale @ coef
            expected = weight[other] @ left**2 / 2 / weight[other].sum()
            assert score == pytest.approx(expected, rel=1e-10)


def test_both_ways_to_the_scores_agree() -> None:
    """From second moments, and by training fold by fold."""
    text = '[tune]\nfolds = 3\nn_alphas = 4\neps = 0.01\n[space]\n"penalty.alpha" = "path"\n'
    text += '"penalty.l1_ratio" = [0.3, 1.0]'
    path = job(text, penalty="elastic-net")
    assert run(path) == 0
    assert run(path, "solver.kind=fista", "stop.tol=1e-11", out="other") == 0
    ours, theirs = table(), table("other")
    assert [row["candidate"] for row in ours] == [row["candidate"] for row in theirs]
    assert ours[0].keys() == theirs[0].keys() and len(ours) == 8
    for one, other in zip(ours, theirs, strict=True):
        assert scores(one, 3) == pytest.approx(scores(other, 3), rel=1e-7)
        assert float(one["penalty.alpha"]) == pytest.approx(float(other["penalty.alpha"]), rel=1e-6)
    models = load_model("run/model.npz"), load_model("other/model.npz")
    np.testing.assert_allclose(models[0].coef, models[1].coef, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("penalty", "data"), [("l2", ""), ("elastic-net", 'standardize = true\nweight = "w.npy"')]
)
def test_shared_reads_come_to_the_scores_of_training(penalty: str, data: str) -> None:
    text = "[tune]\nfolds = 2\nrepeats = 2\n[space]\npenalty.alpha = {}"
    alphas = [10.0**-k / 3 for k in range(11)]
    path = job(text.format(alphas), "logistic", data, penalty)
    # Coefficients grow where the penalty is weak: the last ones bend the loss quite differently.
    assert run(path) == 0
    assert run(path, "solver.kind=newton", out="other") == 0
    ours = {row["penalty.alpha"]: scores(row, 4) for row in table()}
    theirs = {row["penalty.alpha"]: scores(row, 4) for row in table("other")}
    assert len(ours) == 11
    for alpha, expected in theirs.items():
        assert ours[alpha] == pytest.approx(expected, rel=4e-6)
    first = load_model("run/model.npz").coef
    np.testing.assert_allclose(first, load_model("other/model.npz").coef, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("split", ["random", "stratified", "grouped", "time", "fixed"])
def test_other_losses_metrics_and_splits(split: str) -> None:
    data = 'test_fraction = 0.2\ncluster = "g.npy"' if split == "grouped" else "test_fraction = 0.2"
    text = f'[tune]\nsplit = "{split}"\nfolds = 3\nmetric = "auc"\n'
    text += '[space]\n"penalty.alpha" = [0.01, 100.0]\n"solver.kind" = ["newton", "lbfgs"]'
    assert run(job(text, "logistic", data), "inference.covariance=none") == 0
    rows = table()
    assert len(rows) == 4 and all(row["failed"] == "" for row in rows)
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["tune"]["values"]["penalty.alpha"] == float(rows[0]["penalty.alpha"])
    assert float(rows[0]["mean"]) >= float(rows[-1]["mean"])
    assert summary["scores"]["held-out"]["auc"] > 0.7
    assert float(rows[0]["mean"]) > 0.7


def test_a_candidate_that_diverges_is_the_last() -> None:
    text = '[solver]\nkind = "gd"\nstep = 0.1\n[stop]\nmax_iter = 60\n[tune]\nfolds = 2\n'
    text += "[space]\nsolver.step = [1e9, 0.1]"
    assert run(job(text, "squared")) == 0
    good, bad = table()
    assert good["solver.step"] == "0.1" and bad["mean"] == ""
    assert "finite" in bad["failed"] or "diverge" in bad["failed"]
    with pytest.raises(JobError, match="all 1 candidates have failed"):
        run("job.toml", "space.solver.step=[1e9]", out="bad")


def test_random_and_halving() -> None:
    text = '[tune]\nsearch = "random"\ncandidates = 7\nfolds = 2\n[space]\n'
    text += "penalty.alpha = {low = 1e-4, high = 1e3, log = true}"
    assert run(job(text, "logistic")) == 0
    assert len(table()) == 7
    assert run("job.toml", "tune.search=halving", "tune.candidates=9", out="halved") == 0
    rows = table("halved")
    assert [row["rows"] for row in rows] == ["1.0"] * 3 + [repr(1 / 3)] * 6
    assert float(rows[0]["penalty.alpha"]) < 10


def test_one_standard_error() -> None:
    path = job("[tune]\nfolds = 5\nn_alphas = 30", penalty="l1")
    assert run(path) == 0 and run(path, "tune.choose=1se", out="simple") == 0
    summaries = [json.loads(Path(out, "summary.json").read_text()) for out in ("run", "simple")]
    best, simple = (each["tune"]["values"]["penalty.alpha"] for each in summaries)
    assert simple > best
    assert Path("run/results.csv").read_bytes() == Path("simple/results.csv").read_bytes()


TWICE = '[tune]\nfolds = 2\n[space]\npenalty.alpha = [1.0, 0.1, 0.01]\nsolver.kind = ["newton"]'


def test_what_is_finished_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    path = job(TWICE, "logistic")
    assert run(path, out="whole") == 0
    calls: list[Any] = []
    usual = trial.Trials._trained

    def trained(self: Any, job: Any, points: Any) -> Any:
        calls.append(job.penalty.alpha)
        if len(calls) == 2:
            monkeypatch.setattr(signals, "_received", [15])
        return usual(self, job, points)

    monkeypatch.setattr(trial.Trials, "_trained", trained)
    assert run(path) == 75
    assert json.loads(Path("run/status.json").read_text())["state"] == "stopped"
    monkeypatch.setattr(signals, "_received", [])
    # What a kill leaves of a line.
    with Path("run/candidates.jsonl").open("a") as file:
        file.write('{"key": "half')
    assert run(path, resume=True) == 0
    assert calls == [1.0, 0.1, 0.1, 0.01]
    for name in ("results.csv", "model.npz"):
        assert Path("run", name).read_bytes() == Path("whole", name).read_bytes()
    assert run(path, resume=True) == 0 and len(calls) == 4
    # More values later: those alone are tried.
    assert run(path, "space.penalty.alpha=[1.0, 0.5, 0.1, 0.01]", resume=True) == 0
    assert calls[4:] == [0.5]


def test_the_same_bytes_on_any_number_of_ranks() -> None:
    path = job("[tune]\nfolds = 3\nn_alphas = 5", penalty="elastic-net")
    assert run(path, out="alone") == 0

    def work(world: World) -> None:
        folder._locks.clear()
        run(path, world=world, out=f"ranks{world.size}")

    for size in (2, 3):
        on_ranks(size, work)
        for name in ("results.csv", "model.npz"):
            assert Path(f"ranks{size}", name).read_bytes() == Path("alone", name).read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tune]\nfold = 3", r"job\.toml:10: unknown key 'fold' in \[tune\]; .*folds"),
        ("[tune]\nfolds = 1", r"tune\.folds must be from 2 to 1000, got 1"),
        ('[tune]\nmetric = "acu"', r"tune\.metric: got 'acu', expected"),
        ("[space]\npenalty.alhpa = [1.0]", "unknown key 'alhpa'"),
        ("[space]\npenalty.alpha = 1.0", r"job\.toml:10: space\.penalty\.alpha: got 1\.0"),
        ("[space]\npenalty.alpha = [-1.0]", "penalty.alpha must be a finite number, 0 or more"),
        ("[space]\nsolver.kind = {low = 2, high = 1}", "low less than high"),
        ('[space]\ndata.path = ["a.npy"]', "data.path is the same for all candidates"),
        ('[tune]\nsplit = "time"\nrepeats = 2', "repeats must be 1"),
    ],
)  # fmt: skip
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(JobError, match=message):
        run(job(text), check=True)


def test_the_tables_of_a_search_do_not_disturb_train_and_set_changes_them() -> None:
    text = Path(job("[tune]\nfolds = 3\n[space]\npenalty.alpha = [1]")).read_text()
    search = parse_search(text, "j", ["tune.folds=4", "space.penalty.alpha=[2, 3]", "seed=5"])
    assert search.tune.folds == 4 and search.space == {"penalty.alpha": [2, 3]}
    assert search.job({"penalty.alpha": 2}).seed == 5
    again = parse_search(text.partition("[tune]")[0] + search.dump())
    assert again.tune == search.tune and again.space == search.space


def test_a_number_that_is_none_is_named() -> None:
    bad = X.copy()
    bad[100, 2] = np.nan
    np.save("x.npy", bad)
    with pytest.raises(DataError, match=r"row 100.*column"):
        run(job())


def test_parquet() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert run(job('[tune]\nfolds = 2\nn_alphas = 3\nresults = "parquet"')) == 0
    found = parquet.read_table("run/results.parquet").to_pydict()
    assert found["rank"] == [1, 2, 3] and len(found["split_2"]) == 3
