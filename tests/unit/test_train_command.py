"""The command train in one process: what is checked before, what can be gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpi_gd.comm import SerialWorld
from mpi_gd.commands import evaluate, folder, train
from mpi_gd.errors import DataError, FileError, JobError, MpiGdError
from mpi_gd.options import EvaluateOptions, TrainOptions

SLOW = '[solver]\nkind = "gd"\nstep = 0.3\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with data for training and for a test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folder, "_locks", {})
    rng = np.random.default_rng(3)
    for name, n in (("", 900), ("t", 500)):
        x = rng.normal(size=(n, 4))
        np.save(f"x{name}.npy", x)
        np.save(f"y{name}.npy", (x[:, 0] + rng.normal(size=n) > 0) * 1.0)
    return tmp_path


def job(data: str = "", text: str = "", path: str = "x.npy", penalty: str = "l2") -> str:
    """Write a job."""
    Path("job").mkdir(exist_ok=True)
    Path("job/j.toml").write_text(
        f'[data]\npath = "../{path}"\ntarget = "../y.npy"\n{data}\n[loss]\nkind = "logistic"\n'
        f'[penalty]\nkind = "{penalty}"\n{text}'
    )
    return "job/j.toml"


def run(path: str, *overrides: str, **options: Any) -> int:
    """Train."""
    options = {"out": "run", "progress": "lines", **options}
    return train.run(SerialWorld(), TrainOptions(job=path, overrides=overrides, **options))


def test_a_test_file_has_a_target_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(job('test = "../xt.npy"\ntest_target = "../yt.npy"')) == 0
    scores = json.loads(Path("run/summary.json").read_text())["scores"]["test"]
    capsys.readouterr()
    options = EvaluateOptions("run/model.npz", "xt.npy", ("target=yt.npy",), json=True)
    assert evaluate.run(SerialWorld(), options) == 0
    assert json.loads(capsys.readouterr().out) == scores
    assert scores["n"] == 500 and scores["accuracy"] > 0.6


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('test = "../none.npy"\ntest_target = "../yt.npy"', "none.npy"),
        ('test = "../xt.npy"\ntest_target = "../y.npy"', "got 900 rows, expected 500"),
        ('test = "../yt.npy"\ntest_target = "../xt.npy"', "expected"),
    ],
)
def test_mistakes_in_the_test_file_show_before_the_training(
    keys: str, message: str, check: bool
) -> None:
    with pytest.raises(MpiGdError, match=message):
        run(job(keys), check=check)
    assert not Path("run/metrics.jsonl").exists()


def test_a_test_file_without_target_is_refused() -> None:
    with pytest.raises(JobError, match="test_target must be the file of y"):
        run(job('test = "../xt.npy"'))


def test_the_resolved_job_goes_on_with_its_run(capsys: pytest.CaptureFixture[str]) -> None:
    path = job(text=SLOW + "[stop]\nmax_iter = 40\ntol = 0\n")
    assert run(path) == 0
    assert run("run/job.toml", "stop.max_iter=90", resume=True) == 0
    assert "Going on from iteration 40." in capsys.readouterr().out
    assert run(path, "stop.max_iter=90", out="whole") == 0
    metrics = Path("run/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in metrics] == list(range(91))
    models = [np.load(f"{name}/model.npz")["coef"].tobytes() for name in ("run", "whole")]
    assert models[0] == models[1]


def test_a_refused_resume_leaves_the_run_as_it_was() -> None:
    path = job(text=SLOW + "[stop]\nmax_iter = 40\ntol = 0\n")
    assert run(path) == 0
    before = {file: file.read_bytes() for file in Path("run").rglob("*") if file.is_file()}
    with pytest.raises(JobError, match="seed was 0 and is 5"):
        run(path, "seed=5", resume=True)
    assert {file: file.read_bytes() for file in Path("run").rglob("*") if file.is_file()} == before


def test_other_data_are_refused_other_places_are_not(tmp_path: Path) -> None:
    path = job(text=SLOW + "[stop]\nmax_iter = 10\ntol = 0\n")
    assert run(path) == 0
    (tmp_path / "moved.npy").write_bytes((tmp_path / "x.npy").read_bytes())
    assert run(path, "data.path=../moved.npy", "stop.max_iter=20", resume=True) == 0
    np.save("x.npy", np.load("x.npy") + 1.0)
    with pytest.raises(JobError, match="the data was"):
        run(path, "stop.max_iter=30", resume=True)


def test_damaged_checkpoints_are_no_silent_new_start(capsys: pytest.CaptureFixture[str]) -> None:
    path = job(text=SLOW + "[stop]\nmax_iter = 1500\ntol = 0\n[checkpoint]\nevery_iterations = 10")
    assert run(path) == 0
    # Not all are written where the training is faster than the disk.
    files = sorted(Path("run/checkpoints").iterdir())
    assert len(files) > 1
    files[-1].write_bytes(files[-1].read_bytes()[:-1])
    assert run(path, "stop.max_iter=1510", resume=True) == 0
    printed = capsys.readouterr()
    assert f"{files[-1].name}: this checkpoint is damaged" in printed.err
    assert f"Going on from iteration {int(files[-2].stem) - 1}." in printed.out
    for file in Path("run/checkpoints").iterdir():
        file.write_bytes(b"damaged")
    with pytest.raises(FileError, match="checkpoints are damaged"):
        run(path, "stop.max_iter=1520", resume=True)


def test_labels_that_are_told_apart_have_no_optimum(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("y.npy", (np.load("x.npy")[:, 0] > 0) * 1.0)
    assert run(job(penalty="none"), "stop.max_iter=3000") == 0
    assert "no finite optimum" in capsys.readouterr().out
    summary = json.loads(Path("run/summary.json").read_text())
    assert not summary["converged"] and summary["iteration"] < 100


def test_a_column_that_tells_some_labels_apart_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = np.load("x.npy"), np.load("y.npy")
    x[:, 2] = np.arange(len(x)) < 20
    y[:20] = 1.0
    np.save("x.npy", x)
    np.save("y.npy", y)
    assert run(job(penalty="none")) == 0
    assert "the coefficients of 'x2' have no finite optimum" in capsys.readouterr().out
    assert "'x2'" in json.loads(Path("run/summary.json").read_text())["warning"]
    assert run(job(), out="held") == 0
    assert "no finite optimum" not in capsys.readouterr().out


def test_a_share_that_holds_no_row_out_is_refused() -> None:
    np.save("x.npy", np.load("x.npy")[:30])
    np.save("y.npy", np.load("y.npy")[:30])
    with pytest.raises(DataError, match="holds out none of the 30 rows"):
        run(job("test_fraction = 0.0001"))
