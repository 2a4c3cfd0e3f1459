"""A data set in several files: the bits of one file, and predictions in the rows' order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpi_gd.model import load_model


@pytest.mark.one_mpi
def test_seven_shards_give_the_bits_of_one_file(workplace: Any, program: Any) -> None:
    folder, n = workplace.folder, len(workplace.x)
    cuts = [0, 5, 5, 1000, 1001, 2500, 4000, n]
    (folder / "d").mkdir()
    for number in range(7):
        own = slice(cuts[number], cuts[number + 1])
        np.save(folder / f"d/x{number}.npy", workplace.x[own])
        np.save(folder / f"d/y{number}.npy", workplace.label[own])
    np.save(folder / "label.npy", workplace.label)
    job = workplace.job()
    assert program(1, "train", job, "--out", "one").rc == 0
    bits = load_model(folder / "one/model.npz").coef.tobytes()
    shards = ("--set", "data.path=d/x*.npy", "--set", "data.target=d/y*.npy")
    done = program(3, "train", job, *shards, "--out", "many")
    assert done.rc == 0, done.text
    assert load_model(folder / "many/model.npz").coef.tobytes() == bits
    # The job that is kept runs from anywhere, and finds all shards.
    again = program(1, "train", "many/job.toml", "--out", "again", "--check")
    assert again.rc == 0, again.text
    done = program(2, "predict", "one/model.npz", "d/x*.npy", "--out", "p.csv")
    assert done.rc == 0, done.text
    lines = (folder / "p.csv").read_text().splitlines()[1:]
    found = [float(line.split(",")[0]) for line in lines]
    np.testing.assert_array_equal(found, load_model(folder / "one/model.npz").predict(workplace.x))
    done = program(1, "predict", "one/model.npz", "d/x*.npy", "--out", "d/x3.npy")
    assert done.rc == 2
    assert "would replace" in done.err


@pytest.mark.one_mpi
def test_libsvm_text_is_trained_on_and_applied_to(workplace: Any, program: Any) -> None:
    """The file to score has fewer features than the training had, and none of index 1."""
    folder = workplace.folder
    rng = np.random.default_rng(1)
    lines = []
    for _ in range(600):
        x = np.where(rng.random(9) < 0.5, rng.normal(size=9), 0.0).tolist()
        pairs = " ".join(f"{j + 1}:{x[j]!r}" for j in np.flatnonzero(x))
        lines.append(f"{'+1' if x[2] - x[1] + rng.normal() > 0 else '-1'} {pairs}\n")
    (folder / "train").write_text("".join(lines))
    (folder / "new").write_text("+1 3:2.0\n-1 2:2.0\n")
    (folder / "j.toml").write_text(
        '[data]\npath = "train"\ntest = "new"\n[loss]\nkind = "logistic"\n'
        '[penalty]\nkind = "l2"\nalpha = 0.01\n'
    )
    done = program(2, "train", "j.toml", "--out", "run")
    assert done.rc == 0, done.text
    columns = load_model(folder / "run/model.npz").columns
    assert tuple(columns) == tuple(f"x{j}" for j in range(1, 10))
    scored = program(2, "evaluate", "run/model.npz", "new", "--json")
    assert scored.rc == 0, scored.text
    assert '"accuracy": 1.0' in scored.out
