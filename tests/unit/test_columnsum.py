"""The sum over columns: the bits of the sum over tiles, where most terms are 0, in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_gd.comm import ColumnSum, Reduction, SerialWorld, Terms, TileSum, World
from mpi_gd.solvers.solver import Floats
from tests.simulated import CountingWorld, ThreadWorld, on_ranks

N_REST = 3


def sparse_partials(n_tiles: int, width: int, seed: int, share: float = 0.4) -> Floats:
    """Return terms of both signs and of very different sizes, most of them 0; the rest last."""
    rng = np.random.default_rng((n_tiles, seed))
    shape = n_tiles, width + N_REST
    partials = rng.normal(size=shape) * 10.0 ** rng.uniform(-9, 9, size=shape)
    partials[:, :width] *= rng.random((n_tiles, width)) < share
    return partials


class Sums:
    """A `ColumnSum` that is given the terms of tiles, a few columns at a time."""

    def __init__(
        self, world: World, n_tiles: int, width: int, mode: Reduction = "exact", k: int = 1
    ) -> None:
        self.bounds = sorted({0, width // 3, width // 2, width})
        self.k = k
        self.sums = ColumnSum(world, n_tiles, self.bounds, k, N_REST, mode, extra=1)

    def sum(self, partials: Floats, rider: float = 0.0) -> Floats:
        """Return the sums of all columns and the rest; keep the rider's sum."""
        columns = partials[:, :-N_REST].reshape(len(partials), self.bounds[-1], self.k)

        def piece(number: int) -> Iterator[Terms]:
            first, last = self.bounds[number], self.bounds[number + 1]
            for low in range(first, last, 2):
                part = columns[:, low : min(low + 2, last)]
                is_there = (part != 0).any(axis=2)
                counts = np.count_nonzero(is_there, axis=0)
                places = np.flatnonzero(counts)
                if not places.size:
                    continue
                counts = counts[places]
                terms = part.transpose(1, 0, 2)[is_there.T]
                yield Terms(low - first + places, np.cumsum(counts) - counts, counts, terms)

        self.extra = np.array([rider])
        self.n_made = 0

        def when_made() -> None:
            self.n_made += 1
            self.extra += 1.0

        return self.sums.sum(piece, partials[:, -N_REST:], self.extra, when_made)


def on_cuts(partials: Floats, cuts: list[int], seed: int, k: int) -> list[bytes]:
    """Return every rank's sums, with exponents that are found and that are known."""
    bounds = [0, *sorted(cuts), len(partials)]

    def work(world: ThreadWorld) -> bytes:
        mine = partials[bounds[world.rank] : bounds[world.rank + 1]]
        sums = Sums(world, len(partials), (partials.shape[1] - N_REST) // k, k=k)
        return sums.sum(mine).tobytes() + sums.sum(mine).tobytes()

    results = on_ranks(len(bounds) - 1, work, seed)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return [result for result in results if isinstance(result, bytes)]


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 60),
    cuts=st.lists(st.integers(0, 60), max_size=7),
    seed=st.integers(0, 2**32),
    k=st.sampled_from([1, 2]),
)
def test_the_bits_of_a_sum_over_tiles_for_any_owners(
    n: int, cuts: list[int], seed: int, k: int
) -> None:
    partials = sparse_partials(n, 10 * k, seed)
    # A column without any term: its sum is 0.
    partials[:, 0:k] = 0.0
    expected = np.concatenate(
        [
            TileSum(SerialWorld(), n, 10 * k).sum(partials[:, :-N_REST]),
            TileSum(SerialWorld(), n, N_REST).sum(partials[:, -N_REST:]),
        ]
    ).tobytes()
    cuts = [min(cut, n) for cut in cuts]
    assert on_cuts(partials, cuts, seed, k) == [expected * 2] * (len(cuts) + 1)


def test_one_message_in_pieces_and_its_last_one() -> None:
    world = CountingWorld()
    sums = Sums(world, 20, 9)
    for number in range(1, 5):
        sums.sum(sparse_partials(20, 9, 0) / number, rider=5.0)
        assert (world.n_long, world.n_sums, sums.n_made) == (number, number, 1)
        assert sums.extra[0] == 6.0, "what is filled in last rides along"
    assert world.n_maxima == 2, "once for the columns, once for the rest"


