"""What the writer and the reader of an archive agree on."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from mpi_gd.errors import MpiGdError

__all__ = ["DIGEST_LENGTH", "METADATA", "NAME", "NPY_MAGIC", "SEAL_TAG", "ArchiveError", "is_plain"]

METADATA = "metadata.json"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,199}")
NPY_MAGIC = b"\x93NUMPY\x01\x00"
SEAL_TAG = b"sha256:"
DIGEST_LENGTH = 64


class ArchiveError(MpiGdError, ValueError):
    """An archive that cannot be written or whose content cannot be trusted."""


def is_plain(dtype: np.dtype[Any]) -> bool:
    """Tell whether `dtype` is a number type with the same layout on every platform."""
    return dtype.kind in "biuf" and dtype.itemsize <= 8
