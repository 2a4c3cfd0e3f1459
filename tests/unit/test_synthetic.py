"""Problems that are made up: training finds their coefficients, however the rows are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_gd.comm import SerialWorld
from mpi_gd.config import make_job
from mpi_gd.errors import JobError
from mpi_gd.losses import LOSSES
from mpi_gd.penalties import NoPenalty
from mpi_gd.synthetic import Problem, SyntheticSource
from tests.fitting import fit

N, D = 12_000, 4
LINKS = {
    "logistic": ("probit", "cloglog"),
    "binomial": ("probit", "cloglog"),
    "squared": ("log", "inverse"),
    "poisson": ("identity", "sqrt"),
    "gamma": ("inverse", "identity"),
    "inverse-gaussian": ("inverse-squared",),
}
# Their minimum is in the direction of the truth, and of another length.
DIRECTIONS = ("hinge", "squared-hinge")
CASES = [(kind, "") for kind in LOSSES] + [
    (k, link) for k, links in LINKS.items() for link in links
]


def problem(kind: str, link: str = "", **changed: Any) -> Problem:
    """Return a small problem of correlated columns of uneven scales."""
    loss = LOSSES[kind](**({"link": link} if link else {}))
    given_ = {"correlation": 0.5, "decades": 2.0, "noise": 0.5, "seed": 3, **changed}
    return Problem(N, D, loss, **given_)


def rows(source: SyntheticSource, start: int, stop: int) -> list[Any]:
    """Return X as an array, y and the rest of some rows."""
    block = source.read(start, stop)
    x = block.x.rows.toarray() if hasattr(block.x, "rows") else block.x
    return [x, block.y, *block.extras.values()]


@pytest.mark.parametrize(("kind", "link"), CASES)
def test_training_finds_the_coefficients(kind: str, link: str) -> None:
    # Far above 0, as some links want z, a share of the mean is much.
    made = problem(kind, link, noise=0.02 if link in ("inverse", "identity") else 0.5)
    block = SyntheticSource(made).read(0, N)
    trials = block.extras.get("trials")
    y = block.y if trials is None else block.y / trials
    tol = 1e-3 if kind == "hinge" else 1e-7
    found = fit(
        SerialWorld(), block.x, y, made.loss, NoPenalty(), weight=trials, n_classes=3, tol=tol
    )
    got, true = (w.reshape(D, -1) * made.scales[:, None] for w in (found.coef, made.coef))
    if kind in DIRECTIONS:
        assert np.sum(got * true) / np.linalg.norm(got) / np.linalg.norm(true) > 0.999
        return
    # Some five standard errors of the widest: 1 / sqrt(N (1 - 0.5^2)) for each unit of deviation.
    most = 5.0 * max(1.0, 2.5 if made.loss.is_classifier else 1.0) / np.sqrt(0.75 * N)
    np.testing.assert_allclose(got, true, rtol=0, atol=most)
    assert np.abs(true).max() > 5 * most


@settings(max_examples=15)
@given(st.integers(0, 3000), st.integers(0, 3000), st.sampled_from([1.0, 0.2]))
def test_rows_are_the_same_however_they_are_read(a: int, b: int, density: float) -> None:
    made = Problem(3000, 400, LOSSES["binomial"](), density=density, seed=1)
    source = SyntheticSource(made)
    start, stop = sorted((a, b))
    step = source.tile_rows
    stop = min(stop, start + 2 * step)
    begin = start // step * step
    whole = rows(source, begin, min(begin + 4 * step, 3000))
    for part, all_ in zip(rows(source, start, stop), whole, strict=True):
        np.testing.assert_array_equal(part, all_[start - begin : stop - begin])


def test_columns_have_the_correlation_the_scale_and_the_signal_that_were_asked_for() -> None:
    made = Problem(
        40_000, 6, LOSSES["squared"](), correlation=0.7, decades=3.0, signal=2.0, n_informative=2
    )
    x, y, *_ = rows(SyntheticSource(made), 0, 40_000)
    correlations = np.corrcoef(x, rowvar=False)
    np.testing.assert_allclose(np.diag(correlations, 1), 0.7, atol=0.02)
    np.testing.assert_allclose(np.diag(correlations, 3), 0.7**3, atol=0.02)
    np.testing.assert_allclose(x.std(axis=0), made.scales, rtol=0.02)
    assert made.scales.max() / made.scales.min() == pytest.approx(1e3)
    assert np.count_nonzero(made.coef) == 2
    assert np.std(x @ made.coef) == pytest.approx(2.0, rel=0.02)
    assert np.std(y) == pytest.approx(np.sqrt(5.0), rel=0.02)


def test_another_seed_gives_other_rows_and_coefficients() -> None:
    one, two = (problem("squared", seed=seed) for seed in (1, 2))
    assert not np.isclose(one.coef, two.coef).any()
    assert not np.isclose(
        SyntheticSource(one).read(0, 9).x, SyntheticSource(two).read(0, 9).x
    ).any()


def test_a_law_that_cannot_be_drawn_is_refused() -> None:
    tables = {"data": {"path": "x"}, "loss": {"kind": "tweedie", "power": 2.5}}
    made = Problem(100, 2, make_job(tables).loss)
    with pytest.raises(JobError, match=r"2\.5: expected 0, 1, 2, 3"):
        SyntheticSource(made).read(0, 100)
