"""A job on its way: read by the root, the same on all ranks, kept with the run."""

from __future__ import annotations

import dataclasses
import platform
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mpi_gd import __version__
from mpi_gd.comm import World
from mpi_gd.commands.load import require_same
from mpi_gd.config import Job, dump_job, parse_job, read_job_text
from mpi_gd.data import DataSpec
from mpi_gd.data.roles import is_file

__all__ = [
    "needs",
    "read_shared_job",
    "read_shared_text",
    "require_same_job",
    "resolved",
    "with_paths",
]


def read_shared_job(world: World, path: Path, overrides: tuple[str, ...]) -> Job:
    """Read the job on the root, parse it on all ranks, agree that it is the same; collective."""
    text = read_shared_text(world, path)
    with world.phase("parsing the job"):
        job = parse_job(text, str(path), overrides)
    require_same_job(world, dump_job(job))
    return job


def read_shared_text(world: World, path: Path) -> str:
    """Return a job file's text, which the root reads; collective. Raises FileError, JobError."""
    text = ""
    with world.phase("reading the job", by_root=True):
        if world.is_root:
            text = read_job_text(path)
    return world.bcast_text(text)


def require_same_job(world: World, text: str) -> None:
    """Raise DataError, on all ranks, unless all have the same job and packages; collective."""
    versions = f"mpi_gd {__version__}, NumPy {np.__version__}, Python {platform.python_version()}"
    require_same(world, "the job and the packages", f"{versions}, {text}")


def needs(job: Job) -> dict[str, Any]:
    """Return the keys that a run must share with the job that goes on with it, by name.

    Where the data lie does not matter, nor when to stop or to save, nor what is reported.
    """
    found: dict[str, Any] = {}
    for key, value in tomllib.loads(dump_job(job)).items():
        if isinstance(value, dict):
            found |= {f"{key}.{name}": each for name, each in value.items()}
        else:
            found[key] = value
    free = ["name", "fault_tolerance", "slow_ranks", "data.path", "data.test", "data.test_target"]
    free += ["data.balance", "data.memory", "data.scratch"]
    free += ["data.test_files", *(f"data.{key}" for key in _file_keys(job.data))]
    tables = ["stop.", "checkpoint.", "inference."]
    if getattr(job.penalty, "alpha", None) != "path":
        tables.append("path.")
    return {
        key: value
        for key, value in found.items()
        if key not in free and not key.startswith(tuple(tables))
    }


def resolved(job: Job, base: Path) -> str:
    """Return the job's text so that it runs from any folder as it did from its own, `base`."""
    return dump_job(with_paths(job, lambda path: str((base / path).resolve())))


def with_paths(job: Job, change: Callable[[str], str]) -> Job:
    """Return the job with its files' paths changed."""
    data = job.data

    def changed(given: Any) -> Any:
        return [change(path) for path in given] if isinstance(given, list) else change(str(given))

    return dataclasses.replace(
        job,
        data=dataclasses.replace(
            data,
            path=changed(data.path),
            test=changed(data.test) if data.test else "",
            test_target=changed(data.test_target) if data.test_target else "",
            scratch=change(data.scratch) if data.scratch else "",
            test_files={role: change(path) for role, path in data.test_files.items()},
        ).with_columns({key: changed(getattr(data, key)) for key in _file_keys(data)}),
    )


def _file_keys(data: DataSpec) -> list[str]:
    """Return the keys of the columns that are files of their own."""
    return [key for key, name in data.named_columns.items() if is_file(name)]
