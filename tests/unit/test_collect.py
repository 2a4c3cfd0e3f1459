"""A table of runs: which is the best, what is different, and those that came to nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from mpi_gd.__main__ import main
from mpi_gd.commands.collect import MORE_IS_BETTER, run
from mpi_gd.errors import FileError, JobError
from mpi_gd.evaluation.registry import METRICS
from mpi_gd.options import CollectOptions

JOB = 'name = "{name}"\nseed = 1\n[penalty]\nkind = "l2"\nalpha = {alpha}\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_run(name: str, alpha: float = 0.1, *, state: str = "finished", **scores: float) -> None:
    """Write a run's folder, with scores of the rows that were held out."""
    folder = Path(name)
    folder.mkdir()
    (folder / "job.toml").write_text(JOB.format(name=name, alpha=alpha))
    (folder / "status.json").write_text(json.dumps({"state": state}))
    if state == "finished":
        summary = {"objective": 0.5 + alpha, "scores": {"held-out": scores} if scores else {}}
        (folder / "summary.json").write_text(json.dumps(summary))


def one(score: str, value: float) -> dict[str, Any]:
    """Return a score by a name that a test is given."""
    return {score: value}


def table(*folders: str, by: str = "") -> tuple[int, list[dict[str, str]]]:
    """Return the exit code, and the rows as the CSV file has them."""
    code = run(CollectOptions(folders, by=by, out="table.csv"))
    with open("table.csv", encoding="utf-8", newline="") as file:
        return code, list(csv.DictReader(file))


def test_the_smallest_loss_is_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    write_run("a", 0.1, n=10, log_loss=0.4, auc=0.7)
    write_run("b", 0.01, n=10, log_loss=0.3123456789012345, auc=0.6)
    code, rows = table("a", "b")
    assert code == 0
    assert [row["run"] for row in rows] == ["b", "a"]
    # What is the same in all is left out; how many rows there were is no score.
    assert list(rows[0]) == [
        "run",
        "state",
        "name",
        "penalty.alpha",
        "log_loss",
        "auc",
        "objective",
    ]
    assert rows[0]["log_loss"] == "0.3123456789012345", "all digits in the file"
    printed = capsys.readouterr().out
    assert "0.312346" in printed and "0.31234567" not in printed
    assert printed.endswith("The best of 2 by log_loss: b\n")


@pytest.mark.parametrize(
    ("score", "best"), [("auc", "a"), ("accuracy", "a"), ("r2", "a"), ("rmse", "b"), ("mae", "b")]
)
def test_of_some_scores_more_is_better(score: str, best: str) -> None:
    write_run("a", **one(score, 0.9))
    write_run("b", **one(score, 0.8))
    assert table("b", "a", by=score)[1][0]["run"] == best


def test_every_number_among_the_metrics_is_sorted_one_way() -> None:
    less = {
        *("log_loss", "brier", "calibration_error", "rmse", "mae", "max_error"),
        *("deviance", "mean_deviance", "mean_loss"),
    }
    tables = {"per_class", "confusion", "calibration", "calibration_by_quantile"}
    tables |= {"roc_curve", "residuals"}
    assert set(METRICS) == less | tables | set(MORE_IS_BETTER)
    assert not less & set(MORE_IS_BETTER)


@pytest.mark.parametrize("score", ["log_loss", "deviance", "rmse"])
def test_the_usual_score_is_the_loss_of_rows_not_trained_on(
    score: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run("a", 0.2, **one(score, 0.1))
    write_run("b", 0.1, **one(score, 0.2))
    table("a", "b")
    assert f"by {score}: a" in capsys.readouterr().out


def test_without_held_out_rows_the_test_file_or_the_objective_decides() -> None:
    write_run("a", 0.2)
    write_run("b", 0.1)
    assert table("a", "b")[1][0]["run"] == "b"
    summary = {"objective": 9.0, "scores": {"test": {"log_loss": 0.1}}}
    for name in ("a", "b"):
        (Path(name) / "summary.json").write_text(json.dumps(summary))
        summary["scores"]["test"]["log_loss"] = 0.2  # type: ignore[index]
    rows = table("b", "a")[1]
    assert [row["log_loss"] for row in rows] == ["0.1", "0.2"]


def test_runs_without_a_result_come_last_and_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    write_run("a", log_loss=0.1)
    write_run("late", 0.3, state="running")
    write_run("bad", 0.2, state="failed")
    Path("empty").mkdir()
    code, rows = table("empty", "late", "bad", "a")
    assert code == 1
    assert [row["run"] for row in rows] == ["a", "bad", "empty", "late"]
    assert rows[1]["penalty.alpha"] == "0.2", "what it was to try is known"
    said = capsys.readouterr().out
    assert "Without a result: bad (failed), empty (no run), late (running)" in said


def test_an_older_result_is_not_that_of_a_run_that_goes_on() -> None:
    write_run("a", log_loss=0.2)
    write_run("b", log_loss=0.1)
    (Path("b") / "status.json").write_text(json.dumps({"state": "running"}))
    code, rows = table("a", "b")
    assert code == 1 and [row["log_loss"] for row in rows] == ["0.2", ""]


def test_a_score_that_some_lack_is_not_the_usual_one(capsys: pytest.CaptureFixture[str]) -> None:
    write_run("a", 0.2, log_loss=0.1)
    write_run("b", 0.1, rmse=0.1)
    table("a", "b")
    assert "The best of 2 by objective: b" in capsys.readouterr().out


def test_a_run_without_the_score_is_no_best() -> None:
    write_run("a", auc=0.9)
    write_run("b", rmse=0.1)
    assert [row["run"] for row in table("b", "a", by="auc")[1]] == ["a", "b"]


def test_mistakes() -> None:
    with pytest.raises(FileError, match=r"nowhere: there is no such run; give folders"):
        table("nowhere")
    write_run("a", state="failed")
    with pytest.raises(JobError, match="none of 1 runs has finished"):
        table("a")
    write_run("b", auc=0.5)
    with pytest.raises(JobError, match="--by: got 'acu', expected one of auc, objective"):
        table("b", by="acu")


@pytest.mark.parametrize(
    ("name", "text"), [("job.toml", "= ?"), ("summary.json", "{"), ("summary.json", "{}")]
)
def test_damaged_files_are_named(name: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_run("a", log_loss=0.1)
    (Path("a") / name).write_text(text)
    assert main(["collect", "a"]) == 2
    assert "a: job.toml or summary.json is damaged" in capsys.readouterr().err
