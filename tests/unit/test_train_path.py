"""penalty.alpha = "path": every strength's model, the choice among them, and what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import mpi_gd
from mpi_gd.comm import SerialWorld
from mpi_gd.commands import evaluate, predict, report, train, tune
from mpi_gd.commands.train_path import check_path
from mpi_gd.config import parse_job
from mpi_gd.config.pathspec import PathSpec
from mpi_gd.errors import JobError, ModelError
from mpi_gd.losses import Squared
from mpi_gd.model import Model, ModelPath, load_model
from mpi_gd.options import (
    EvaluateOptions,
    PredictOptions,
    ReportOptions,
    TrainOptions,
    TuneOptions,
)
from mpi_gd.selection.early import why_early

N, D = 1500, 8


def job(folder: Path, loss: str, *lines: str, data: str = "") -> Path:
    """Write rows and a job with a path; return the job's file."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(N, D)) * 10.0 ** np.arange(-2, D - 2)
    z = (x / 10.0 ** np.arange(-2, D - 2)) @ ([1.0, -0.8, 0.5] + [0.0] * (D - 3))
    y = z + rng.normal(size=N)
    target = {"squared": y, "logistic": (y > 0) * 1.0, "multinomial": np.digitize(y, [-1, 1]) * 1.0}
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", target[loss])
    path = folder / "job.toml"
    text = "\n".join(lines)
    path.write_text(
        f'[data]\npath = "x.npy"\ntarget = "y.npy"\nstandardize = true\n{data}\n'
        f'[loss]\nkind = "{loss}"\n[penalty]\nkind = "l1"\nalpha = "path"\n{text}\n'
    )
    return path


def trained(path: Path, *overrides: str, out: str = "run") -> Model:
    folder = path.parent / out
    options = TrainOptions(job=str(path), out=str(folder), overrides=overrides, progress="none")
    assert train.run(SerialWorld(), options) == 0
    return load_model(folder / "model.npz")


@pytest.mark.parametrize("loss", ["squared", "logistic", "multinomial"])
def test_each_model_of_the_path_is_what_its_strength_trains(loss: str, tmp_path: Path) -> None:
    made = job(tmp_path, loss, "[path]\nn_alphas = 6", data="test_fraction = 0.3")
    model = trained(made)
    path = model.path
    assert path is not None and path.score is not None and path.error is None
    assert path.n_nonzero[0] == 0 and (np.diff(path.explained) >= 0).all()
    assert (path.criterion <= 1e-8).all()
    assert path.chosen == np.argmin(path.score) and path.alpha == path.alpha_min
    assert (path.coef[path.chosen] == model.coef).all()
    # The model says the strength that it was trained with.
    assert f"alpha = {path.alpha!r}" in model.metadata["job"]
    for k in (1, 4):
        alone = trained(made, f"penalty.alpha={path.alphas[k].item()!r}", out=f"run{k}")
        scale = 10.0 ** np.arange(-2, D - 2).reshape(-1, *[1] * (alone.coef.ndim - 1))
        np.testing.assert_allclose(path.coef[k] * scale, alone.coef * scale, atol=1e-6)
        np.testing.assert_allclose(path.intercept[k], alone.intercept, atol=1e-6)
        scores = json.loads((tmp_path / f"run{k}" / "summary.json").read_text())["scores"]
        found = scores["held-out"]
        held = found.get("mean_loss", found.get("log_loss"))
        np.testing.assert_allclose(path.score[k], held, rtol=1e-6)


def test_without_held_out_rows_the_last_model_is_taken(tmp_path: Path) -> None:
    made = job(tmp_path, "squared")
    whole, few = trained(made), trained(made, "path.max_nonzero=2", out="few")
    path = whole.path
    assert path is not None and few.path is not None
    assert path.chosen == len(path.alphas) - 1 and path.score is None
    # Most of the way down nothing is gained, and the path ends.
    assert 5 <= len(path.alphas) < 100 and path.ended
    assert few.path.n_nonzero[-1] > 2 and (few.path.n_nonzero[:-1] <= 2).all()
    full = trained(made, "path.early_stop=false", out="full").path
    assert full is not None and len(full.alphas) == 100 and not full.ended
    np.testing.assert_allclose(full.alphas[-1], 1e-3 * full.alphas[0])
    assert full.alphas[: len(path.alphas)].tolist() == path.alphas.tolist()


def test_rules_of_an_early_end() -> None:
    rising = [0.1, 0.3, 0.5, 0.6, 0.7]
    assert why_early(rising, 3, 0, True) == ""
    assert "3 coefficients" in why_early(rising[:1], 4, 3, False)
    assert "99.9%" in why_early([*rising, 0.9995], 3, 0, True)
    assert "hardly more" in why_early([*rising, 0.7000001], 3, 0, True)
    # Not before there are 5, and not where it is not wanted.
    assert why_early([0.0, 0.0], 0, 0, True) == ""
    assert why_early([*rising, 0.7000001], 3, 3, False) == ""


