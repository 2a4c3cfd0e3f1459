"""What is predicted does not depend on how the same rows are laid out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mpi_gd.comm import SerialWorld
from mpi_gd.commands import folder, predict, train
from mpi_gd.errors import DataError, JobError
from mpi_gd.options import PredictOptions, TrainOptions

N = 200


@pytest.fixture
def rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> np.ndarray:
    """Train "named" with a header and "bare" without one; return the features."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folder, "_locks", {})
    rng = np.random.default_rng(3)
    x = rng.normal(size=(N, 3))
    labels = np.where(x[:, 0] + rng.normal(size=N) > 0, "yes", "no")
    write("named.csv", ["a", "b", "c", "t"], [*x.T, labels])
    write("bare.csv", None, [*x.T, labels])
    for name, target in (("named", '"t"'), ("bare", "-1")):
        job = tmp_path / f"{name}.toml"
        job.write_text(f'[data]\npath = "{name}.csv"\ntarget = {target}\n[loss]\nkind = "logistic"')
        options = TrainOptions(job=str(job), out=f"run-{name}", progress="none")
        assert train.run(SerialWorld(), options) == 0
    capsys.readouterr()
    return x


def write(name: str, header: list[str] | None, columns: list[np.ndarray]) -> None:
    """Write a CSV file."""
    cells = [[repr(cell) if isinstance(cell, float) else str(cell) for cell in column.tolist()] for
             column in columns]  # fmt: skip
    lines = [",".join(line) for line in zip(*cells, strict=True)]
    Path(name).write_text("\n".join([*([",".join(header)] if header else []), *lines]) + "\n")


def predictions(model: str, data: str) -> str:
    """Return what `predict` writes."""
    options = PredictOptions(model=f"run-{model}/model.npz", data=data, out="p.csv")
    assert predict.run(SerialWorld(), options) == 0
    return Path("p.csv").read_text()


def test_the_target_may_be_there_be_empty_or_be_missing(rows: np.ndarray) -> None:
    expected = predictions("named", "named.csv")
    assert len(expected.splitlines()) == N + 1
    nothing, text = np.full(N, ""), np.full(N, "?")
    write("empty.csv", ["a", "b", "c", "t"], [*rows.T, nothing])
    write("unknown.csv", ["t", "a", "b", "c"], [text, *rows.T])
    write("less.csv", ["a", "b", "c"], [*rows.T])
    for name in ("empty.csv", "unknown.csv", "less.csv"):
        assert predictions("named", name) == expected
    write("less-bare.csv", None, [*rows.T])
    assert predictions("bare", "bare.csv") == expected
    assert predictions("bare", "less-bare.csv") == expected


def test_columns_are_found_by_their_names(rows: np.ndarray) -> None:
    expected = predictions("named", "named.csv")
    write("turned.csv", ["c", "a", "b"], [rows[:, 2], rows[:, 0], rows[:, 1]])
    write("more.csv", ["id", "c", "a", "b"], [np.arange(N), rows[:, 2], rows[:, 0], rows[:, 1]])
    assert predictions("named", "turned.csv") == expected
    assert predictions("named", "more.csv") == expected


def test_a_column_that_is_missing_is_an_error(rows: np.ndarray) -> None:
    write("two.csv", ["a", "b"], [rows[:, 0], rows[:, 1]])
    with pytest.raises(DataError, match=r"got 2 features, expected 3 .*not there is 'c'"):
        predictions("named", "two.csv")
    write("odd.csv", ["a", "b", "d"], [*rows.T])
    with pytest.raises(DataError, match="'d' where the training had 'c'"):
        predictions("named", "odd.csv")


@pytest.mark.parametrize("out", ["named.csv", "run-named/model.npz", "./named.csv"])
def test_predictions_never_replace_what_they_are_made_from(rows: np.ndarray, out: str) -> None:
    before = Path(out).read_bytes()
    options = PredictOptions(model="run-named/model.npz", data="named.csv", out=out)
    with pytest.raises(JobError, match="would replace"):
        predict.run(SerialWorld(), options)
    assert Path(out).read_bytes() == before


def test_arrays_are_predicted_by_a_model_of_a_table(rows: np.ndarray) -> None:
    np.save("x.npy", rows)
    assert predictions("named", "x.npy") == predictions("named", "named.csv")
