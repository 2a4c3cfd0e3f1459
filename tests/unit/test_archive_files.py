"""A file is written whole or not at all, and nothing is left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mpi_gd.errors import FileError
from mpi_gd.files import discard, publish, reserve, write_at, write_atomically


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for content in (b"old", b"newer", b""):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["a.npz"]


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    """A temporary file's usual 0600 would hide the model from the group."""
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_long_and_non_ascii_names(tmp_path: Path) -> None:
    for name in ("m" * 255, "ü" * 127):
        write_atomically(tmp_path / name, b"x")
        assert (tmp_path / name).read_bytes() == b"x"


@pytest.mark.parametrize("call", ["ftruncate", "pwrite", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failing_call_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    path = tmp_path / "a.npz"
    write_atomically(path, b"old")

    def fail(*args: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(FileError, match=r"a\.npz: cannot write: .* \(.*disk"):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.npz"]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: whole(fd, bytes(data[:3]), at))
    write_atomically(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_a_folder_that_cannot_be_flushed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = os.fsync

    def picky(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "invalid argument")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", picky)
    write_atomically(tmp_path / "a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_bad_places_are_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path, words in [
        (tmp_path / "no" / "a", "make the folder"),
        (tmp_path / "file" / "a", "is not a folder"),
        (tmp_path, "it is a folder"),
        (Path("/dev/null"), "not a regular file"),
        (tmp_path / ("m" * 256), "shorter name"),
    ]:
        with pytest.raises(FileError, match=words):
            write_atomically(path, b"x")
    assert os.listdir(tmp_path) == ["file"]
    assert Path("/dev/null").is_char_device()


def test_several_writers_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    temporary = reserve(path, 6)
    for offset, part in [(4, b"ef"), (0, b"ab"), (2, b"cd"), (6, b"")]:
        write_at(temporary, offset, part, path)
    assert not path.exists()
    publish(temporary, path)
    discard(temporary)
    assert path.read_bytes() == b"abcdef"
