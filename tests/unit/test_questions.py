"""Samples of tiles and products with the Hessian: what they are, on any number of ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_gd.comm import SerialWorld, World
from mpi_gd.data.grid import RowGrid
from mpi_gd.losses import Logistic, Loss, Multinomial, Poisson
from mpi_gd.matrix import Dense
from mpi_gd.objective import Objective, Rows, find_scaling
from mpi_gd.objective.sample import sampled_rows
from mpi_gd.penalties import L2
from mpi_gd.solvers import Question, Sample
from mpi_gd.solvers.solver import Floats
from tests.simulated import CountingWorld, ThreadWorld, on_ranks

N, D, SEED = 9000, 4, 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D)) * np.array([1.0, 30.0, 0.1, 2.0]) + np.array([0.0, 9.0, 0.0, 1.0])
# In order, as files often are.
X = X[np.argsort(X[:, 0])]
Y = np.abs(np.round(X @ np.array([1.0, 0.05, 3.0, 0.2]))) % 3
WEIGHT = RNG.integers(0, 3, size=N) * 0.5
LOSSES: dict[str, Loss] = {
    "logistic": Logistic(),
    "poisson": Poisson(),
    "multinomial": Multinomial(),
}


def objective_of(
    world: World, loss: Loss, weight: Any = None, free: Any = None, alpha: float = 0.3
) -> Objective:
    """Return the objective of the rank's part."""
    y = (Y > 0) * 1.0 if isinstance(loss, Logistic) else Y
    grid = RowGrid(N, D, 8)
    own = slice(*grid.rows_of(world.rank, world.size))
    rows = Rows(
        grid,
        *grid.tiles_of(world.rank, world.size),
        Dense(X[own]),
        loss.encode(y[own]),
        None if weight is None else weight[own],
    )
    names = tuple("abcd")
    scaling = find_scaling(
        world,
        rows,
        names,
        "exact",
        standardize=False,
        precondition=True,
        locate=str,
        n_outputs=loss.n_outputs(3),
    )
    penalty = L2(alpha=alpha).bind(names, scaling.penalty_scale, scaling.n_outputs)
    return Objective(world, rows, loss, penalty, scaling, seed=SEED, free=free)


def point(objective: Objective, seed: int = 1) -> Floats:
    return 0.3 * np.random.default_rng(seed).normal(size=objective.n_params)


