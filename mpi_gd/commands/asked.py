"""What a command is to read: a data file, or what a job file says."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mpi_gd.comm import World
from mpi_gd.commands.jobs import read_shared_job
from mpi_gd.commands.load import open_together, prepared_together
from mpi_gd.config import Job, parse_job
from mpi_gd.config.dump import literal
from mpi_gd.data import DataSpec, Source, open_source
from mpi_gd.data.roles import Purpose
from mpi_gd.errors import DataError, JobError
from mpi_gd.prepare import PrepareSpec

__all__ = ["Asked", "open_asked", "read_asked"]

_DATA_KEYS = {item.name for item in dataclasses.fields(DataSpec)}
_TABLES = {item.name for item in dataclasses.fields(Job)}


@dataclass(frozen=True)
class Asked:
    """Data, and how to read them."""

    job: Job
    base: Path
    """What the job's paths are relative to."""
    is_job: bool
    """Whether there is a job file; else the job is made up, and only its data count."""

    raw: bool = False
    """Whether the columns are wanted as they are, whatever the job would make of them."""

    @property
    def prepares(self) -> bool:
        """Whether features are to be made of the columns."""
        return self.job.prepare != PrepareSpec() and not self.raw


def read_asked(world: World, source: str, overrides: Iterable[str]) -> Asked:
    """Return what a data file or a job file asks for, changed by overrides; collective.

    A key without a table may be one of [data]. Raises on all ranks: JobError, FileError.
    """
    is_job = source.endswith(".toml")
    changes = tuple(_in_table(item, is_job) for item in overrides)
    if is_job:
        return Asked(read_shared_job(world, Path(source), changes), Path(source).parent, True)
    with world.phase("reading the arguments"):
        text = f'[data]\npath = {literal(source)}\n[loss]\nkind = "squared"\n'
        return Asked(parse_job(text, source, changes), Path(), False)


def open_asked(world: World, asked: Asked) -> Source:
    """Open and count the rows, of features if the job prepares them; collective.

    Data without a target are taken without one unless it is named.
    Raises on all ranks: FileError, DataError, JobError.
    """
    job, purpose = asked.job, _purpose(asked)
    source, _ = open_together(world, job.data, asked.base, purpose)
    if not asked.prepares:
        return source
    return prepared_together(world, source, job.data, job.prepare, job.seed)


def _purpose(asked: Asked) -> Purpose:
    """Return what the data can be read for: to train, or without a target."""
    data = asked.job.data
    if data.target == "":
        try:
            open_source(data, asked.base)
        except (DataError, JobError):
            with contextlib.suppress(DataError, JobError):
                open_source(data, asked.base, purpose="predict")
                return "predict"
        except OSError:
            # Whoever opens them together says it on all ranks.
            pass
    return "train"


def _in_table(item: str, is_job: bool) -> str:
    """Return an override with the table [data] before a key that is one of it, or that is none."""
    key = item.partition("=")[0].strip()
    is_of_data = key in _DATA_KEYS or not (is_job or key in _TABLES or "." in key)
    return f"data.{item.strip()}" if is_of_data else item