def test_a_strength_between_two_is_a_mixture() -> None:
    path = ModelPath(
        np.array([4.0, 2.0, 1.0]),
        np.array([[0.0], [1.0], [3.0]]),
        np.array([5.0, 6.0, 8.0]),
        np.zeros(3),
        np.zeros(3),
        2,
    )
    for alpha, coef, intercept in ((9, 0, 5), (4, 0, 5), (3, 0.5, 5.5), (1.5, 2, 7), (1, 3, 8)):
        found = path.at(alpha)
        assert (found[0].tolist(), found[1]) == ([coef], intercept)
    with pytest.raises(ModelError, match=r"got 0.5, expected 1.0 or more"):
        path.at(0.5)


def test_predict_and_evaluate_take_another_strength(tmp_path: Path, capsys: Any) -> None:
    made = job(tmp_path, "logistic", "[path]\nn_alphas = 5")
    model, file = trained(made), str(tmp_path / "run" / "model.npz")
    assert model.path is not None
    alpha = float(model.path.alphas[2])
    out = tmp_path / "p.csv"
    options = PredictOptions(file, str(tmp_path / "x.npy"), str(out), alpha=alpha)
    assert predict.run(SerialWorld(), options) == 0
    found = np.loadtxt(out, delimiter=",", skiprows=1)[:, 1]
    wanted = model.at(alpha).predict_proba(np.load(tmp_path / "x.npy"))[:, 1]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    again = EvaluateOptions(
        file, str(tmp_path / "x.npy"), (f"target={tmp_path / 'y.npy'}",), alpha=alpha
    )
    assert evaluate.run(SerialWorld(), again) == 0
    plain = trained(made, "penalty.alpha=0.1", out="plain")
    with pytest.raises(ModelError, match=r'penalty.alpha = "path"'):
        plain.at(0.1)


def test_a_stopped_path_begins_anew(tmp_path: Path) -> None:
    made = job(tmp_path, "logistic", "[path]\nn_alphas = 5")
    whole = trained(made, out="whole")
    out = str(tmp_path / "run")
    options = TrainOptions(
        job=str(made), out=out, overrides=("stop.max_seconds=1e-9",), progress="none"
    )
    assert train.run(SerialWorld(), options) == 75
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "stopped" and status["stopped_by"] == "stop.max_seconds"
    other = TrainOptions(
        job=str(made), out=out, resume=True, overrides=("path.eps=0.1",), progress="none"
    )
    with pytest.raises(JobError, match=r"path\.eps"):
        train.run(SerialWorld(), other)
    again = TrainOptions(job=str(made), out=out, resume=True, progress="none")
    assert train.run(SerialWorld(), again) == 0
    assert whole.path is not None
    one, two = (tmp_path / name / "model.npz" for name in ("run", "whole"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(("loss", "metric"), [("squared", "r2"), ("logistic", "loss")])
def test_a_search_keeps_the_path_and_its_scores(loss: str, metric: str, tmp_path: Path) -> None:
    text = f'[tune]\nfolds = 3\nn_alphas = 8\nchoose = "1se"\nmetric = "{metric}"\n'
    # Without a table [space]: what is sought is the path.
    made = job(tmp_path, loss, text)
    out = tmp_path / "run"
    assert tune.run(SerialWorld(), TuneOptions(str(made), out=str(out), progress="none")) == 0
    path = load_model(out / "model.npz").path
    assert path is not None and path.score is not None and path.error is not None
    assert len(path.alphas) == 8 and path.metric == f"cross-validated {metric}"
    sign = -1.0 if metric == "r2" else 1.0
    best = int(np.argmin(sign * path.score))
    assert path.alpha_min == path.alphas[best]
    good = sign * (path.score - path.score[best]) <= path.error[best]
    assert path.alpha_1se == path.alphas[good].max() == path.alpha
    assert path.alpha_min is not None and path.alpha is not None
    assert path.alpha > path.alpha_min
    assert report.run(ReportOptions((str(out),))) == 0
    page = (out / "report.html").read_text()
    for text in ("<h2>Path</h2>", "alpha_1se", "with its standard error", "x0"):
        assert text in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["penalty.alpha=paht"], r"got 'paht' \(text\), expected \"path\" or a number"),
        (["penalty.kind=mcp"], "expected a number"),
        (["path.n_alphas=1"], "path.n_alphas must be from 2"),
        (["loss.kind=huber", "path.eps=1"], "path.eps must be in"),
    ],
)
def test_mistakes_in_the_job(changes: list[str], message: str, tmp_path: Path) -> None:
    made = job(tmp_path, "squared")
    with pytest.raises(JobError, match=message):
        parse_job(made.read_text(), "job.toml", changes)


def test_what_has_no_path_says_so(tmp_path: Path) -> None:
    made = job(tmp_path, "squared")
    with pytest.raises(JobError, match=r'penalty.alpha is "path".*give a number'):
        mpi_gd.fit(made)
    with pytest.raises(JobError, match=r"without kinks"):
        trained(made, "loss.kind=quantile")
    with pytest.raises(JobError, match="no coefficient is penalized"):
        trained(made, 'penalty.factors={"x*" = 0.0}', out="free")


def test_a_path_that_no_file_should_hold_is_refused() -> None:
    wide: Any = SimpleNamespace(
        job=SimpleNamespace(loss=Squared(), path=PathSpec()), start=np.broadcast_to(0.0, 1 << 22)
    )
    with pytest.raises(JobError, match=r"path.n_alphas: 100 models.*set it to 32 or less"):
        check_path(wide)
