"""Commands with weights and offsets: as if rows were repeated, as if the target were shifted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpi_gd.comm import SerialWorld
from mpi_gd.commands import evaluate, folder, predict, train
from mpi_gd.errors import JobError, MpiGdError
from mpi_gd.model import Model, load_model
from mpi_gd.options import EvaluateOptions, PredictOptions, TrainOptions

N = 120
RNG = np.random.default_rng(17)
X = RNG.normal(size=(N, 2))
NUMBERS = X @ [1.0, -2.0] + RNG.normal(size=N)
LABELS = np.where(X[:, 0] + RNG.normal(size=N) > 0, "yes", "no")
WEIGHT = RNG.integers(0, 4, N)
OFFSET = RNG.normal(size=N)
REPEATED = np.repeat(np.arange(N), WEIGHT)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folder, "_locks", {})
    return tmp_path


def write(name: str, header: str, *columns: Any) -> None:
    """Write a CSV file."""
    cells = [map(str, np.asarray(column).tolist()) for column in columns]
    lines = [",".join(line) for line in zip(*cells, strict=True)]
    Path(name).write_text("\n".join([*([header] if header else []), *lines]) + "\n")


def fit(data: str, loss: str = "squared", *overrides: str, **options: Any) -> Model:
    """Train on what the lines say, and return the model, which is in the folder run."""
    Path("job.toml").write_text(f'[data]\n{data}\n[loss]\nkind = "{loss}"\n[stop]\ntol = 1e-11\n')
    if not options:
        shutil.rmtree("run", ignore_errors=True)
        folder._locks.clear()
    keys: dict[str, Any] = {"out": "run", "progress": "none", **options}
    assert train.run(SerialWorld(), TrainOptions(job="job.toml", overrides=overrides, **keys)) == 0
    return load_model("run/model.npz")


def scores(capsys: pytest.CaptureFixture[str], data: str, *overrides: str) -> dict[str, Any]:
    """Return what `evaluate` prints."""
    capsys.readouterr()
    options = EvaluateOptions(model="run/model.npz", data=data, overrides=overrides, json=True)
    assert evaluate.run(SerialWorld(), options) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def predictions(data: str, *overrides: str) -> list[str]:
    """Return the lines that `predict` writes, but for the header."""
    options = PredictOptions("run/model.npz", data, out="p.csv", overrides=overrides)
    assert predict.run(SerialWorld(), options) == 0
    return Path("p.csv").read_text().splitlines()[1:]


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_a_weight_is_so_many_rows(capsys: pytest.CaptureFixture[str], loss: str) -> None:
    y = NUMBERS if loss == "squared" else LABELS
    write("w.csv", "a,w,b,y", X[:, 0], WEIGHT, X[:, 1], y)
    write("r.csv", "a,b,y", *X[REPEATED].T, y[REPEATED])
    repeated = fit('path = "r.csv"\ntarget = "y"', loss)
    repeated_scores = scores(capsys, "r.csv")
    weighted = fit('path = "w.csv"\ntarget = "y"\nweight = "w"', loss)
    assert f"{N} rows ({(WEIGHT == 0).sum()} of weight 0) x 2 features" in check(capsys)
    np.testing.assert_allclose(weighted.coef, repeated.coef, rtol=1e-8)
    assert weighted.intercept == pytest.approx(repeated.intercept, rel=1e-8)
    weighted_scores = scores(capsys, "w.csv")
    assert weighted_scores.pop("n") == (WEIGHT > 0).sum() < repeated_scores.pop("n")
    assert weighted_scores.keys() == repeated_scores.keys()
    for name, value in repeated_scores.items():
        if not isinstance(value, list):
            assert weighted_scores[name] == pytest.approx(value, rel=1e-7)
    assert weighted_scores.get("confusion") == repeated_scores.get("confusion")
    # Without weights the rows are scored alike.
    assert scores(capsys, "w.csv", 'data.weight=""')["n"] == N
    # Nobody knows the weights of rows to come.
    with_weights = predictions("w.csv")
    write("less.csv", "b,a", X[:, 1], X[:, 0])
    assert predictions("less.csv") == with_weights


def check(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what `train --check` prints of the job."""
    capsys.readouterr()
    assert train.run(SerialWorld(), TrainOptions(job="job.toml", check=True)) == 0
    return capsys.readouterr().out


def test_an_offset_shifts_the_target(capsys: pytest.CaptureFixture[str]) -> None:
    write("o.csv", "a,b,o,y", *X.T, OFFSET, NUMBERS)
    write("s.csv", "a,b,y", *X.T, NUMBERS - OFFSET)
    shifted = fit('path = "s.csv"\ntarget = "y"')
    without = np.array(predictions("s.csv"), dtype=float)
    shifted_scores = scores(capsys, "s.csv")
    model = fit('path = "o.csv"\ntarget = "y"\noffset = "o"')
    np.testing.assert_allclose(model.coef, shifted.coef, rtol=1e-8)
    found = np.array(predictions("o.csv"), dtype=float)
    np.testing.assert_allclose(found, without + OFFSET, rtol=1e-8, atol=1e-8)
    assert scores(capsys, "o.csv")["rmse"] == pytest.approx(shifted_scores["rmse"], rel=1e-8)
    # Rows without the offset are predicted only if that is wanted.
    write("less.csv", "a,b", *X.T)
    with pytest.raises(MpiGdError, match=r"'o' \(data\.offset\).*give --set data\.offset=\"\""):
        predictions("less.csv")
    found = np.array(predictions("less.csv", 'data.offset=""'), dtype=float)
    np.testing.assert_allclose(found, without, rtol=1e-8, atol=1e-8)
    write("moved.csv", "k,a,b", OFFSET, *X.T)
    found = np.array(predictions("moved.csv", "data.offset=k"), dtype=float)
    np.testing.assert_allclose(found, without + OFFSET, rtol=1e-8, atol=1e-8)


