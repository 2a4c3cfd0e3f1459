"""The sum over tiles: the same bits in any order, and no digit lost that a plain sum keeps."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mpi_gd.comm import SerialWorld, TileSum
from mpi_gd.solvers.solver import Floats
from tests.simulated import CountingWorld, ThreadWorld, on_ranks

EPS = 2.0**-53


def alone(partials: Floats) -> Floats:
    """Return the sum on one rank."""
    return TileSum(SerialWorld(), len(partials), partials.shape[1]).sum(partials)


def on_cuts(partials: Floats, cuts: list[int], seed: int) -> list[bytes]:
    """Return every rank's sum; rank i has the rows from cut i to the next."""
    bounds = [0, *sorted(cuts), len(partials)]

    def work(world: ThreadWorld) -> bytes:
        mine = partials[bounds[world.rank] : bounds[world.rank + 1]]
        tile_sum = TileSum(world, len(partials), partials.shape[1])
        # Twice: with exponents that are found, and that are known.
        tile_sum.sum(mine)
        return tile_sum.sum(mine).tobytes()

    results = on_ranks(len(bounds) - 1, work, seed)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return [result for result in results if isinstance(result, bytes)]


def heavy(n: int, width: int, seed: int) -> Floats:
    """Return terms of both signs and of very different sizes."""
    rng = np.random.default_rng((n, seed))
    return rng.normal(size=(n, width)) * 10.0 ** rng.uniform(-12, 12, size=(n, width))


@settings(max_examples=60)
@given(
    n=st.integers(1, 150),
    cuts=st.lists(st.integers(0, 150), max_size=4),
    seed=st.integers(0, 2**32),
    scale=st.sampled_from([1e-300, 1e-200, 1e-9, 1.0, 1e9, 1e250]),
)
def test_same_bits_for_any_owners_and_order(
    n: int, cuts: list[int], seed: int, scale: float
) -> None:
    partials = heavy(n, 3, seed) * scale
    expected = alone(partials).tobytes()
    cuts = [min(cut, n) for cut in cuts]
    assert on_cuts(partials, cuts, seed) == [expected] * (len(cuts) + 1)


@settings(max_examples=60)
@given(st.lists(st.floats(-1e200, 1e200), min_size=1, max_size=80), st.randoms())
def test_same_bits_for_any_order_of_tiles(terms: list[float], random: object) -> None:
    shuffled = list(terms)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    columns = np.array([terms, shuffled]).T.copy()
    a, b = alone(columns)
    assert a.tobytes() == b.tobytes()


@settings(max_examples=150)
@given(st.lists(st.floats(-1e200, 1e200), min_size=1, max_size=80))
@example([1e200, 1.0, -1e200])
@example([1.0, 1e-16, 1e-16, 1e-16])
def test_error_is_below_what_the_docstring_promises(terms: list[float]) -> None:
    n = len(terms)
    total = float(alone(np.array(terms)[:, None])[0])
    exact = sum(map(Fraction, terms), Fraction(0))
    largest = max((abs(Fraction(term)) for term in terms), default=Fraction(0))
    # e is at most 9 above the largest term; the two limbs are added with one rounding.
    bits = min(50, 52 - max(1, n - 1).bit_length())
    bound = n * largest / 2 ** (2 * bits - 9) + Fraction(EPS) * abs(exact)
    assert abs(Fraction(total) - exact) <= bound + Fraction(1, 2**890)