def test_large_terms_cost_one_message_more_and_leave_no_trace() -> None:
    partials = sparse_partials(30, 9, 1)

    def work(world: ThreadWorld) -> list[bytes]:
        mine = partials[30 * world.rank // world.size : 30 * (world.rank + 1) // world.size]
        sums = Sums(world, 30, 9)
        before = sums.sum(mine)
        found = [before.tobytes()]
        for factor in (1e9, 1e200):
            large = mine.copy()
            large[:, 4] *= factor
            n_before = world.n_long
            total = sums.sum(large)
            assert world.n_long == n_before + 2 and sums.extra[0] == world.size
            found.append(total.tobytes())
            assert sums.sum(mine).tobytes() == before.tobytes()
        return [*found, sums.sums.exponents.tobytes()]

    results = [result for size in (1, 2, 3, 7) for result in on_ranks(size, work)]
    assert all(result == results[0] for result in results), results


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("when", ["at first", "later"])
def test_what_is_no_number_stays_in_its_column(bad: float, when: str) -> None:
    def work(world: ThreadWorld) -> Floats:
        sums = Sums(world, 6, 4)
        if when == "later":
            sums.sum(np.ones((2, 4 + N_REST)))
        partials = np.ones((2, 4 + N_REST))
        if world.rank == 1:
            partials[1, 2] = bad
        total = sums.sum(partials)
        if when == "later":
            np.testing.assert_array_equal(sums.sum(np.ones((2, 4 + N_REST))), 6.0)
        return total

    for total in on_ranks(3, work):
        assert isinstance(total, np.ndarray), total
        assert not np.isfinite(total[2])
        np.testing.assert_array_equal(np.delete(total, 2), 6.0)


def test_zeros_alone_say_nothing_of_the_sizes() -> None:
    sums = Sums(SerialWorld(), 5, 6)
    partials = sparse_partials(5, 6, 3)
    nothing = partials.copy()
    nothing[:, :6] = 0.0
    np.testing.assert_array_equal(sums.sum(nothing)[:6], 0.0)
    expected = Sums(SerialWorld(), 5, 6).sum(partials)[:6]
    assert sums.sum(partials)[:6].tobytes() == expected.tobytes()


def test_exponents_of_a_checkpoint_give_the_same_bits() -> None:
    world = CountingWorld()
    before, after = Sums(world, 50, 8), Sums(world, 50, 8)
    before.sum(sparse_partials(50, 8, 1) * 1e9)
    n_maxima = world.n_maxima
    after.sums.set_exponents(before.sums.exponents.copy())
    small = sparse_partials(50, 8, 2)
    assert after.sum(small).tobytes() == before.sum(small).tobytes()
    assert world.n_maxima == n_maxima


def test_small_terms_after_large_ones_keep_their_digits() -> None:
    sums = Sums(SerialWorld(), 100, 4)
    partials = np.random.default_rng(3).normal(size=(100, 4 + N_REST))
    for size in 10.0 ** -np.arange(0, 40, 0.7):
        total = sums.sum(partials * size)
        sums.sums.follow(size**2)
        for column, found in zip((partials * size).T, total, strict=True):
            exact = float(sum(map(Fraction, column.tolist())))
            assert abs(found - exact) <= 2.0**-53 * abs(exact) + 2.0**-60 * size


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 8), seed=st.integers(0, 2**32), scale=st.sampled_from([1e-20, 1.0, 1e20])
)
def test_float32_stays_within_its_bound(size: int, seed: int, scale: float) -> None:
    """The error of p ranks' sums s_i, each rounded: ((1 + 2^-24)^p - 1) sum |s_i|."""
    rng = np.random.default_rng(seed)
    # One term a rank: what a rank adds up in float64 is not what is in question.
    partials = rng.normal(size=(size, 7 + N_REST)) * 10.0 ** rng.uniform(-3, 3, (size, 1)) * scale

    def work(world: ThreadWorld) -> Floats:
        return Sums(world, size, 7, "float32").sum(partials[world.rank : world.rank + 1])

    growth = (1 + Fraction(1, 2**24)) ** size - 1
    for total in on_ranks(size, work, seed):
        assert isinstance(total, np.ndarray), total
        for column, found in zip(partials.T[:7], total[:7], strict=True):
            terms = [Fraction(term) for term in column.tolist()]
            assert abs(Fraction(found) - sum(terms)) <= growth * sum(map(abs, terms))
        # Loss, weights and the like are as they would be without.
        np.testing.assert_allclose(total[7:], partials[:, 7:].sum(axis=0), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("mode", "share"), [("exact", 1.0), ("fast", 0.5), ("float32", 0.25)])
def test_bytes_on_the_wire(mode: Reduction, share: float) -> None:
    n_bytes = []

    class Weighing(SerialWorld):
        def allreduce_sum(self, buffer: Floats) -> None:
            n_bytes.append(buffer.nbytes)

    Sums(Weighing(), 8, 300, mode).sum(sparse_partials(8, 300, 0))
    assert sum(n_bytes[:-1]) == 300 * 16 * share
