"""The world of MPI: agreement on errors, and what travels, on any number of ranks."""

from __future__ import annotations

import time
from typing import Any, cast

import numpy as np
import pytest
from mpi4py import MPI

from mpi_gd.comm.levels import Levels, find_levels
from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.errors import DataError, FileError, JobError, MpiGdError

pytestmark = pytest.mark.mpi

SIZE, RANK = MPI.COMM_WORLD.size, MPI.COMM_WORLD.rank


@pytest.fixture
def world() -> MpiWorld:
    """Return a world of its own: a message that is left over disturbs no other test."""
    return MpiWorld(MPI.COMM_WORLD.Dup())


def everywhere(what: Any) -> list[Any]:
    """Return every rank's object."""
    return list(MPI.COMM_WORLD.allgather(what))


def raised_by(world: MpiWorld, errors: dict[int, Exception], by_root: bool = False) -> str:
    """Return the class and the message that a phase raises here; empty if it passes."""
    try:
        with world.phase("reading x", by_root=by_root):
            if RANK in errors:
                raise errors[RANK]
    except MpiGdError as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize("culprit", range(SIZE))
def test_one_ranks_error_is_everybodys(world: MpiWorld, culprit: int) -> None:
    prefix = f"rank {culprit}: " if SIZE > 1 else ""
    message = raised_by(world, {culprit: DataError("x: line 3: bad")})
    assert everywhere(message) == [f"DataError: {prefix}x: line 3: bad"] * SIZE


def test_the_lowest_failing_rank_is_heard(world: MpiWorld) -> None:
    errors: dict[int, Exception] = {rank: JobError(f"r{rank}") for rank in range(1, SIZE)}
    message = raised_by(world, errors)
    others = f" (and {SIZE - 2} more ranks)" if SIZE > 2 else ""
    expected = f"JobError: rank 1{others}: r1" if SIZE > 1 else ""
    assert everywhere(message) == [expected] * SIZE


def test_all_alike_and_root_alone_name_no_rank(world: MpiWorld) -> None:
    alike: dict[int, Exception] = {rank: FileError("no x") for rank in range(SIZE)}
    assert everywhere(raised_by(world, alike)) == ["FileError: no x"] * SIZE
    full = raised_by(world, {0: FileError("full")}, by_root=True)
    assert everywhere(full) == ["FileError: full"] * SIZE


def test_ranks_stay_in_step_through_many_phases(world: MpiWorld) -> None:
    story = []
    for number in range(50):
        culprit = number % (SIZE + 1)
        message = raised_by(world, {culprit: DataError(f"n{number}")})
        story.append(message)
        total = np.array([RANK + 1.0, number])
        world.allreduce_sum(total)
        assert total.tolist() == [SIZE * (SIZE + 1) / 2, number * SIZE]
        assert bool(message) == (culprit < SIZE)
    assert len(set(map(tuple, everywhere(story)))) == 1


def test_a_late_rank_is_waited_for(world: MpiWorld) -> None:
    with pytest.raises(DataError, match="late"), world.phase("waiting"):
        if RANK == SIZE - 1:
            time.sleep(0.2)
            raise DataError("late")


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_sums_and_maxima(world: MpiWorld, dtype: Any) -> None:
    mine = np.array([RANK, -RANK, 7], dtype=dtype)
    total, largest = mine.copy(), mine.copy()
    world.allreduce_sum(total)
    world.allreduce_max(largest)
    last = SIZE - 1
    assert total.tolist() == [SIZE * last / 2, -SIZE * last / 2, 7 * SIZE]
    assert largest.tolist() == [last, 0, 7]
    empty = np.zeros(0, dtype=dtype)
    world.allreduce_sum(empty)


@pytest.mark.parametrize("text", ["", "é☃", "x" * 3_000_000])
def test_roots_text_is_everybodys(world: MpiWorld, text: str) -> None:
    assert world.bcast_text(text if RANK == 0 else None) == text
    data = text.encode()
    assert world.bcast_bytes(data if world.is_root else None) == data


def test_texts_are_gathered_by_rank(world: MpiWorld) -> None:
    assert world.gather_small(f"é{RANK}") == [f"é{rank}" for rank in range(SIZE)]


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
@pytest.mark.parametrize("kind", ["ragged", "empty", "one receiver", "one sender"])
def test_alltoallv(world: MpiWorld, dtype: Any, kind: str) -> None:
    def piece(sender: int, receiver: int) -> Any:
        length = {
            "ragged": (3 * sender + 5 * receiver) % 7,
            "empty": 0,
            "one receiver": 100 * (receiver == SIZE - 1),
            "one sender": 100 * (sender == SIZE - 1) + (sender == receiver),
        }[kind]
        return (np.arange(length) + 1000 * sender + 10_000 * receiver).astype(dtype)

    came = world.alltoallv([piece(RANK, receiver) for receiver in range(SIZE)])
    assert len(came) == SIZE
    for sender, array in enumerate(came):
        assert array.dtype == dtype
        np.testing.assert_array_equal(array, piece(sender, RANK))


def test_who_is_who(world: MpiWorld) -> None:
    assert (world.rank, world.size, world.is_root) == (RANK, SIZE, RANK == 0)


@pytest.mark.parametrize("n_hosts", [1, 2, 3])
def test_sums_by_hosts_are_those_of_all_ranks(n_hosts: int) -> None:
    """However the ranks are spread: here the last host has what is left."""
    comm = MPI.COMM_WORLD.Dup()
    node = cast(MPI.Intracomm, comm.Split(min(RANK // 2, n_hosts - 1), RANK))
    levels = Levels(comm, node)
    mine = np.arange(5.0) * (RANK + 1)
    ranks = SIZE * (SIZE + 1) / 2
    buffer = mine.copy()
    levels.sum(buffer)
    np.testing.assert_array_equal(buffer, np.arange(5.0) * ranks)
    pieces = [mine.copy(), mine[:2].astype(np.float32), mine[2:] + 1.0]
    levels.sum_pieces(iter(pieces))
    np.testing.assert_array_equal(pieces[0], np.arange(5.0) * ranks)
    np.testing.assert_array_equal(pieces[1], np.arange(2.0) * ranks)
    np.testing.assert_array_equal(pieces[2], np.arange(2.0, 5.0) * ranks + SIZE)
    levels.free()
    comm.Free()


def test_one_host_has_no_levels() -> None:
    assert find_levels(MPI.COMM_WORLD) is None
