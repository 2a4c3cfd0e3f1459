"""Checkpoints: bytes there and back, the newest good one, never another job's."""

from __future__ import annotations

import dataclasses
import errno
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpi_gd.archive import ArchiveError, pack
from mpi_gd.checkpoint import Checkpoint, Writer, newest, save
from mpi_gd.errors import FileError, JobError

NEEDS = {"seed": 3, "solver.kind": "lbfgs", "the data": "7 rows"}


def example(questions: int = 7, needs: dict[str, Any] = NEEDS) -> Checkpoint:
    """Return a checkpoint with all that is hard to write down."""
    state = {
        "u": np.array([0.1, -0.0, np.nan, np.inf, 5e-324]),
        "iteration": np.array(3),
        "empty": np.zeros((0, 4)),
        "flag": np.array(True),
    }
    return Checkpoint(state, {"0": np.arange(4), "256": np.arange(-3, 1)}, 3, questions, needs)


def names(folder: Path) -> list[str]:
    """Return the files of a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_bytes_there_and_back() -> None:
    before = example()
    after = Checkpoint.from_bytes(before.to_bytes())
    assert (after.iteration, after.questions, after.needs) == (3, 7, NEEDS)
    for old, new in [(before.state, after.state), (before.exponents, after.exponents)]:
        assert list(old) == list(new) or sorted(old) == sorted(new)
        for name in old:
            assert old[name].dtype == new[name].dtype and old[name].shape == new[name].shape
            assert old[name].tobytes() == new[name].tobytes()
    assert after.to_bytes() == before.to_bytes()


def test_another_kind_of_archive_is_refused() -> None:
    with pytest.raises(ArchiveError, match="expected 'mpi_gd checkpoint 2'"):
        Checkpoint.from_bytes(pack({"a": np.zeros(2)}, {"format": "mpi_gd model 1"}))


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_as_many_are_kept_as_asked(tmp_path: Path, keep: int) -> None:
    for questions in (2, 10, 100, 1000):
        path = save(tmp_path, example(questions), keep)
        assert path.name == f"{questions:09d}.npz"
    expected = ["000000002.npz", "000000010.npz", "000000100.npz", "000001000.npz"]
    assert names(tmp_path) == expected[-keep:]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes.txt", "1.npz", "0000000001.npz", "000000001.npz.tmp"):
        (tmp_path / name).write_text("mine")
    save(tmp_path, example(5), 1)
    save(tmp_path, example(6), 1)
    assert len(names(tmp_path)) == 5 and "000000006.npz" in names(tmp_path)


def newest_of(folder: Path, needs: dict[str, Any] = NEEDS) -> tuple[int, list[str]]:
    """Return the questions of the newest, -1 if there is none, and the warnings."""
    warnings: list[str] = []
    found = newest(folder, needs, warnings.append)
    return (found.questions if found else -1), warnings


def test_the_newest_is_found(tmp_path: Path) -> None:
    for questions in (9, 10, 11):
        save(tmp_path, example(questions), 3)
    assert newest_of(tmp_path) == (11, [])


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_damaged_ones_are_passed_over_aloud(tmp_path: Path, damage: str) -> None:
    for questions in (1, 2, 3):
        path = save(tmp_path, example(questions), 3)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    cut = {"cut": bytes(data[:-50]), "flipped": bytes(data), "empty": b"", "foreign": b"PK\3\4x"}
    path.write_bytes(cut[damage])
    questions, warnings = newest_of(tmp_path)
    assert questions == 2
    assert len(warnings) == 1 and "000000003.npz: this checkpoint is damaged" in warnings[0]


def test_any_flipped_byte_and_any_cut_is_found() -> None:
    data = example().to_bytes()
    for place in range(len(data)):
        for bit in (1, 128):
            flipped = bytearray(data)
            flipped[place] ^= bit
            with pytest.raises(ArchiveError):
                Checkpoint.from_bytes(bytes(flipped))
        with pytest.raises(ArchiveError):
            Checkpoint.from_bytes(data[:place])


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_a_new_one_outlives_a_damaged_one_of_a_higher_number(tmp_path: Path, keep: int) -> None:
    """Going on from 10 because 20 is cut: 15 must not be removed as the oldest."""
    save(tmp_path, example(10), 3)
    (tmp_path / "000000020.npz").write_bytes(b"cut")
    save(tmp_path, example(15), keep)
    assert newest_of(tmp_path) == (15, [])
    assert len(names(tmp_path)) == min(keep, 2)


def test_none_when_there_is_none(tmp_path: Path) -> None:
    assert newest_of(tmp_path) == (-1, [])
    assert newest_of(tmp_path / "missing") == (-1, [])


def test_damaged_ones_alone_are_no_new_start(tmp_path: Path) -> None:
    (tmp_path / "000000001.npz").write_bytes(b"cut")
    with pytest.raises(FileError, match=r"all 1 checkpoints are damaged.*--force"):
        newest_of(tmp_path)


def test_another_jobs_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    save(tmp_path, example(1), 3)
    save(tmp_path, example(2, {**NEEDS, "seed": 4, "more": 1}), 3)
    with pytest.raises(JobError, match=r"000000002\.npz: this checkpoint is of another") as caught:
        newest_of(tmp_path)
    assert "seed was 4 and is 3" in str(caught.value)
    assert "more was 1 and is 'absent'" in str(caught.value)
    assert "solver" not in str(caught.value)


def test_one_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "000000001.npz").mkdir()
    with pytest.raises(FileError, match=r"000000001\.npz: cannot read: "):
        newest_of(tmp_path)


def test_the_writer_copies_what_goes_on_changing(tmp_path: Path) -> None:
    writer = Writer(tmp_path, 3, pytest.fail)
    for questions in range(1, 20):
        checkpoint = example(questions)
        writer.put(checkpoint)
        checkpoint.state["u"][:] = 7.0
    assert writer.close()
    found = newest(tmp_path, NEEDS, pytest.fail)
    assert found is not None and found.questions == 19
    assert found.state["u"].tobytes() == example().state["u"].tobytes()


def test_long_arrays_are_not_copied_nor_held_when_they_are_written(tmp_path: Path) -> None:
    writer, long = Writer(tmp_path, 3, pytest.fail), np.arange(1 << 17) * 1.0
    held = weakref.ref(long)
    writer.put(dataclasses.replace(example(), state={"u": long}))
    del long
    wait_for_taken(writer)
    began = time.monotonic()
    while held() is not None and time.monotonic() - began < 10:
        time.sleep(0.01)
    assert held() is None
    assert writer.close()
    found = newest(tmp_path, NEEDS, pytest.fail)
    assert found is not None and found.state["u"][-1] == (1 << 17) - 1


def test_a_full_disk_is_said_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old checkpoint is as it was, whatever fails when."""
    save(tmp_path, example(1), 3)
    before = (tmp_path / "000000001.npz").read_bytes()
    for name in ("files.os.open", "files.os.fsync", "files.os.replace", "checkpoint.pack_into"):
        warnings: list[str] = []
        writer = Writer(tmp_path, 3, warnings.append)
        with monkeypatch.context() as patch:
            patch.setattr(f"mpi_gd.{name}", full_disk)
            for questions in (2, 3):
                writer.put(example(questions))
                wait_for_taken(writer)
            assert not writer.close()
        assert len(warnings) == 1 and "no space left" in warnings[0]
        assert names(tmp_path) == ["000000001.npz"]
        assert (tmp_path / "000000001.npz").read_bytes() == before
    writer = Writer(tmp_path, 3, warnings.append)
    writer.put(example(4))
    assert writer.close()
    assert newest_of(tmp_path) == (4, [])


