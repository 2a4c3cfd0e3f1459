"""Files from outside: what is there, what format it is, and the keys that describe it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mpi_gd.data import FORMATS, DataSpec, open_source
from mpi_gd.data.probe import guess_format
from mpi_gd.errors import DataError, FileError, JobError


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("t.csv", b"a,y\n", "csv"),
        ("t.TSV", b"a,y\n", "csv"),
        ("t.txt", b"a,y\n", "csv"),
        ("t.csv", b"\x93NUMPY\x01\x00", "npy"),
        ("t.bin", b"PK\x03\x04rest", "npz"),
        ("t.npy", b"not an array", "npy"),
    ],
)
def test_the_first_bytes_tell_the_format_before_the_suffix(
    tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    """Protects renamed files."""
    (tmp_path / name).write_bytes(content)
    assert guess_format(tmp_path / name) == kind
    assert kind in FORMATS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello", "cannot tell the format"),
        (b"\x1f\x8b\x08", "gunzip"),
        (b"BZh9", "bunzip2"),
        (b"", "empty"),
    ],
)
def test_formats_that_are_none_of_ours(tmp_path: Path, content: bytes, words: str) -> None:
    """Protects from reading a compressed file as text."""
    (tmp_path / "t.dat").write_bytes(content)
    with pytest.raises(DataError, match=words):
        guess_format(tmp_path / "t.dat")


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    """Protects from waiting at a pipe for ever."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, words in (("pipe", "pipe"), ("folder", "got a folder"), ("gone", "check the path")):
        spec = DataSpec(path=name, format=kind, target="y")  # type: ignore[arg-type]
        with pytest.raises(FileError, match=words):
            open_source(spec, tmp_path)
    with pytest.raises(FileError, match="stream"):
        open_source(DataSpec(path="/dev/stdin", format=kind, target="y"))  # type: ignore[arg-type]


def test_a_job_must_name_its_data() -> None:
    """Protects from reading the folder itself."""
    with pytest.raises(JobError, match=r"data\.path is empty"):
        open_source(DataSpec())


@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, float("nan")])
def test_test_fraction_is_a_share(value: float) -> None:
    """Protects the rows left to train on."""
    with pytest.raises(ValueError, match=r"^test_fraction must be in"):
        DataSpec(test_fraction=value)


@pytest.mark.parametrize("value", ["", ",,", '"', "1", ".", "e", "-", "\n", "\0", "é"])
def test_delimiters_that_cannot_separate_numbers(value: str) -> None:
    """Protects the parsers from an ambiguous file."""
    with pytest.raises(ValueError, match=r"^delimiter must be"):
        DataSpec(delimiter=value)


def test_one_way_to_hold_out_rows() -> None:
    """Protects from two test sets."""
    with pytest.raises(ValueError, match=r"^test is"):
        DataSpec(test="t.csv", test_fraction=0.5)


def test_paths_are_relative_to_the_jobs_folder(tmp_path: Path) -> None:
    """Protects both files of a .npy pair; y's name becomes the target's."""
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "X.npy", np.eye(3))
    np.save(tmp_path / "data" / "label.npy", np.arange(3.0))
    source = open_source(DataSpec(path="data/X.npy", target="data/label.npy"), tmp_path)
    assert (source.n_samples, source.n_features, source.target_name) == (3, 3, "label")
