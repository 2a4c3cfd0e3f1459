"""Each penalty's smooth part, proximal map, subgradients and keys, in any coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_gd.penalties import (
    L1,
    L2,
    PENALTIES,
    Bound,
    ElasticNet,
    GroupLasso,
    Mcp,
    NoPenalty,
    Penalty,
    Scad,
)
from mpi_gd.penalties.penalty import Floats

NAMES = ("a", "b", "c", "d")
WAYS: dict[str, Penalty] = {
    "none": NoPenalty(),
    "none, bounds": NoPenalty(lower=-0.3, upper={"b": 0.2}),
    "l2": L2(0.4),
    "l2, free column": L2(0.4, factors={"b": 0.0, "c": 3.0}),
    "l1": L1(0.3),
    "l1, factors and bounds": L1(0.3, factors={"a": 0.0, "d": 2.0}, lower={"b": 0.0}, upper=0.5),
    "l1, not negative": L1(0.3, lower=0.0),
    "elastic-net": ElasticNet(0.5, 0.4),
    "elastic-net, bounds": ElasticNet(0.5, 0.4, lower=-0.1, upper=0.1),
    "group-lasso": GroupLasso(0.3, [["a", "c"]]),
    "mcp": Mcp(0.3, 2.5),
    "mcp, bounds": Mcp(0.3, 1.5, lower=-0.2, upper={"c": 0.9}, factors={"d": 0.0}),
    "scad": Scad(0.3, 3.7),
    "scad, bounds": Scad(0.3, 2.2, lower={"a": 0.0}, upper=1.0),
}
each_way = pytest.mark.parametrize("way", WAYS)
CONVEX = [way for way in WAYS if not way.startswith(("mcp", "scad"))]
SEPARABLE = [way for way in WAYS if way != "group-lasso"]
numbers = st.lists(st.floats(-3, 3), min_size=4, max_size=4).map(np.array)


def bound_of(way: str, scale: Any = (1.0, 0.5, 1.0, 2.0), n_outputs: int = 1) -> Bound:
    """Return the penalty in the solver's coordinates; a group has one scale."""
    return WAYS[way].bind(NAMES, np.array(scale), n_outputs)


def whole(bound: Bound, u: Floats) -> float:
    """Return the smooth part and the rest."""
    return bound.value(u) + bound.rest(u)


def test_every_kind_is_tried() -> None:
    assert {type(penalty) for penalty in WAYS.values()} == set(PENALTIES.values())


@each_way
def test_smooth_part_has_the_derivatives_it_says(way: str) -> None:
    bound, rng = bound_of(way), np.random.default_rng(1)
    u, before, h = rng.normal(size=4), rng.normal(size=4), 1e-5
    out = before.copy()
    bound.add_gradient(u, out)
    quotient = [(bound.value(u + h * e) - bound.value(u - h * e)) / (2 * h) for e in np.eye(4)]
    np.testing.assert_allclose(out - before, np.array(quotient), atol=1e-9)
    moved = before.copy()
    bound.add_gradient(u + 1.0, moved)
    np.testing.assert_allclose(moved - out, bound.hessian_diagonal(), atol=1e-12)
    assert bound.curvature() == bound.hessian_diagonal().max()


@each_way
def test_no_coefficient_no_penalty(way: str) -> None:
    assert whole(bound_of(way), np.zeros(4)) == 0


@each_way
def test_the_coefficients_count_not_the_coordinates(way: str) -> None:
    """The w = scale u has one penalty and one nearest point, whatever the scale."""
    rng, scale = np.random.default_rng(2), np.array([3.0, 0.2, 3.0, 1.5])
    plain, scaled = bound_of(way, np.ones(4)), bound_of(way, scale)
    for size in (0.05, 0.3, 1.0, 4.0):
        w = np.clip(rng.normal(size=4) * size, *_box(plain))
        assert whole(scaled, w / scale) == pytest.approx(whole(plain, w), rel=1e-12)
        near = plain.prox(w, 0.7) / scale
        step = 0.7 / np.square(scale)
        np.testing.assert_allclose(scaled.prox(w / scale, step), near, atol=1e-12)


