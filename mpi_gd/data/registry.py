"""The formats of data files by the name a job gives them."""

from __future__ import annotations

from pathlib import Path

from mpi_gd.data.formats.csv_source import CsvSource
from mpi_gd.data.formats.hdf5 import Hdf5Source
from mpi_gd.data.formats.npy import NpySource
from mpi_gd.data.formats.npz import NpzSource
from mpi_gd.data.formats.safetensors import SafetensorsSource
from mpi_gd.data.formats.sparse_npz import SparseNpzSource, is_sparse
from mpi_gd.data.probe import guess_format
from mpi_gd.data.roles import NEEDED, Purpose
from mpi_gd.data.source import Source
from mpi_gd.data.spec import DataSpec
from mpi_gd.errors import JobError

__all__ = ["FORMATS", "open_source"]

FORMATS: dict[str, type[Source]] = {
    "npy": NpySource,
    "npz": NpzSource,
    "csv": CsvSource,
    "hdf5": Hdf5Source,
    "safetensors": SafetensorsSource,
}

# What holds sparse rows is told by what is in it.
_SPARSE = {"npz": SparseNpzSource}


def open_source(spec: DataSpec, base: Path = Path(), *, purpose: Purpose = "train") -> Source:
    """Open the data that `spec` names, relative to `base`, in the format its first bytes tell.

    The columns that `purpose` does not need may be missing.
    Raises JobError for a bad `spec`, FileError, DataError.
    """
    if not spec.path:
        raise JobError('data.path is empty, expected a file; set path = "FILE" in [data]')
    path = base / spec.path
    kind = guess_format(path) if spec.format == "auto" else spec.format
    form = FORMATS[kind]
    if kind in _SPARSE and is_sparse(path):
        form = _SPARSE[kind]
    source = form.open(spec, path, base=base, purpose=purpose)
    for role in spec.roles:
        if role in NEEDED[purpose] and role not in source.role_names:
            raise JobError(
                f"data.{role} is {spec.roles[role]!r}, but a file of the format {kind} has "
                "features and a target only; save the data as .npz or CSV"
            )
    return source
