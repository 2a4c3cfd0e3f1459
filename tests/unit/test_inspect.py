"""What inspect says of columns is what NumPy says, on any number of ranks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from mpi_gd.comm import SerialWorld
from mpi_gd.commands import inspect
from mpi_gd.commands.findings import find_remarks
from mpi_gd.commands.inspected import as_text
from mpi_gd.commands.profile import ColumnProfile, find_profile
from mpi_gd.data import DataSpec, Source, open_source
from mpi_gd.data.memory import MemorySource
from mpi_gd.data.source import Block
from mpi_gd.matrix import Csr
from mpi_gd.options import InspectOptions
from tests.simulated import on_ranks

RNG = np.random.default_rng(6)
N = 5000


def profile(source: Source, sizes: tuple[int, ...] = (1, 2, 5)) -> dict[str, ColumnProfile]:
    """Return the columns by name; the same on any number of ranks."""
    found: list[ColumnProfile] = []
    for size in sizes:
        for done in on_ranks(size, lambda world: find_profile(world, source)):
            assert isinstance(done, list), done
            found = found or done
            assert repr(done) == repr(found)
    return {column.name: column for column in found}


@pytest.mark.parametrize("sparse", [False, True])
def test_figures_are_those_of_numpy(sparse: bool) -> None:
    x = RNG.normal(size=(N, 4)) * [1.0, 1e-3, 1e6, 1.0] + [0.0, 1e3, 0.0, 0.0]
    x[RNG.random((N, 4)) < 0.7] = 0.0
    x[:, 3] = np.rint(x[:, 3])
    x[17, 0], x[18, 0], x[19, 1] = np.nan, np.inf, np.nan
    rows: Any = x
    if sparse:
        csr = scipy.sparse.csr_array(x)
        rows = Csr(csr.data, csr.indices, csr.indptr, 4)
    y = RNG.integers(0, 3, N).astype(np.float64)
    block = Block(rows, y, {"weight": np.arange(1.0, N + 1)})
    source = MemorySource(block, 0, N, n_stored=rows.n_stored if sparse else 0)
    found = profile(source)
    for j in range(4):
        column, values = found[f"x{j}"], x[np.isfinite(x[:, j]), j]
        assert column.n_missing == np.isnan(x[:, j]).sum()
        assert column.n_infinite == np.isinf(x[:, j]).sum()
        assert column.n_zeros == (values == 0).sum()
        assert column.is_whole == (j == 3)
        assert (column.lowest, column.highest) == (values.min(), values.max())
        scale = np.abs(values).max()
        assert column.mean == pytest.approx(values.mean(), rel=1e-12, abs=1e-15 * scale)
        assert column.deviation == pytest.approx(values.std(), rel=1e-10)
    assert (found["weight"].role, found["weight"].highest) == ("weight", N)
    counts = np.bincount(y.astype(int))
    assert dict(found["y"].top) == {str(k): count for k, count in enumerate(counts)}


def table(folder: Path) -> Source:
    """Return a table of text, dates, missing values and more."""
    lines = ["colour,age,when,name,same,label"]
    for row in range(N):
        colour = "" if row % 10 == 3 else ("red", "green", "green", "blue")[row % 4]
        age = "" if row % 7 == 0 else str(row % 50)
        lines.append(f"{colour},{age},2024-01-{row % 28 + 1:02d},n{row},5,{'ab'[row % 2]}")
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    source = open_source(DataSpec(path="t.csv", target="label"), folder)
    source.settle(source.survey(0, 1))
    return source


def test_columns_of_a_table(tmp_path: Path) -> None:
    source = table(tmp_path)
    found = profile(source)
    assert list(found) == ["colour", "age", "when", "name", "same", "label"]
    colour = found["colour"]
    assert (colour.kind, colour.n_levels, colour.n_missing) == ("text", 3, N // 10)
    assert sum(count for _, count in colour.top) == N - N // 10
    assert colour.top[0][0] == "green"
    age = found["age"]
    ages = np.array([row % 50 for row in range(N) if row % 7])
    assert age.n_missing == N - len(ages)
    assert age.mean == pytest.approx(ages.mean(), rel=1e-14)
    assert found["when"].kind == "date"
    assert (found["same"].lowest, found["same"].deviation) == (5.0, 0.0)
    assert found["label"].n_levels == 2
    remarks = "\n".join(find_remarks(list(found.values()), N, is_sparse=False))
    for wanted in (
        "'age': values are missing",
        "'colour': values are missing: make them a level",
        "'same': always the same",
        "'colour': text",
        "'name': text with more than 1,000 levels",
        "'when': dates",
        "two labels",
    ):
        assert wanted in remarks
    text = as_text(source, list(found.values()), PLAN, [], all_=False)
    assert "3 levels: green (" in text
    assert "2024-01-01" in text
    assert max(map(len, text.splitlines())) <= 100


PLAN = {
    "ranks": 2,
    "tiles": 3,
    "tile_rows": 512,
    "block_rows": 512,
    "rows_per_rank": [10, 12],
    "x_bytes": 1e6,
    "rank_bytes": 1e6,
    "node_bytes": 1e6,
    "free_bytes": 1e9,
    "fits": True,
    "pass_seconds": 0.01,
    "pass_seconds_are": "by a rule",
}


def column(name: str, **figures: Any) -> ColumnProfile:
    """Return a column of numbers of which little is said."""
    usual = ColumnProfile(name, "feature", "number", 0, 0, 0, False, -1.0, 1.0, 0.0, 1.0)
    return dataclasses.replace(usual, **figures)


def test_remarks_on_scales_infinities_copies_and_zeros() -> None:
    a, b, c = column("a"), column("b"), column("c", deviation=1e6, n_infinite=2)
    remarks = "\n".join(find_remarks([a, b, c], 100, is_sparse=False))
    assert "'b': all figures are those of 'a'" in remarks
    assert "'c': infinite values" in remarks
    assert "standardize = true" in remarks
    assert "no target is named" in remarks
    many = [column(f"x{j}", n_zeros=99, mean=float(j)) for j in range(30)]
    assert any("sparse rows" in remark for remark in find_remarks(many, 100, is_sparse=False))
    assert not any("sparse rows" in remark for remark in find_remarks(many, 100, is_sparse=True))


def test_json_has_all_of_it(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    table(tmp_path)
    options = InspectOptions("t.csv", overrides=("target=label",), ranks=4, json=True)
    assert inspect.run(SerialWorld(), options) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == N
    assert {column["name"] for column in found["profile"]} >= {"colour", "label"}
    assert found["training"]["ranks"] == 4
    assert sum(found["training"]["rows_per_rank"]) > 0
