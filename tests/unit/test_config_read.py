"""A job file that cannot be read is said to be so; nothing waits."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from mpi_gd.config import parse_job, read_job_text
from mpi_gd.errors import FileError, JobError
from tests.powerless import without_rights

_JOB = "[data]\npath = 'é.csv'\n[loss]\nkind = 'squared'\n"


def test_reads_and_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + _JOB.replace("\n", "\r\n").encode())
        job = parse_job(read_job_text(path), str(path), ["seed=3"])
        assert (job.data.path, job.seed) == ("é.csv", 3)


def test_mistakes_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(_JOB + "king = 1\n", encoding="utf-8")
    with pytest.raises(JobError) as caught:
        parse_job(read_job_text(path), str(path))
    assert str(caught.value).startswith(f"{path}:5: unknown key 'king' in [loss]")


def test_not_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    for path, what in [(tmp_path, "a folder"), (tmp_path / "pipe.toml", "a pipe or device")]:
        with pytest.raises(FileError, match=f"got {what}, expected a job file"):
            read_job_text(path)


def test_missing(tmp_path: Path) -> None:
    (tmp_path / "flights.toml").write_text("")
    with pytest.raises(FileError, match=r"no such file.*did you mean .*/flights\.toml\?"):
        read_job_text(tmp_path / "flight.toml")
    with pytest.raises(FileError, match=r"no such file.*it was sought from"):
        read_job_text(tmp_path / "no" / "flights.toml")
    with pytest.raises(FileError, match="too long"):
        read_job_text(tmp_path / ("a" * 300))


def test_unreadable() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "a.toml"
        path.touch(mode=0o000)
        with without_rights(), pytest.raises(FileError, match="permission denied; ask its owner"):
            read_job_text(path)


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"name = 'a'\n# caf\xe9\n")
    with pytest.raises(JobError, match=r"a\.toml:2: got the byte 0xe9, expected text in UTF-8"):
        read_job_text(path)


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"#" * (1 << 16))
    assert len(read_job_text(path)) == 1 << 16
    path.write_bytes(b"#" * ((1 << 16) + 1))
    with pytest.raises(JobError, match="got more than 64 KiB"):
        read_job_text(path)