def test_columns_by_number_may_all_be_there_or_all_be_missing() -> None:
    write("t.csv", "", OFFSET, *X.T, WEIGHT, NUMBERS)
    fit('path = "t.csv"\ntarget = -1\nweight = 3\noffset = 0')
    expected = predictions("t.csv")
    write("less.csv", "", OFFSET, *X.T)
    assert predictions("less.csv") == expected


def test_files_of_arrays(capsys: pytest.CaptureFixture[str]) -> None:
    """Protects paths: in the run's job, in a test's scores, in predictions, and when resumed."""
    Path("data").mkdir()
    for name, array in {"x": X, "y": NUMBERS, "w": WEIGHT, "o": OFFSET}.items():
        np.save(f"data/{name}.npy", array)
    lines = ['path = "data/x.npy"', 'target = "data/y.npy"']
    lines += ['weight = "data/w.npy"', 'offset = "data/o.npy"']
    files = 'test_files = {weight = "data/w.npy", offset = "data/o.npy"}'
    test = ['test = "data/x.npy"', 'test_target = "data/y.npy"', files]
    fit("\n".join(lines + test))
    summary = json.loads(Path("run/summary.json").read_text())
    here = str(Path("data").resolve())
    assert Path("run/job.toml").read_text().count(here) == 8
    again = {"data.target": "y", "data.weight": "w", "data.offset": "o"}
    overrides = [f"{key}=data/{name}.npy" for key, name in again.items()]
    found = scores(capsys, "data/x.npy", *overrides)
    expected = summary["scores"]["test"]
    assert len(found.pop("residuals")) == len(expected.pop("residuals"))
    assert found == pytest.approx(expected, rel=1e-12)
    with pytest.raises(
        JobError, match=r"trained with data\.weight = 'w\.npy', which does not come"
    ):
        scores(capsys, "data/x.npy", overrides[0], overrides[2])
    with pytest.raises(
        JobError, match=r"trained with data\.offset = 'o\.npy', which does not come"
    ):
        predictions("data/x.npy")
    assert predictions("data/x.npy", overrides[2]) != predictions("data/x.npy", 'offset=""')
    # The place of the weights is free, what they are is not.
    gd = ("solver.kind=gd", "stop.tol=0", "stop.max_iter=3", "checkpoint.every_iterations=1")
    fit("\n".join(lines), "squared", *gd)
    np.save("w.npy", WEIGHT)
    more = ("stop.max_iter=5", "data.weight=w.npy")
    fit("\n".join(lines), "squared", *gd[:2], *more, resume=True)
    np.save("w.npy", WEIGHT + 1)
    with pytest.raises(JobError, match="the data was"):
        fit("\n".join(lines), "squared", *gd[:2], *more, "stop.max_iter=7", resume=True)


def test_classes_may_weigh_differently(capsys: pytest.CaptureFixture[str]) -> None:
    """Protects the training's weights of classes, which scores do not know."""
    write("c.csv", "a,b,y", *X.T, LABELS)
    twice = np.concatenate([np.arange(N), np.flatnonzero(LABELS == "yes")])
    write("r.csv", "a,b,y", *X[twice].T, LABELS[twice])
    repeated = fit('path = "r.csv"\ntarget = "y"', "logistic")
    weighted = fit('path = "c.csv"\ntarget = "y"\nclass_weight = {yes = 2}', "logistic")
    np.testing.assert_allclose(weighted.coef, repeated.coef, rtol=1e-7)
    assert scores(capsys, "c.csv")["n"] == N
    balanced = fit('path = "c.csv"\ntarget = "y"\nclass_weight = "balanced"', "logistic")
    share = (LABELS == "no").mean()
    own = np.where(LABELS == "no", 0.5 / share, 0.5 / (1 - share))
    write("o.csv", "a,b,w,y", *X.T, own, LABELS)
    same = fit('path = "o.csv"\ntarget = "y"\nweight = "w"', "logistic")
    np.testing.assert_allclose(balanced.coef, same.coef, rtol=1e-7)


def test_clusters_are_known_to_the_standard_errors(capsys: pytest.CaptureFixture[str]) -> None:
    clusters = np.array([f"g{k % 9}" for k in range(N)])
    write("g.csv", "a,g,b,y", X[:, 0], clusters, X[:, 1], NUMBERS)
    np.savez("g.npz", X=X, y=NUMBERS, g=np.arange(N) % 9, columns=["a", "b"])
    keys = 'target = "y"\ncluster = "g"\n[inference]\ncovariance = "cluster"'
    found = []
    for path in ("g.csv", "g.npz"):
        fit(f'path = "{path}"\n{keys}')
        table = json.loads(Path("run/summary.json").read_text())["inference"]
        assert table["clusters"] == 9
        found.append([line["std_error"] for line in table["coefficients"]])
        write("less.csv", "a,b,y", *X.T, NUMBERS)
        assert scores(capsys, "less.csv")["n"] == N
        assert scores(capsys, "g.csv")["n"] == N
    assert found[0] == pytest.approx(found[1], rel=1e-9)
