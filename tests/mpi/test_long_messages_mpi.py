"""Long messages in pieces, over MPI: the same sums as in one, the same bytes as on one rank."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from mpi4py import MPI

from mpi_gd.comm import ColumnSum, SerialWorld, Terms, World
from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.solvers.solver import Floats

pytestmark = pytest.mark.mpi

SIZE, RANK = MPI.COMM_WORLD.size, MPI.COMM_WORLD.rank
N_TILES, WIDTH, N_REST = 11, 300_000, 4


@pytest.fixture
def world() -> MpiWorld:
    """Return a world of its own: a message that is left over disturbs no other test."""
    return MpiWorld(MPI.COMM_WORLD.Dup())


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_pieces_are_summed_while_later_ones_are_made(world: MpiWorld, kind: type) -> None:
    lengths = [1, 0, 70_000, 3, 200_000, 17] * 10
    pieces: list[Floats] = [
        np.full(length, RANK + 1.0 + i, dtype=kind) for i, length in enumerate(lengths)
    ]
    world.allreduce_pieces(iter(pieces))
    for i, piece in enumerate(pieces):
        assert (piece == SIZE * (SIZE + 1) / 2 + SIZE * i).all()
    # Nothing is left under way that the next message could meet.
    rank_sum = np.array([float(RANK)])
    world.allreduce_sum(rank_sum)
    assert rank_sum[0] == SIZE * (SIZE - 1) / 2


def sums_of(world: World, first: int, last: int) -> tuple[ColumnSum, Floats]:
    """Return the sum of tiles [first, last), each with numbers in every third column."""
    bounds = [0, 65_536, 140_000, WIDTH]
    column_sum = ColumnSum(world, N_TILES, bounds, 1, N_REST)
    tiles = [np.random.default_rng(tile).standard_cauchy(WIDTH) for tile in range(first, last)]

    def piece(number: int) -> Iterator[Terms]:
        low, high = bounds[number], bounds[number + 1]
        for start in range(low, high, 30_000):
            places = np.arange(start, min(start + 30_000, high), 3)
            if not tiles:
                continue
            terms = np.stack([tile[places] for tile in tiles], axis=1).reshape(-1, 1)
            counts = np.full(len(places), len(tiles))
            yield Terms(places - low, np.cumsum(counts) - counts, counts, terms)

    rest = np.array([[tile + 0.1 + k for k in range(N_REST)] for tile in range(first, last)])
    return column_sum, column_sum.sum(piece, rest.reshape(-1, N_REST))


def test_same_bytes_as_on_one_rank(world: MpiWorld) -> None:
    # As many tiles as it happens, on some ranks none.
    cuts = np.sort(np.random.default_rng(SIZE).integers(0, N_TILES + 1, SIZE - 1))
    bounds = [0, *cuts.tolist(), N_TILES]
    column_sum, total = sums_of(world, bounds[RANK], bounds[RANK + 1])
    alone, expected = sums_of(SerialWorld(), 0, N_TILES)
    assert total.tobytes() == expected.tobytes()
    assert column_sum.exponents.tobytes() == alone.exponents.tobytes()