def _box(bound: Bound) -> tuple[Any, Any]:
    """Return the bounds, or none."""
    return (
        -np.inf if bound.lower is None else bound.lower,
        np.inf if bound.upper is None else bound.upper,
    )


@pytest.mark.parametrize("way", SEPARABLE)
@given(v=numbers, step=st.floats(0.01, 4))
@settings(max_examples=40, deadline=None)
def test_prox_is_the_minimum_coordinate_by_coordinate(way: str, v: Floats, step: float) -> None:
    bound = bound_of(way)
    grid = np.linspace(-4, 4, 801)

    def cost(u: Floats) -> Floats:
        """Return |u - v|^2 / (2 step) + rest(u) of each coordinate."""
        each = []
        for j, value in enumerate(u):
            alone = np.zeros(4)
            alone[j] = value
            each.append((value - v[j]) ** 2 / (2 * step) + bound.rest(alone))
        return np.array(each)

    found = cost(bound.prox(v, step))
    assert np.isfinite(found).all()
    for value in grid:
        others = cost(np.full(4, value))
        assert (found <= others + 1e-9).all()


@given(v=numbers, step=st.floats(0.01, 4))
@settings(max_examples=60, deadline=None)
def test_group_prox_satisfies_its_optimality(v: Floats, step: float) -> None:
    bound = bound_of("group-lasso")
    u = bound.prox(v, step)
    residual = bound.subgradient_residual(u, (u - v) / step)
    np.testing.assert_allclose(residual, 0, atol=1e-9 / step)


@pytest.mark.parametrize("way", CONVEX)
@given(v=numbers, w=numbers, step=st.floats(0.01, 4))
@settings(max_examples=40, deadline=None)
def test_convex_prox_brings_points_no_farther_apart(
    way: str, v: Floats, w: Floats, step: float
) -> None:
    bound = bound_of(way)
    apart = np.linalg.norm(bound.prox(v, step) - bound.prox(w, step))
    assert apart <= np.linalg.norm(v - w) * (1 + 1e-12) + 1e-12


@pytest.mark.parametrize("way", CONVEX)
@given(v=numbers, step=st.floats(0.05, 4))
@settings(max_examples=40, deadline=None)
def test_residual_vanishes_where_the_prox_says(way: str, v: Floats, step: float) -> None:
    bound = bound_of(way)
    u = bound.prox(v, step)
    np.testing.assert_allclose(bound.subgradient_residual(u, (u - v) / step), 0, atol=1e-9 / step)


@pytest.mark.parametrize("way", CONVEX)
def test_residual_is_there_where_it_should_be(way: str) -> None:
    """A point from which a small step of prox gradient leads away is no optimum."""
    bound, rng = bound_of(way), np.random.default_rng(5)
    for _ in range(50):
        u = bound.prox(rng.normal(size=4), 0.5)
        gradient = rng.normal(size=4)
        moved = np.abs(bound.prox(u - 1e-6 * gradient, 1e-6) - u) > 1e-12
        residual = np.abs(bound.subgradient_residual(u, gradient)) > 1e-7
        np.testing.assert_array_equal(moved, residual)


@each_way
def test_outputs_of_a_column_are_alike(way: str) -> None:
    """With K outputs the columns' numbers stand together, each as if it were alone."""
    rng = np.random.default_rng(6)
    single, triple = bound_of(way), bound_of(way, n_outputs=3)
    v = np.clip(rng.normal(size=4) * 0.8, *_box(single))
    assert len(triple.hessian_diagonal()) == 12
    if way == "group-lasso":
        assert triple.blocks is not None
        assert sorted(len(block) for block in triple.blocks) == [3, 3, 6]
        return
    np.testing.assert_allclose(triple.prox(np.repeat(v, 3), 0.4), np.repeat(single.prox(v, 0.4), 3))
    assert triple.rest(np.repeat(v, 3)) == pytest.approx(3 * single.rest(v))


