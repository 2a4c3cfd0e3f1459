"""The formats of data files by the name a job gives them."""

from __future__ import annotations

from pathlib import Path

from mpi_gd.data.csv_source import CsvSource
from mpi_gd.data.npy import NpySource
from mpi_gd.data.npz import NpzSource
from mpi_gd.data.probe import guess_format
from mpi_gd.data.source import Source
from mpi_gd.data.spec import DataSpec
from mpi_gd.errors import JobError

__all__ = ["FORMATS", "open_source"]

FORMATS: dict[str, type[Source]] = {"npy": NpySource, "npz": NpzSource, "csv": CsvSource}


def open_source(spec: DataSpec, base: Path = Path(), *, labelled: bool = True) -> Source:
    """Open the data that `spec` names, relative to `base`, in the format its first bytes tell.

    Without `labelled`, as for predictions, the target may be missing.
    Raises JobError for a bad `spec`, FileError, DataError.
    """
    if not spec.path:
        raise JobError('data.path is empty, expected a file; set path = "FILE" in [data]')
    path = base / spec.path
    kind = guess_format(path) if spec.format == "auto" else spec.format
    return FORMATS[kind].open(spec, path, base=base, labelled=labelled)
