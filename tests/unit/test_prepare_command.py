"""Training on columns and predicting for raw ones: the preparation is a part of the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from mpi_gd.comm import SerialWorld, World
from mpi_gd.commands import evaluate, folder, load, predict, train
from mpi_gd.commands.load import Loaded
from mpi_gd.data.columns import Column
from mpi_gd.data.source import Source
from mpi_gd.data.spec import DataSpec
from mpi_gd.errors import DataError, JobError
from mpi_gd.model import load_model
from mpi_gd.options import EvaluateOptions, PredictOptions, TrainOptions
from mpi_gd.prepare import PrepareSpec
from tests.simulated import on_ranks
from tests.tabular import MemoryTable, column, sample_columns

N = 900
JOB = """
[data]
path = "x.npz"
test_fraction = 0.2
[prepare]
categorical = ["x1"]
missing = {x0 = "median"}
indicator = true
splines = {x2 = 5}
interactions = ["x0:x1"]
unseen = "reference"
[loss]
kind = "squared"
[penalty]
kind = "l2"
alpha = 1e-3
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Work in a folder with rows that have gaps and levels; return them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folder, "_locks", {})
    rng = np.random.default_rng(1)
    x = np.column_stack([rng.normal(size=N), rng.integers(0, 4, N), rng.random(N) * 6])
    y = x[:, 0] * x[:, 1] + 3 * (x[:, 1] == 2) + np.sin(x[:, 2]) + rng.normal(size=N) * 0.1
    x[rng.random(N) < 0.1, 0] = np.nan
    np.savez("x.npz", X=x, y=y)
    Path("job.toml").write_text(JOB)
    return x


def run(*overrides: str, **options: Any) -> int:
    """Train."""
    options = {"job": "job.toml", "out": "run", "progress": "none", **options}
    return train.run(SerialWorld(), TrainOptions(overrides=overrides, **options))


def predictions(data: str) -> np.ndarray:
    """Return what is predicted for a file."""
    assert predict.run(SerialWorld(), PredictOptions("run/model.npz", data, out="p.csv")) == 0
    return np.array([float(line) for line in Path("p.csv").read_text().splitlines()[1:]])


