"""Phases: an error of one rank becomes the same error of all."""

from __future__ import annotations

import pytest

from mpi_gd.comm import SerialWorld, World
from mpi_gd.errors import DataError, FileError, JobError, MpiGdError
from tests.simulated import ThreadWorld, on_ranks


class Special(DataError):
    """An error of a class that other ranks may not know."""


def outcome(size: int, errors: dict[int, Exception], by_root: bool = False) -> list[object]:
    """Return, by rank, what a phase raises when some ranks fail; all must raise the same."""

    def work(world: ThreadWorld) -> str:
        with world.phase("reading x.csv", by_root=by_root):
            if world.rank in errors:
                raise errors[world.rank]
        return "passed"

    return list(on_ranks(size, work))


def same(results: list[object], kind: type[Exception]) -> str:
    """Return the message that all ranks have, of errors of this very class."""
    assert {type(result) for result in results} == {kind}, results
    messages = {str(result) for result in results}
    assert len(messages) == 1
    return messages.pop()


def test_nothing_happens_when_nothing_fails() -> None:
    assert outcome(3, {}) == ["passed"] * 3


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_one_ranks_error_is_raised_on_all(rank: int) -> None:
    results = outcome(4, {rank: DataError("x.csv: line 3: bad")})
    assert same(results, DataError) == f"rank {rank}: x.csv: line 3: bad"


def test_the_lowest_rank_speaks_for_the_others() -> None:
    results = outcome(4, {3: JobError("c"), 1: FileError("a"), 2: DataError("b")})
    assert same(results, FileError) == "rank 1 (and 2 more ranks): a"


def test_no_rank_is_named_when_all_fail_alike() -> None:
    results = outcome(3, {rank: FileError("x: missing") for rank in range(3)})
    assert same(results, FileError) == "x: missing"


def test_all_fail_but_not_alike() -> None:
    results = outcome(2, {0: DataError("a"), 1: DataError("b")})
    assert same(results, DataError) == "rank 0 (and 1 more ranks): a"


def test_roots_work_names_no_rank() -> None:
    assert same(outcome(3, {0: FileError("disk full")}, by_root=True), FileError) == "disk full"


def test_a_subclass_arrives_as_the_class_that_all_know() -> None:
    assert same(outcome(2, {1: Special("odd")}), DataError) == "rank 1: odd"


def test_the_systems_errors_are_explained() -> None:
    message = same(outcome(2, {1: PermissionError(13, "Permission denied", "x.csv")}), FileError)
    assert message.startswith("rank 1: reading x.csv: ") and "Permission denied" in message
    message = same(outcome(2, {0: MemoryError("8 GiB")}), FileError)
    assert "rank 0: reading x.csv: not enough memory" in message and "8 GiB" in message


def test_a_defect_passes_as_it_is() -> None:
    """It is for the abort, which ends the other ranks too."""
    with pytest.raises(ZeroDivisionError), SerialWorld().phase("computing"):
        raise ZeroDivisionError


def test_alone_the_error_keeps_its_cause() -> None:
    with pytest.raises(DataError, match=r"^bad$") as caught, SerialWorld().phase("reading"):
        raise DataError("bad")
    assert isinstance(caught.value.__cause__, DataError)


def test_any_text_can_be_told() -> None:
    """What a terminal would obey, or could not print, is escaped."""
    results = outcome(2, {1: DataError("got 'é\udcff\n\x1b[2J\"', expected ☃")})
    assert same(results, DataError) == "rank 1: got 'é\\udcff\\n\\x1b[2J\"', expected ☃"


def test_phases_follow_each_other() -> None:
    """After an error that was caught the ranks are still in step."""

    def work(world: World) -> list[str]:
        story = []
        for culprit in (1, 0, 5):
            try:
                with world.phase("trying"):
                    if world.rank == culprit:
                        raise DataError("no")
                story.append("passed")
            except MpiGdError as error:
                story.append(str(error))
        return story

    assert on_ranks(2, work) == [["rank 1: no", "rank 0: no", "passed"]] * 2


def test_serial_collectives_give_back_what_they_get() -> None:
    world = SerialWorld()
    assert world.is_root and world.size == 1
    assert world.bcast_text("aé") == "aé" and world.gather_small("x") == ["x"]
    with pytest.raises(ValueError, match="nothing to broadcast"):
        world.bcast_text(None)