def test_formulas() -> None:
    u = np.array([1.0, -2.0, 0.5, 0.0])
    ones = np.ones(4)
    assert L2(0.5).bind(NAMES, ones).value(u) == 0.25 * (1 + 4 + 0.25)
    assert L1(0.5).bind(NAMES, ones).rest(u) == 0.5 * 3.5
    net = ElasticNet(2.0, 0.25).bind(NAMES, ones)
    assert whole(net, u) == pytest.approx(2 * (0.25 * 3.5 + 0.75 / 2 * 5.25))
    group = GroupLasso(2.0, [["a", "b"]]).bind(NAMES, ones)
    assert group.rest(u) == pytest.approx(2 * (np.sqrt(2) * np.sqrt(5) + 0.5))
    # alpha^2 gamma / 2 and alpha^2 (a + 1) / 2 far out.
    assert Mcp(0.5, 3.0).bind(("a",), ones[:1]).rest(ones[:1] * 9) == pytest.approx(0.375)
    assert Scad(0.5, 3.7).bind(("a",), ones[:1]).rest(ones[:1] * 9) == pytest.approx(0.5875)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L2(alpha=-1.0), "alpha must be .* got -1"),
        (lambda: L1(alpha=np.nan), "alpha must be .* got nan"),
        (lambda: GroupLasso(alpha=np.inf), "alpha must be .* got inf"),
        (lambda: ElasticNet(l1_ratio=1.5), "l1_ratio must be .* got 1.5"),
        (lambda: Mcp(gamma=1.0), "gamma must be .* got 1"),
        (lambda: Scad(a=2.0), "a must be .* got 2"),
        (lambda: L1(factors={"a": -1.0}), "factors must be .* got -1.0 for 'a'"),
        (lambda: NoPenalty(lower=1.0, upper=0.0), "lower must be at most upper, got 1.0 and 0.0"),
        (lambda: NoPenalty(lower={"a": 1.0}, upper={"a": 0.0}), "lower .* for 'a'"),
        (lambda: NoPenalty(lower={"a": 1.0}, upper=0.0), "lower .* for 'a'"),
        (lambda: GroupLasso(groups=[["a"], ["a"]]), "groups names the column 'a' twice"),
        (lambda: GroupLasso(groups=[[]]), "groups has an empty list"),
        (lambda: L1(factors={"e": 1.0}).bind(NAMES, np.ones(4)), "factors names the column 'e'"),
        (lambda: L1(upper={"e": 1.0}).bind(NAMES, np.ones(4)), "upper names the column 'e'"),
        (lambda: GroupLasso(groups=[["e"]]).ties(NAMES), "groups names the column 'e'"),
    ],
)
def test_bad_keys_are_named(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


def test_features_of_one_column_are_named_by_a_pattern() -> None:
    names = ["age", "c=red", "c=blue", "bs(x,1)", "[*]"]
    group = GroupLasso(groups=[["c=*"], ["bs(*", "age"]])
    assert [tie.tolist() for tie in group.ties(names)] == [[1, 2], [0, 3]]
    bound = L1(alpha=1.0, factors={"c=*": 0.0, "*": 2.0, "c=blue": 3.0}).bind(names, np.ones(5))
    assert bound.prox(np.full(5, 9.0), 1.0).tolist() == [7.0, 9.0, 6.0, 7.0, 7.0]
    with pytest.raises(ValueError, match="names the column 'c=red' twice"):
        GroupLasso(groups=[["c=*"], ["c=red"]]).ties(names)
    with pytest.raises(ValueError, match=r"names the column 'd=\*'"):
        GroupLasso(groups=[["d=*"]]).ties(names)
