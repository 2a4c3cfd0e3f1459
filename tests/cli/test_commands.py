"""The commands: what they print, write and return."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mpi_gd.model import load_model


def test_help_and_version_start_no_mpi_and_print_once(program: Any) -> None:
    done = program(3, "--help")
    assert done.rc == 0
    assert done.out.count("exit codes") == 1
    assert program(2, "--version").out.count("mpi_gd") == 1
    wrong = program(2, "trian")
    assert wrong.rc == 2
    assert wrong.err.count("did you mean") == 1


def test_train_evaluate_predict(workplace: Any, program: Any) -> None:
    job = workplace.job(data="test_fraction = 0.25")
    done = program(3, "train", job, "--out", "run")
    assert done.rc == 0, done.text
    assert "Converged" in done.out
    assert "AUC" in done.out
    run = workplace.folder / "run"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["converged"] is True
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["iteration"] for record in records] == list(range(len(records)))
    assert records[-1]["objective"] == summary["objective"]
    assert {"compute_seconds", "communication_seconds", "waiting_seconds", "slowest_rank"} <= set(
        records[0]
    )
    scored = program(2, "evaluate", "run/model.npz", "x.npy", "--set", "target=label.npy", "--json")
    assert scored.rc == 0, scored.text
    scores = json.loads(scored.out)
    assert scores["n"] == len(workplace.x)
    predicted = program(3, "predict", "run/model.npz", "x.npy", "--out", "p.csv")
    assert predicted.rc == 0, predicted.text
    lines = (workplace.folder / "p.csv").read_text().splitlines()
    assert lines[0] == "prediction,probability of 1"
    model = load_model(run / "model.npz")
    labels = np.array([int(line.split(",")[0]) for line in lines[1:]])
    np.testing.assert_array_equal(labels, model.predict(workplace.x))
    assert scores["accuracy"] == np.mean(labels == workplace.label)


@pytest.mark.one_mpi
def test_a_regression_predicts_numbers(workplace: Any, program: Any) -> None:
    assert program(1, "train", workplace.job(loss="squared"), "--out", "run").rc == 0
    assert program(2, "predict", "run/model.npz", "x.npy", "--out", "p.csv").rc == 0
    lines = (workplace.folder / "p.csv").read_text().splitlines()
    model = load_model(workplace.folder / "run" / "model.npz")
    found = np.array(lines[1:], dtype=float)
    np.testing.assert_allclose(found, model.predict(workplace.x), rtol=1e-12)


@pytest.mark.one_mpi
def test_the_resolved_job_runs_again(workplace: Any, program: Any) -> None:
    job = workplace.job(data="test_fraction = 0.25")
    assert program(2, "train", job, "--out", "run").rc == 0
    again = program(2, "train", "run/job.toml", "--out", "again")
    assert again.rc == 0, again.text
    assert workplace.model("again") == workplace.model("run")


@pytest.mark.one_mpi
def test_check_trains_nothing(workplace: Any, program: Any) -> None:
    done = program(2, "train", workplace.job(), "--check")
    assert done.rc == 0
    assert "are good" in done.out
    assert not (workplace.folder / "runs").exists()


@pytest.mark.one_mpi
def test_two_texts_as_labels(workplace: Any, program: Any) -> None:
    texts = np.where(workplace.label > 0, "late", "in time")
    np.savez(workplace.folder / "d.npz", X=workplace.x, y=texts)
    job = workplace.folder / "job.toml"
    job.write_text('[data]\npath = "d.npz"\n[loss]\nkind = "logistic"\n')
    for n in (1, 3):
        done = program(n, "train", "job.toml", "--out", f"run{n}")
        assert done.rc == 0, done.text
    assert workplace.model("run1") == workplace.model("run3")
    assert load_model(workplace.folder / "run1" / "model.npz").classes == ("in time", "late")


@pytest.mark.one_mpi
@pytest.mark.parametrize("n", [1, 4])
def test_csv_gives_what_npy_gives(n: int, workplace: Any, program: Any) -> None:
    header = ",".join([*(f"x{j}" for j in range(workplace.x.shape[1])), "label"])
    lines = [
        ",".join([*(repr(float(value)) for value in row), str(int(label))])
        for row, label in zip(workplace.x, workplace.label, strict=True)
    ]
    (workplace.folder / "d.csv").write_text("\n".join([header, *lines]) + "\n")
    np_job = workplace.job()
    assert program(2, "train", np_job, "--out", "npy").rc == 0
    csv_job = workplace.folder / "csv.toml"
    csv_job.write_text(
        '[data]\npath = "d.csv"\ntarget = "label"\n[loss]\nkind = "logistic"\n'
        '[penalty]\nkind = "l2"\nalpha = 1e-3\n'
    )
    done = program(n, "train", "csv.toml", "--out", "csv")
    assert done.rc == 0, done.text
    from_npy = load_model(workplace.folder / "npy" / "model.npz")
    from_csv = load_model(workplace.folder / "csv" / "model.npz")
    np.testing.assert_array_equal(from_csv.coef, from_npy.coef)
    assert from_csv.target_name == "label"


@pytest.mark.one_mpi
def test_bench(program: Any) -> None:
    done = program(2, "bench", "--rows", "20000", "--columns", "5", "--repeat", "2", "--json")
    assert done.rc == 0, done.text
    figures = json.loads(done.out)
    assert all(value != 0 for value in figures.values())
    assert "share_of_roof" in figures
