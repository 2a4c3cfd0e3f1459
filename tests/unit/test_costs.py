"""The cost model: it finds the rates that timings were made of, and goes the right way."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import pytest

from mpi_gd.commands import forecast as command
from mpi_gd.costs import SOLVER_COSTS, Link, Rates, Work, fit_link, forecast
from mpi_gd.errors import MpiGdError
from mpi_gd.options import ForecastOptions

RATES = Rates(
    number_seconds=5e-10,
    row_seconds=7e-9,
    pair_seconds=1e-10,
    question_seconds=2e-5,
    vector_seconds=2e-10,
    flop_seconds=1e-10,
    jitter=0.02,
    slowdown=1.5,
    ranks_per_node=4,
    cores=4,
)
NODE, NETWORK = Link(1e-6, 1e-10), Link(25e-6, 8e-11)
WORK = Work(1e8, 100)


@pytest.mark.parametrize("size", [2, 3, 8, 100])
@pytest.mark.parametrize("link", [Link(25e-6, 8e-11), Link(0.0, 1e-9), Link(1e-6, 0.0)])
def test_the_fit_recovers_the_link(size: int, link: Link) -> None:
    lengths = [8, 512, 32_768, 1 << 20, 1 << 23]
    found = fit_link(size, lengths, [link.seconds(size, n) for n in lengths])
    assert found.latency == pytest.approx(link.latency, rel=1e-9, abs=1e-15)
    assert found.byte_seconds == pytest.approx(link.byte_seconds, rel=1e-9, abs=1e-18)


def test_the_fit_of_noisy_timings_is_never_negative() -> None:
    for seconds in ([9e-6, 1e-6, 1e-5, 1e-2], [1e-3, 1e-4, 1e-5, 1e-6]):
        found = fit_link(2, [8, 512, 32_768, 1 << 23], seconds)
        assert found.latency >= 0
        assert found.byte_seconds >= 0


@pytest.mark.parametrize("kind", SOLVER_COSTS)
def test_more_nodes_take_less_for_the_rows_and_more_for_the_messages(kind: str) -> None:
    found = [
        forecast(RATES, NODE, NETWORK, WORK, SOLVER_COSTS[kind], n, 4)
        for n in (1, 2, 5, 16, 100, 1000)
    ]
    for fewer, more in itertools.pairwise(found):
        assert more.read < fewer.read
        assert more.messages > fewer.messages
        assert more.algebra == fewer.algebra


def test_an_iteration_is_the_sum_that_the_formula_says() -> None:
    one = dataclasses.replace(RATES, jitter=0.0, slowdown=1.0)
    found = forecast(one, NODE, NETWORK, WORK, SOLVER_COSTS["gd"], 1, 1)
    assert found.read == pytest.approx(1e8 * (100 * 5e-10 + 7e-9))
    assert found.messages == pytest.approx(2e-5)
    assert found.total == pytest.approx(found.read + found.algebra + found.messages)


def test_ranks_beyond_the_cores_take_turns() -> None:
    assert RATES.slowed(1) == 1.0
    assert RATES.slowed(4) == pytest.approx(1.5)
    assert RATES.slowed(8) == pytest.approx(3.0)


def test_sparse_rows_cost_their_numbers_and_messages_the_columns() -> None:
    sparse = Work(1e6, 1_000_000, n_stored=50)
    dense = Work(1e6, 50)
    solver = SOLVER_COSTS["gd"]
    wide, narrow = (forecast(RATES, NODE, NETWORK, w, solver, 8, 4) for w in (sparse, dense))
    assert wide.read == narrow.read
    assert wide.messages > 10 * narrow.messages


def test_the_command_reads_what_bench_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "node.json"
    file.write_text(
        json.dumps({"rates": dataclasses.asdict(RATES), "link": dataclasses.asdict(NODE)})
    )
    assert command.run(ForecastOptions(str(file), nodes="1,1000", json=True)) == 0
    one, many = json.loads(capsys.readouterr().out)
    assert one["efficiency"] == 1.0
    assert many["ranks"] == 4000
    assert 0 < many["efficiency"] < 1
    assert command.run(ForecastOptions(str(file), solver="newton")) == 0
    assert "4,000" in capsys.readouterr().out


def test_all_solvers_in_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    file = str(Path(__file__).parents[2] / "slurm" / "assumed_node.json")
    assert command.run(ForecastOptions(file, solver="all", nodes="1,1000")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:20].strip() for line in lines[5:]] == list(SOLVER_COSTS)
    assert all("(100.0%)" in line for line in lines[5:])
    assert command.run(ForecastOptions(file, solver="all", nodes="1000", json=True)) == 0
    told = json.loads(capsys.readouterr().out)
    assert command.run(ForecastOptions(file, solver="newton", nodes="1000", json=True)) == 0
    assert told["newton"] == json.loads(capsys.readouterr().out)


def test_what_the_command_cannot_use_is_said(tmp_path: Path) -> None:
    file = tmp_path / "node.json"
    file.write_text("{}")
    with pytest.raises(MpiGdError, match="bench --out"):
        command.run(ForecastOptions(str(file)))
    with pytest.raises(MpiGdError, match="--solver"):
        command.run(ForecastOptions(str(file), solver="magic"))
    with pytest.raises(ValueError, match="--nodes"):
        ForecastOptions(str(file), nodes="1,x")
