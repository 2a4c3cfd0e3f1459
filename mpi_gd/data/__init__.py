"""Data files: opened, surveyed by all ranks together, read by global row numbers."""

from mpi_gd.data.registry import FORMATS, open_source
from mpi_gd.data.source import Block, Features, Source, Target
from mpi_gd.data.spec import DataSpec

__all__ = ["FORMATS", "Block", "DataSpec", "Features", "Source", "Target", "open_source"]