@given(st.integers(1, 300_000), st.sampled_from([1, 2, 4, 16]), st.integers(0, 2**63), st.data())
def test_a_sample_has_a_piece_in_each_stratum_and_is_nested(
    n: int, stride: int, seed: int, data: st.DataObject
) -> None:
    grid = RowGrid(n, 30, 8)
    piece = 16 * data.draw(st.integers(0, grid.tile_rows // 16))
    found = sampled_rows(grid, stride, piece, seed)
    assert [tile // stride for tile, _, _ in found] == list(range(-(-grid.n_tiles // stride)))
    for tile, start, stop in found:
        first, last = grid.tile_bounds(tile)
        assert first <= start < stop <= last
        assert stop - start == min(piece or grid.tile_rows, last - start)
    for wider in (4 * stride, 64 * stride):
        few = {tile for tile, _, _ in sampled_rows(grid, wider, piece, seed)}
        assert few <= {tile for tile, _, _ in found}


@pytest.mark.parametrize("seed", range(5))
def test_pieces_are_within_longer_ones(seed: int) -> None:
    grid = RowGrid(1_000_000, 100, 8)
    assert grid.tile_rows == 2048
    # The last tile is shorter: its pieces may lie elsewhere.
    short, long = (sampled_rows(grid, 7, piece, seed)[:-1] for piece in (128, 512))
    for (tile, i, j), (same, first, last) in zip(short, long, strict=True):
        assert tile == same and first <= i < j <= last


def test_other_seeds_draw_other_rows() -> None:
    grid = RowGrid(100_000, 100, 8)
    assert len({tuple(sampled_rows(grid, 8, 0, seed)) for seed in range(20)}) > 15
    assert len({tuple(sampled_rows(grid, 1, 64, seed)) for seed in range(20)}) == 20


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_sample_is_the_objective_of_its_rows(loss: Loss, weighted: bool) -> None:
    weight = WEIGHT if weighted else None
    objective = objective_of(SerialWorld(), loss, weight, alpha=0.0)
    u, grid = point(objective), RowGrid(N, D, 8)
    for sample in (Sample(4), Sample(2, 48), Sample(1, 100)):
        chosen = np.zeros(N)
        for _, start, stop in sampled_rows(grid, sample.stride, sample.rows, SEED):
            chosen[start:stop] = 1.0
        whole = objective_of(
            SerialWorld(), loss, chosen if weight is None else chosen * weight, alpha=0.0
        )
        # The point is the same in the data's units.
        found = objective.answer(Question(u, sample=sample, hessian=True))
        used = chosen if weight is None else chosen * weight
        assert found.n_rows == np.count_nonzero(used)
        coef, intercept = objective._scaling.to_original(u)
        if isinstance(intercept, float):
            v = whole._scaling.to_solver(coef, intercept)
            expected = whole.answer(Question(v))
            assert found.answer.value == pytest.approx(expected.answer.value, rel=1e-13)
        plain = objective.answer(Question(u, sample=sample)).answer
        assert plain.value == found.answer.value
        assert plain.gradient.tobytes() == found.answer.gradient.tobytes()


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("sample", [None, Sample(4), Sample(2, 48)], ids=["all", "tiles", "parts"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_product_is_the_hessians(loss: Loss, sample: Sample | None, weighted: bool) -> None:
    n_params = (D + 1) * loss.n_outputs(3)
    free = np.arange(n_params) != 2
    objective = objective_of(SerialWorld(), loss, WEIGHT if weighted else None, free)
    for seed in (1, 1, 2):
        u = point(objective, seed)
        hessian = objective.answer(Question(u, hessian=True, sample=sample)).answer.hessian
        assert hessian is not None
        for along in (point(objective, 7), point(objective, 8)):
            found = objective.answer(Question(u, along=along, sample=sample))
            assert found.answer.product is not None
            np.testing.assert_allclose(
                found.answer.product, hessian @ np.where(free, along, 0.0), rtol=1e-10, atol=1e-12
            )
            counted = objective.answer(Question(u, sample=sample)).n_rows
            assert found.n_rows == counted


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_any_number_of_ranks_answers_with_the_same_bits(loss: Loss) -> None:
    """Also more ranks than the sample has tiles."""

    def work(world: World) -> list[bytes]:
        objective = objective_of(world, loss, WEIGHT)
        told = []
        for seed in (1, 2):
            u = point(objective, seed)
            for sample in (Sample(8), Sample(4, 32), None):
                replies = [
                    objective.answer(Question(u, sample=sample)),
                    objective.answer(Question(u, sample=sample, hessian=True)),
                    objective.answer(Question(u, sample=sample, along=u[::-1].copy())),
                ]
                for reply in replies:
                    answer = reply.answer
                    told.append(answer.gradient.tobytes() + np.float64(answer.value).tobytes())
                    for more in (answer.hessian, answer.product):
                        told.append(b"" if more is None else more.tobytes())
        told += [exponents.tobytes() for exponents in objective.exponents().values()]
        return told

    alone = work(SerialWorld())
    for size in (2, 3, 7):
        for told in on_ranks(size, work):
            assert not isinstance(told, Exception), told
            assert told == alone


def test_one_sum_a_question_and_one_agreement_a_kind() -> None:
    """A tile's sums are as large in a sample: the exponents are agreed on once."""
    world = CountingWorld()
    objective = objective_of(world, Logistic())
    u = point(objective)
    sums, maxima = world.n_sums, world.n_maxima
    for sample in (Sample(8), Sample(2), None):
        objective.answer(Question(u, sample=sample))
        objective.answer(Question(u, sample=sample, along=u))
    assert world.n_sums - sums == 6
    assert world.n_maxima - maxima == 2


def test_exponents_go_through_a_checkpoint() -> None:
    first = objective_of(SerialWorld(), Logistic())
    u = point(first)
    asked = [Question(u, hessian=True), Question(u, along=u), Question(u, sample=Sample(4))]
    for question in asked:
        first.answer(question)
    second = objective_of(SerialWorld(), Logistic())
    second.set_exponents(first.exponents())
    assert second.exponents().keys() == first.exponents().keys() == {"0", "0h", "0v"}
    for question in asked:
        one, two = first.answer(question).answer, second.answer(question).answer
        assert one.gradient.tobytes() == two.gradient.tobytes()


def test_a_rank_keeps_predictors_of_one_point_alone() -> None:
    """Products at another point, and then again at the first, are those of their points."""

    def work(world: ThreadWorld) -> list[bytes]:
        objective = objective_of(world, Poisson())
        one, two = point(objective, 1), point(objective, 2)
        told = []
        for u in (one, one, two, one):
            product = objective.answer(Question(u, along=two)).answer.product
            told.append(b"" if product is None else product.tobytes())
        return told

    for told in on_ranks(2, work):
        assert not isinstance(told, Exception), told
        assert told[0] == told[1] == told[3] != told[2]


def test_kronecker_factors_are_the_means_of_the_outputs_curvatures() -> None:
    loss = LOSSES["multinomial"]
    objective = objective_of(SerialWorld(), loss, WEIGHT)
    u = point(objective)
    plain = objective.answer(Question(u, hessian=True)).answer
    answer = objective.answer(Question(u, hessian=True, kronecker=True)).answer
    assert plain.hessian is not None and answer.hessian is not None and answer.coupling is not None
    own = [plain.hessian[k::3, k::3] for k in range(3)]
    np.testing.assert_allclose(answer.hessian, sum(own) / 3.0, rtol=1e-10, atol=1e-13)
    h = loss.second_derivative(objective.predictor(u), Y)
    coupling = np.einsum("i,ijk->jk", WEIGHT, h)
    np.testing.assert_allclose(answer.coupling, coupling / np.trace(coupling) * 3.0, rtol=1e-10)
    assert answer.gradient.tobytes() == plain.gradient.tobytes()
    assert "0k" in objective.exponents()
    again = objective_of(SerialWorld(), loss, WEIGHT)
    again.set_exponents(objective.exponents())
    same = again.answer(Question(u, hessian=True, kronecker=True)).answer
    assert same.hessian is not None and same.hessian.tobytes() == answer.hessian.tobytes()
