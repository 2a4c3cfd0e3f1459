"""What a run has left in its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpi_gd.errors import FileError
from mpi_gd.model import Model, load_model

__all__ = ["Run", "read_run"]

Record = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Run:
    """A run that has been read; what it has not come to is empty."""

    name: str
    job: str
    """The text of its job file."""
    status: dict[str, Any]
    summary: dict[str, Any]
    """Empty if it has not finished."""
    records: list[Record]
    """The iterations, as in metrics.jsonl."""
    model: Model | None

    @property
    def n_samples(self) -> int:
        """Return the rows that were trained on; 0 if that is not known."""
        return int(self.model.metadata.get("n_samples", 0)) if self.model else 0

    def column(self, name: str) -> list[float]:
        """Return a figure of all iterations."""
        return [float(record[name]) for record in self.records]


def read_run(folder: Path) -> Run:
    """Read a run's folder; raises FileError if it is none, or is damaged."""
    if not (folder / "job.toml").is_file():
        raise FileError(f"{folder}: there is no run: no job.toml in it; give a run's folder")
    try:
        summary = _json(folder / "summary.json")
        lines = _text(folder / "metrics.jsonl").splitlines()
        # A run that goes on may be writing its last line.
        records = [json.loads(line) for line in lines if line.endswith("}")]
        return Run(
            name=folder.resolve().name,
            job=_text(folder / "job.toml"),
            status=_json(folder / "status.json"),
            summary=summary,
            records=records,
            model=load_model(folder / "model.npz") if (folder / "model.npz").exists() else None,
        )
    except (OSError, ValueError) as error:
        raise FileError(f"{folder}: cannot read the run: {error}; run it again") from error


def _text(path: Path) -> str:
    """Return a file's text; empty if it is not there."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _json(path: Path) -> dict[str, Any]:
    """Return a file's object; empty if it is not there."""
    found = json.loads(_text(path) or "{}")
    if not isinstance(found, dict):
        raise ValueError(f"{path.name}: got {type(found).__name__}, expected an object")
    return found
