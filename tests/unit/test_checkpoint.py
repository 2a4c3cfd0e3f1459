"""Checkpoints: bytes there and back, the newest good one, never another job's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mpi_gd.archive import ArchiveError, pack
from mpi_gd.checkpoint import Checkpoint, newest, save
from mpi_gd.errors import FileError, JobError


def example(questions: int = 7, job: str = "job") -> Checkpoint:
    """Return a checkpoint with all that is hard to write down."""
    state = {
        "u": np.array([0.1, -0.0, np.nan, np.inf, 5e-324]),
        "iteration": np.array(3),
        "empty": np.zeros((0, 4)),
        "flag": np.array(True),
    }
    return Checkpoint(state, {"0": np.arange(4), "256": np.arange(-3, 1)}, 3, questions, job)


def names(folder: Path) -> list[str]:
    """Return the files of a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_bytes_there_and_back() -> None:
    before = example()
    after = Checkpoint.from_bytes(before.to_bytes())
    assert (after.iteration, after.questions, after.job) == (3, 7, "job")
    for old, new in [(before.state, after.state), (before.exponents, after.exponents)]:
        assert list(old) == list(new) or sorted(old) == sorted(new)
        for name in old:
            assert old[name].dtype == new[name].dtype and old[name].shape == new[name].shape
            assert old[name].tobytes() == new[name].tobytes()
    assert after.to_bytes() == before.to_bytes()


def test_another_kind_of_archive_is_refused() -> None:
    with pytest.raises(ArchiveError, match="expected 'mpi_gd checkpoint 1'"):
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


def test_the_newest_is_found(tmp_path: Path) -> None:
    for questions in (9, 10, 11):
        save(tmp_path, example(questions), 3)
    data = newest(tmp_path, "job")
    assert data is not None and Checkpoint.from_bytes(data).questions == 11


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_damaged_ones_are_passed_over(tmp_path: Path, damage: str) -> None:
    for questions in (1, 2, 3):
        path = save(tmp_path, example(questions), 3)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    cut = {"cut": bytes(data[:-50]), "flipped": bytes(data), "empty": b"", "foreign": b"PK\3\4x"}
    path.write_bytes(cut[damage])
    found = newest(tmp_path, "job")
    assert found is not None and Checkpoint.from_bytes(found).questions == 2


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_a_new_one_outlives_a_damaged_one_of_a_higher_number(tmp_path: Path, keep: int) -> None:
    """Going on from 10 because 20 is cut: 15 must not be removed as the oldest."""
    save(tmp_path, example(10), 3)
    (tmp_path / "000000020.npz").write_bytes(b"cut")
    save(tmp_path, example(15), keep)
    found = newest(tmp_path, "job")
    assert found is not None and Checkpoint.from_bytes(found).questions == 15
    assert len(names(tmp_path)) == min(keep, 2)


def test_none_when_there_is_none(tmp_path: Path) -> None:
    assert newest(tmp_path, "job") is None
    assert newest(tmp_path / "missing", "job") is None
    (tmp_path / "000000001.npz").write_bytes(b"cut")
    assert newest(tmp_path, "job") is None


def test_another_jobs_is_refused(tmp_path: Path) -> None:
    save(tmp_path, example(1), 3)
    save(tmp_path, example(2, job="another"), 3)
    with pytest.raises(JobError, match=r"000000002\.npz: this checkpoint is of another job"):
        newest(tmp_path, "job")


def test_one_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "000000001.npz").mkdir()
    with pytest.raises(FileError, match=r"000000001\.npz: cannot read: "):
        newest(tmp_path, "job")


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="make the folder"):
        save(tmp_path / "gone", example(), 3)
