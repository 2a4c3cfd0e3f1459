"""Parse a job file, or the changes to one, into dataclasses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from mpi_gd.config.build import Builder
from mpi_gd.config.job import Job
from mpi_gd.config.lines import load
from mpi_gd.config.overrides import apply_overrides, parse_override
from mpi_gd.config.schema import keys_of
from mpi_gd.data.spec import DataSpec

__all__ = ["SEARCH_TABLES", "change_data", "make_job", "parse_job"]

SEARCH_TABLES = ("tune", "space")
"""Tables that a job file may have for the command `tune`: others pass over them."""


def parse_job(text: str, name: str = "job.toml", overrides: Iterable[str] = ()) -> Job:
    """Parse the text of a job file, changed by overrides such as "solver.step=0.1".

    Raises JobError, beginning with "name:line:" or "--set override:", for TOML that is none, an
    unknown key, table or kind, a value of a wrong type or out of its range.
    """
    text = text.removeprefix("\ufeff")
    changes = [parse_override(item) for item in overrides]
    document = load(text, name)
    for table in SEARCH_TABLES:
        document.pop(table, None)
    apply_overrides(document, changes, keys_of(Job))
    return Builder(Job, text, name, changes).build(document)


def make_job(tables: dict[str, Any], name: str = "the job") -> Job:
    """Make a job of its keys and tables; raises JobError, beginning with `name`, as above."""
    return Builder(Job, "", name, []).build(tables)


@dataclass(frozen=True)
class _DataOnly:
    """A job of the table [data] alone."""

    data: DataSpec


def change_data(spec: DataSpec, overrides: Iterable[str]) -> DataSpec:
    """Change how data are read by overrides such as "header=no"; raises JobError as above."""
    changes = [parse_override(item) for item in overrides]
    changes = [
        replace(change, path=("data", *change.path)) if len(change.path) == 1 else change
        for change in changes
    ]
    document = {"data": asdict(spec)}
    apply_overrides(document, changes, {})
    return Builder(_DataOnly, "", "--set", changes).build(document).data
