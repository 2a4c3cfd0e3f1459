"""Each link is what its formula says, to the last digits of both tails."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from mpi_gd.links import LINKS, PROBABILITY_LINKS
from mpi_gd.links.mills import normal_tail, tail_gap
from tests.exact_losses import exact_mean, log_probabilities, second_difference, slope

each_link = pytest.mark.parametrize("name", LINKS)
each_probability_link = pytest.mark.parametrize("name", PROBABILITY_LINKS)
Z = {
    "identity": [-1e6, -2.0, 0.0, 0.1, 1e6],
    "log": [-700.0, -2.0, 0.0, 0.1, 700.0],
    "inverse": [-3.0, 1e-6, 0.1, 1e6],
    "inverse-squared": [1e-6, 0.1, 1e6],
    "sqrt": [1e-6, 0.1, 1e6],
    "logit": [-30.0, -1.0, 0.0, 0.3, 20.0],
    "probit": [-12.0, -1.0, 0.0, 0.3, 8.0],
    "cloglog": [-30.0, -1.0, 0.0, 0.3, 3.0],
}


@each_link
def test_mean_and_slope_are_those_of_the_formula(name: str) -> None:
    z = np.array(Z[name])
    mean, derivative = LINKS[name].mean_and_slope(z)
    exact = [float(exact_mean(name, Decimal(a))) for a in z]
    np.testing.assert_allclose(mean, exact, rtol=1e-15)
    assert LINKS[name].mean(z).tobytes() == mean.tobytes()
    slopes = [float(slope(lambda a: exact_mean(name, a), Decimal(a))) for a in z]
    np.testing.assert_allclose(derivative, slopes, rtol=2e-14)


@each_link
def test_link_is_the_inverse(name: str) -> None:
    link = LINKS[name]
    for z in Z[name]:
        if name in ("inverse", "sqrt") and z < 0:
            continue
        mean = float(link.mean(np.array([z]))[0])
        if mean < 0.99 or name not in PROBABILITY_LINKS:
            assert link.link(mean) == pytest.approx(z, rel=1e-12, abs=1e-15)


@each_link
def test_domain(name: str) -> None:
    z = np.array([-1.0, 0.0, 1.0])
    expected = {"inverse": [True, False, True]}
    expected |= {other: [False, False, True] for other in ("inverse-squared", "sqrt")}
    assert LINKS[name].has_mean(z).tolist() == expected.get(name, [True] * 3)


@each_probability_link
@pytest.mark.parametrize("sign", [-1, 1])
def test_costs_and_slopes_keep_their_digits_in_both_tails(name: str, sign: int) -> None:
    link = PROBABILITY_LINKS[name]
    largest = {"logit": 140.0, "probit": 16.0, "cloglog": 4.0 if sign > 0 else 140.0}[name]
    z = sign * np.concatenate([np.geomspace(1e-9, largest, 60), np.linspace(0, largest, 40)])
    # e^-m with m = e^z has the error of z times m.
    tolerance = 1e-15 if name != "cloglog" else 1e-15 * (1 + math.exp(max(0, sign * largest)))
    together = link.costs_and_slopes(z)
    parts: list[Callable[[Decimal], Decimal]] = [
        lambda a: -log_probabilities(name, a)[0],
        lambda a: -log_probabilities(name, a)[1],
    ]
    for side, (part, sense) in enumerate(zip(parts, (-1, 1), strict=True)):
        exact = decimal_floats(z, part)
        np.testing.assert_allclose(together[side], exact, rtol=tolerance)
        exact = decimal_floats(z, lambda a, part=part: slope(part, a))  # type: ignore[misc]
        np.testing.assert_allclose(sense * together[2 + side], exact, rtol=2 * tolerance)
        exact = decimal_floats(z, lambda a, part=part: second_difference(part, a))  # type: ignore[misc]
        np.testing.assert_allclose(link.bends(z)[side], exact, rtol=4 * tolerance, atol=1e-30)
    for got, expected in zip((*link.costs(z), *link.slopes(z)), together, strict=True):
        assert got.tobytes() == expected.tobytes()


def decimal_floats(z: Any, f: Callable[[Decimal], Decimal]) -> list[float]:
    """Return f at each z."""
    return [float(f(Decimal(float(a)))) for a in z]


@each_probability_link
def test_far_tails_are_finite_where_the_truth_is(name: str) -> None:
    link = PROBABILITY_LINKS[name]
    z = np.array([-1e308, -1e150, -1e6, 1e6, 1e150, 1e308, -np.inf, np.inf])
    costs = link.costs(z)
    assert (costs[0][[3, 4, 5, 7]] == 0).all() and (costs[1][[0, 1, 2, 6]] == 0).all()
    assert not np.isnan([*costs, *link.slopes(z), *link.bends(z), link.mean(z)]).any()
    assert link.mean(z).tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    # -log p of the event that hardly happens: |z|, z^2 / 2 + log z + log sqrt(2 pi), |z|.
    far = {"probit": 5e11 + math.log(1e6) + 0.5 * math.log(2 * math.pi)}.get(name, 1e6)
    assert costs[0][2] == pytest.approx(far, rel=1e-15)


def test_normal_tail_of_the_tables() -> None:
    """Abramowitz and Stegun, Handbook of Mathematical Functions, tables 26.1 and 26.2."""
    t = np.array([0.0, 1.0, 2.0, 3.0, 5.0, 10.0])
    density, tail = normal_tail(t, tail_gap(t))
    expected = [0.5, 0.158655253931457, 0.022750131948179, 0.001349898031630]
    np.testing.assert_allclose(tail[:4], expected, rtol=1e-12)
    # -log10 Q(x), table 26.2.
    np.testing.assert_allclose(-np.log10(tail[4:]), [6.54265, 23.11805], atol=5e-6)
    np.testing.assert_allclose(density[1], 0.241970724519143, rtol=1e-14)


def test_gap_of_any_size() -> None:
    t = np.array([0.0, 1e-300, 1e3, 1e8, 1e300, np.inf])
    gap = tail_gap(t)
    assert gap[0] == pytest.approx(math.sqrt(2 / math.pi), rel=1e-15)
    assert gap[2] == pytest.approx(1e-3 * (1 - 2e-6 + 10e-12), rel=1e-15)
    assert gap[3] == pytest.approx(1e-8, rel=1e-15)
    assert (np.diff(gap) <= 0).all()
    assert np.isnan(tail_gap(np.array([np.nan]))).all()


@pytest.mark.parametrize("mean", [1e-300, 1e-100, 1e-10, 0.025, 0.5, 0.975, 1 - 1e-10])
def test_probit_quantiles(mean: float) -> None:
    known = {0.025: -1.959963984540054, 0.5: 0.0, 0.975: 1.959963984540054}
    z = LINKS["probit"].link(mean)
    assert z == pytest.approx(known.get(mean, z), rel=1e-14, abs=1e-15)
    assert LINKS["probit"].mean(np.array([z]))[0] == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize("mean", [0.0, 1.0, -1.0, math.nan])
def test_probit_of_no_probability_is_refused(mean: float) -> None:
    with pytest.raises(ValueError, match="expected one between 0 and 1"):
        LINKS["probit"].link(mean)