@pytest.mark.parametrize("n", [2, 100, 1000, 20_000])
@pytest.mark.parametrize("kind", ["plain", "heavy", "cancelling", "ramp"])
def test_at_least_as_accurate_as_a_plain_sum(n: int, kind: str) -> None:
    rng = np.random.default_rng(n)
    terms = {
        "plain": rng.normal(size=n),
        "heavy": rng.standard_cauchy(size=n) ** 3,
        "cancelling": np.concatenate([a := rng.normal(size=n // 2) * 1e6, -a]) + rng.normal(size=n),
        "ramp": np.arange(n) + rng.random(n),
    }[kind]
    exact = math.fsum(terms)
    total = float(alone(terms[:, None])[0])
    plain = abs(sum(terms.tolist()) - exact)
    assert abs(total - exact) <= max(plain, abs(exact) * EPS)
    # And as a sum of whatever order could be hoped to be: half a unit of its largest part.
    assert abs(total - exact) <= max(float(np.abs(terms).max()), abs(exact)) * EPS


def test_integers_are_exact() -> None:
    counts = np.arange(1, 1001, dtype=np.float64)[:, None] * 1_000_003
    assert alone(counts)[0] == 1000 * 1001 // 2 * 1_000_003


@pytest.mark.parametrize("n_tiles", [1, 2, 3, 4, 5, 1024, 1025, 1 << 17])
def test_no_bit_is_lost_at_the_full_number_of_tiles(n_tiles: int) -> None:
    """All terms as large as their exponent allows, of one sign: the limbs' sums reach 2^53."""
    term = np.nextafter(1.0, 0.0)
    world = CountingWorld()
    tile_sum = TileSum(world, n_tiles, 1)
    # No room is left above the terms, the tightest case there is.
    tile_sum.set_exponents(np.zeros(2, dtype=np.int64))
    total = tile_sum.sum(np.full((n_tiles, 1), term))[0]
    assert world.n_maxima == 0
    assert total == float(Fraction(term) * n_tiles)


@pytest.mark.parametrize("n_tiles", [2, 3, 64, 1025, 1 << 17])
def test_any_order_at_the_full_number_of_tiles(n_tiles: int) -> None:
    """Limbs of all bits, of one sign: one bit more in a limb, and its sum would be rounded."""
    rng = np.random.default_rng(n_tiles)
    terms = rng.uniform(0.9, 1.0, size=(n_tiles, 8))
    world = CountingWorld()
    tile_sum = TileSum(world, n_tiles, 8)
    tile_sum.set_exponents(np.zeros(9, dtype=np.int64))
    sums = {tile_sum.sum(rng.permutation(terms)).tobytes() for _ in range(4)}
    assert len(sums) == 1 and world.n_maxima == 0


def test_one_agreement_and_one_sum_a_call() -> None:
    world = CountingWorld()
    tile_sum = TileSum(world, 4, 2)
    rng = np.random.default_rng(0)
    for number in range(1, 6):
        tile_sum.sum(rng.normal(size=(4, 2)) / number)
        assert (world.n_sums, world.n_maxima) == (number, 1)


def test_a_term_that_is_too_large_makes_them_agree_anew() -> None:
    world = CountingWorld()
    tile_sum = TileSum(world, 4, 2)
    tile_sum.sum(np.ones((4, 2)))
    first = tile_sum.exponents.copy()
    large = np.array([[1.0, 0.5], [1e6, 2.0], [-1e6, 0.25], [3.0, 0.125]])
    np.testing.assert_array_equal(tile_sum.sum(large), [4.0, 2.875])
    assert (world.n_sums, world.n_maxima) == (3, 2)
    tile_sum.sum(np.full((4, 2), 255.0))
    assert world.n_sums == 4, "there is room for some growth"
    np.testing.assert_array_equal(tile_sum.exponents, first)


def test_one_large_term_does_not_take_the_digits_of_what_follows() -> None:
    """A trial point of a line search may lie far away; the optimum is sought afterwards."""
    tile_sum = TileSum(SerialWorld(), 100, 1)
    terms = np.random.default_rng(8).normal(size=(100, 1))
    before = tile_sum.sum(terms)
    for far in (1e9, 1e30, 1e300, np.inf, np.nan):
        tile_sum.sum(terms * far)
        assert tile_sum.sum(terms).tobytes() == before.tobytes()


def test_growth_gives_the_same_bits_wherever_it_happens() -> None:
    steps = [heavy(20, 2, seed) * 1000.0**seed for seed in range(5)]

    def work(world: ThreadWorld) -> list[bytes]:
        first, last = 20 * world.rank // world.size, 20 * (world.rank + 1) // world.size
        tile_sum = TileSum(world, 20, 2)
        bits = [tile_sum.sum(terms[first:last]).tobytes() for terms in steps]
        return [*bits, tile_sum.exponents.tobytes(), bytes([world.n_maxima])]

    results = [result for size in (1, 2, 3, 7) for result in on_ranks(size, work)]
    assert all(result == results[0] for result in results)
    assert isinstance(results[0], list) and results[0][-1][0] > 2


@pytest.mark.parametrize("n_tiles", [10, 1000, 1 << 17])
def test_small_terms_after_large_ones_keep_their_digits(n_tiles: int) -> None:
    """As near an optimum whose objective is almost 0: never worse than a plain sum."""
    rng = np.random.default_rng(n_tiles)
    terms = rng.normal(size=(n_tiles, 1))
    tile_sum = TileSum(SerialWorld(), n_tiles, 1)
    for size in 10.0 ** -np.arange(0, 40, 0.7):
        total = tile_sum.sum(terms * size)[0]
        # The objective tells the sum of squares, which falls twice as fast.
        tile_sum.follow(size**2)
        exact = math.fsum(terms[:, 0] * size)
        assert abs(total - exact) <= EPS * abs(exact) + 2.0**-60 * size


def test_following_the_size_costs_a_message_only_where_it_falls() -> None:
    world = CountingWorld()
    tile_sum = TileSum(world, 4, 2)
    for size in (1.0, 3.0, 0.5, 0.01, 0.02, 0.004, 0.0, np.nan, 0.003):
        tile_sum.sum(np.full((4, 2), size))
        tile_sum.follow(size)
    # At first; after 0.004 was told, on the zeros, which say nothing, and so on the last.
    assert world.n_maxima == 4
    tile_sum.sum(np.full((4, 2), 1e-3))
    assert world.n_maxima == 4


def test_exponents_of_a_checkpoint_give_the_same_bits() -> None:
    world = CountingWorld()
    before, after = TileSum(world, 50, 3), TileSum(world, 50, 3)
    before.sum(heavy(50, 3, 1) * 1e9)
    after.set_exponents(before.exponents.copy())
    small = heavy(50, 3, 2)
    assert after.sum(small).tobytes() == before.sum(small).tobytes()
    assert world.n_maxima == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300, -1.7e308])
@pytest.mark.parametrize("when", ["at first", "later"])
def test_what_is_no_number_stays_in_its_column(bad: float, when: str) -> None:
    """And no rank warns, hangs, or believes that another column is bad."""

    def work(world: ThreadWorld) -> Floats:
        tile_sum = TileSum(world, 6, 3)
        if when == "later":
            tile_sum.sum(np.ones((2, 3)))
        partials = np.full((2, 3), world.rank + 1.0)
        if world.rank == 1:
            partials[1, 1] = bad
        total = tile_sum.sum(partials)
        if when == "later":
            # The next question is answered as if nothing had been.
            np.testing.assert_array_equal(tile_sum.sum(np.ones((2, 3))), [6, 6, 6])
        return total

    for total in on_ranks(3, work):
        assert isinstance(total, np.ndarray), total
        assert not np.isfinite(total[1])
        assert (total[0], total[2]) == (12.0, 12.0)


def test_two_infinities_of_opposite_sign() -> None:
    assert np.isnan(alone(np.array([[np.inf], [-np.inf]]))[0])


@pytest.mark.parametrize("n", [1, 5])
def test_columns_of_zeros(n: int) -> None:
    world = CountingWorld()
    tile_sum = TileSum(world, n, 3)
    np.testing.assert_array_equal(tile_sum.sum(np.zeros((n, 3))), 0.0)
    terms = np.zeros((n, 3))
    terms[0] = 1.0, 0.0, 1e-5
    np.testing.assert_array_equal(tile_sum.sum(terms), terms[0])
    assert world.n_maxima == 2, "the zeros said nothing of the sizes"


def test_a_column_that_begins_with_zeros_keeps_its_digits() -> None:
    """Its exponent is guessed from the others': right for columns of like sizes."""
    tile_sum = TileSum(SerialWorld(), 100, 2)
    tile_sum.sum(np.column_stack([np.full(100, 1e4), np.zeros(100)]))
    terms = np.random.default_rng(5).normal(size=(100, 2))
    total = tile_sum.sum(terms)[1]
    assert total == pytest.approx(math.fsum(terms[:, 1]), rel=4 * EPS)


def test_ranks_without_tiles() -> None:
    def work(world: ThreadWorld) -> bytes:
        partials = np.ones((1, 2)) if world.rank == 2 else np.zeros((0, 2))
        return TileSum(world, 1, 2).sum(partials).tobytes()

    assert on_ranks(4, work) == [np.ones(2).tobytes()] * 4


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_what_rides_along_is_summed_too(mode: str) -> None:
    def work(world: ThreadWorld) -> list[float]:
        tile_sum = TileSum(world, 6, 2, mode=mode, extra=3)  # type: ignore[arg-type]
        results = []
        # The second grows: the message goes out again, but its riders count once.
        for scale in (1.0, 1e9, 1.0):
            extra = np.array([2.0**32 - 1, world.rank, 7.5 if world.rank == 1 else 0.0])
            total = tile_sum.sum(np.full((2, 2), scale), extra)
            results += [*extra, *(total / scale)]
        return [float(number) for number in results]

    assert on_ranks(3, work) == [[3 * (2.0**32 - 1), 3.0, 7.5, 6.0, 6.0] * 3] * 3


def test_fast_is_one_plain_message() -> None:
    world = CountingWorld()
    partials = np.random.default_rng(0).normal(size=(100, 4))
    total = TileSum(world, 100, 4, mode="fast").sum(partials)
    np.testing.assert_allclose(total, partials.sum(axis=0), rtol=1e-12)
    assert (world.n_sums, world.n_maxima) == (1, 0)


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_a_result_is_not_overwritten_by_the_next(mode: str) -> None:
    tile_sum = TileSum(SerialWorld(), 2, 2, mode=mode)  # type: ignore[arg-type]
    first = tile_sum.sum(np.ones((2, 2)))
    tile_sum.sum(np.full((2, 2), 5.0))
    np.testing.assert_array_equal(first, [2, 2])