def test_raw_columns_are_prepared_as_in_the_training(
    here: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    model = load_model("run/model.npz")
    assert list(model.columns[:4]) == ["x0", "x0 is missing", "bs(x2,1)", "bs(x2,2)"]
    assert list(model.columns[-3:]) == ["x0:x1=1", "x0:x1=2", "x0:x1=3"]
    scores = json.loads(Path("run/summary.json").read_text())["scores"]["held-out"]
    assert scores["rmse"] < 0.7
    recipe = model.recipe
    assert recipe is not None
    raw = {f"x{j}": Column("number", here[:, j]) for j in range(3)}
    np.testing.assert_allclose(predictions("x.npz"), model.predict(recipe.apply(raw)), rtol=1e-12)
    # The median is of the rows that are trained on, and so not quite that of all.
    fill = next(each for each in recipe.encoders if each.name == "x0").fill  # type: ignore[attr-defined]
    assert fill != np.nanmedian(here[:, 0]) and abs(fill - np.nanmedian(here[:, 0])) < 0.1
    capsys.readouterr()
    options = EvaluateOptions("run/model.npz", "x.npz", json=True)
    assert evaluate.run(SerialWorld(), options) == 0
    assert json.loads(capsys.readouterr().out)["n"] == N


def test_new_rows_follow_the_jobs_policies(here: np.ndarray) -> None:
    assert run() == 0
    odd = here[:3].copy()
    odd[:, 0], odd[:, 1], odd[:, 2] = 0.5, [0.0, 9.0, 9.0], [3.0, 3.0, 99.0]
    np.savez("new.npz", X=odd)
    found = predictions("new.npz")
    assert found[0] == found[1] != found[2]
    assert run("prepare.unseen=refuse", force=True) == 0
    with pytest.raises(DataError, match=r"x1': 2 rows have levels .* first of them '9'") as caught:
        predictions("new.npz")
    assert "new.npz" in str(caught.value) and "row 1" in str(caught.value)
    odd[2, 2] = np.nan
    odd[:, 1] = 0
    np.savez("new.npz", X=odd)
    with pytest.raises(DataError, match="'x2': a value is missing, here; fill them"):
        predictions("new.npz")


def test_a_run_goes_on_only_with_the_same_preparation(here: np.ndarray) -> None:
    slow = ("solver.kind=gd", "stop.max_iter=3", "checkpoint.every_iterations=1")
    assert run(*slow) == 0
    with pytest.raises(JobError, match=r"prepare\.unseen"):
        run(*slow, "stop.max_iter=5", "prepare.unseen=refuse", resume=True)
    assert run(*slow, "stop.max_iter=5", resume=True) == 0


def test_sparse_rows_have_no_columns_to_prepare() -> None:
    from scipy import sparse

    sparse.save_npz("s.npz", sparse.csr_array(np.eye(5)))
    np.save("y.npy", np.arange(5.0))
    with pytest.raises(JobError, match=r"these are sparse rows; remove the table"):
        run("data.path=s.npz", "data.target=y.npy", "data.test_fraction=0")


def test_ranks_have_the_same_features_and_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of 1 to 4 ranks put together are those of one; gaps of all ranks are counted."""
    columns = {k: v for k, v in sample_columns(1200, 2, gaps=0.0).items() if k != "when"}
    table: list[MemoryTable] = [MemoryTable(columns)]

    def open_source(spec: DataSpec, base: Path, purpose: str) -> Source:
        return table[0]

    monkeypatch.setattr(load, "open_source", open_source)

    def work(world: World) -> Loaded:
        spec = DataSpec(path="t", test_fraction=0.1)
        how = PrepareSpec(categorical="auto", interactions=["age:colour"])
        return load.load(world, spec, Path(), prepare=how)

    whole = work(SerialWorld())
    every = np.arange(len(whole.columns))
    assert whole.source.recipe is not None and len(every) > 400 and whole.x.n_stored
    for size in (2, 4):
        parts = [part for part in on_ranks(size, work) if isinstance(part, Loaded)]
        assert len(parts) == size
        assert {part.source.recipe.digest for part in parts if part.source.recipe} == {
            whole.source.recipe.digest
        }
        rows = np.concatenate([part.x.columns(every) for part in parts])
        np.testing.assert_array_equal(rows, whole.x.columns(every))
    ages = columns["age"].values.tolist()
    table[0] = MemoryTable(
        {
            **columns,
            "age": column([None if k in (700, 1190, 1199) else a for k, a in enumerate(ages)]),
        }
    )
    for found in on_ranks(4, work):
        assert isinstance(found, DataError)
        assert str(found).startswith(
            "table: row 700, column 'age': 3 values are missing, the first"
        )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_gaps_in_plain_numbers_are_counted_too(tmp_path: Path, suffix: str) -> None:
    """Without [prepare] a reader ends at its first gap: all are counted before they are told."""
    gaps = [None if k in (7, 150, 190) else float(k) for k in range(200)]
    late = [None if k == 2 else float(k) for k in range(200)]
    table = pa.table({"b": range(200), "a": gaps, "c": late, "y": range(200)})
    path = tmp_path / f"t.{suffix}"
    pyarrow.csv.write_csv(table, path) if suffix == "csv" else pyarrow.parquet.write_table(
        table, path
    )
    place = "line 9" if suffix == "csv" else "row 7"
    spec = DataSpec(path=path.name, target="y")
    for size in (1, 3):
        for found in on_ranks(size, lambda world: load.load(world, spec, tmp_path)):
            assert isinstance(found, DataError)
            assert str(found) == (
                f"{path}: {place}, column 'a': 3 values are missing, the first here; fill them, as "
                'in missing = {"a" = "median"} under [prepare], or remove the rows'
            )


def test_what_was_text_in_the_training_is_text_in_prediction() -> None:
    """Though all that is there may be digits: kinds of text files are guessed."""
    texts = ["a", "b", "c", "d", "e", "f", "01", "02"]
    rows = [f"{texts[k % 8]},{k % 8 + 0.5}" for k in range(80)]
    Path("t.csv").write_text("\n".join(["c,y", *rows]) + "\n")
    overrides = ["data.path=t.csv", "data.target=y", "data.test_fraction=0"]
    overrides += ['prepare.categorical="auto"', "prepare.missing=refuse", "prepare.splines={}"]
    assert run(*overrides, "prepare.interactions=[]", "prepare.indicator=false") == 0
    Path("new.csv").write_text("c\n02\n01\n")
    found = predictions("new.csv")
    assert found[0] > found[1] + 0.5