@pytest.mark.parametrize("error", [MemoryError(), ValueError("a defect")])
def test_what_is_not_written_never_passes_for_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def failing(*_: Any) -> None:
        raise error

    warnings: list[str] = []
    writer = Writer(tmp_path, 3, warnings.append)
    with monkeypatch.context() as patch:
        patch.setattr("mpi_gd.checkpoint.save", failing)
        writer.put(example(1))
        assert not writer.close()
    assert len(warnings) == 1 and repr(error) in warnings[0]


def test_an_old_one_that_cannot_be_removed_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, example(1), 1)
    monkeypatch.setattr("pathlib.Path.unlink", full_disk)
    writer = Writer(tmp_path, 1, pytest.fail)
    writer.put(example(2))
    assert writer.close()
    assert newest_of(tmp_path) == (2, [])


def test_a_bad_block_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for questions in (1, 2):
        save(tmp_path, example(questions), 3)
    read = Path.read_bytes

    def bad(path: Path) -> bytes:
        if path.name == "000000002.npz":
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    monkeypatch.setattr("mpi_gd.patient.time.sleep", lambda seconds: None)
    monkeypatch.setattr("pathlib.Path.read_bytes", bad)
    questions, [warning] = newest_of(tmp_path)
    assert questions == 1
    assert "000000002.npz: cannot read: Input/output error (tried 5 times)" in warning


def full_disk(*_: Any, **__: Any) -> None:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, "No space left on device")


def wait_for_taken(writer: Writer) -> None:
    """Wait until the writer has begun with what it was given."""
    deadline = time.monotonic() + 30
    while writer._waiting is not None:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="make the folder"):
        save(tmp_path / "gone", example(), 3)
