"""What storage takes back is tried again; what it means is not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mpi_gd import patient
from mpi_gd.data import DataSpec, open_source
from mpi_gd.errors import FileError
from mpi_gd.patient import PatientFile, patiently


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note the pauses instead of making them."""
    made: list[float] = []
    monkeypatch.setattr("mpi_gd.patient.time.sleep", made.append)
    return made


def failing(times: int, number: int) -> Callable[[], str]:
    """Return what fails so often, and then works."""
    left = [times]

    def attempt() -> str:
        if left[0]:
            left[0] -= 1
            raise OSError(number, "Input/output error")
        return "done"

    return attempt


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN])
@pytest.mark.parametrize("times", [0, 1, 4])
def test_what_passes_is_waited_for(
    number: int, times: int, pauses: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert patiently("x.npy", failing(times, number)) == "done"
    assert len(pauses) == times and pauses == sorted(pauses)
    assert capsys.readouterr().err.count("x.npy: input/output error; trying again") == bool(times)


def test_in_the_end_it_says_how_often() -> None:
    with pytest.raises(OSError, match="tried 5 times") as caught:
        patiently("x", failing(99, errno.EIO))
    assert caught.value.errno == errno.EIO


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOSPC])
def test_a_true_answer_is_taken_at_once(number: int, pauses: list[float]) -> None:
    with pytest.raises(OSError, match="Input"):
        patiently("x", failing(1, number))
    assert not pauses


def test_a_read_that_fails_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second call fails at first: the bytes are the same."""
    content = bytes(range(256)) * 40
    path = tmp_path / "f"
    path.write_bytes(content)
    n_calls = 0

    def flaky(what: object, attempt: Callable[[], object]) -> object:
        def unlucky() -> object:
            nonlocal n_calls
            n_calls += 1
            if n_calls % 2:
                raise OSError(errno.EIO, "Input/output error")
            return attempt()

        return patiently(path, unlucky)

    monkeypatch.setattr(patient, "patiently", flaky)
    with PatientFile(path) as file:
        pieces = [file.read(1000)]
        buffer = bytearray(500)
        assert file.readinto(buffer) == 500
        file.seek(1500)
        pieces += [bytes(buffer), file.read(10), file.readall()]
    assert b"".join(pieces) == content
    assert n_calls >= 10


def test_a_file_that_stays_away_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d.csv").write_text("a,b\n1,2\n")

    original = Path.stat

    def stale(self: Path, **options: Any) -> os.stat_result:
        if self.name == "d.csv":
            raise OSError(errno.ESTALE, "Stale file handle")
        return original(self, **options)

    monkeypatch.setattr(Path, "stat", stale)
    with pytest.raises(FileError, match=r"d\.csv: .*stale file handle \(tried 5 times\)"):
        open_source(DataSpec(path="d.csv", target="b", format="csv"), tmp_path)


def test_the_warning_names_the_rank(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    patiently("x", failing(1, errno.EIO))
    monkeypatch.setenv("PMI_RANK", "3")
    patiently("x", failing(1, errno.EIO))
    assert capsys.readouterr().err.splitlines() == [
        "mpi_gd: warning: x: input/output error; trying again",
        "mpi_gd: warning: rank 3: x: input/output error; trying again",
    ]
