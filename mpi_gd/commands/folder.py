"""A run's folder: where everything of a training lies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mpi_gd.comm import World
from mpi_gd.errors import FileError, JobError
from mpi_gd.files import write_atomically
from mpi_gd.options import TrainOptions

__all__ = ["RunFolder", "choose_folder"]

_MOST_RUNS = 10_000


@dataclass(frozen=True)
class RunFolder:
    """The paths in a run's folder."""

    path: Path

    @property
    def model(self) -> Path:
        """Return where the model lies."""
        return self.path / "model.npz"

    @property
    def metrics(self) -> Path:
        """Return where the history lies: a record an iteration."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Return the folder of the checkpoints."""
        return self.path / "checkpoints"

    def write_text(self, name: str, text: str) -> None:
        """Write a small file, whole or not at all; raises FileError."""
        write_atomically(self.path / name, text.encode("utf-8"))


def choose_folder(world: World, name: str, options: TrainOptions) -> RunFolder:
    """Choose and make the run's folder on the root; collective.

    Without --out it is runs/NAME, or runs/NAME-2 and so on if that is taken; with --resume the
    last of these. Raises JobError if --out is taken and neither --resume nor --force is given.
    """
    chosen = ""
    with world.phase("making the run's folder", by_root=True):
        if world.is_root:
            chosen = json.dumps(str(_choose(name, options)))
    return RunFolder(Path(json.loads(world.bcast_text(chosen))))


def _choose(name: str, options: TrainOptions) -> Path:
    """Return the folder, made and cleared."""
    path = Path(options.out) if options.out else _numbered(name, options)
    if _is_taken(path) and not (options.resume or options.force):
        raise JobError(
            f"{path}: there is a run in this folder; give another --out, or --resume to go on "
            "with it, or --force to replace it"
        )
    try:
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        if not options.resume:
            for old in [*path.glob("checkpoints/*.npz"), *path.glob("*.npz")]:
                old.unlink()
            (path / "metrics.jsonl").write_text("")
            (path / "summary.json").unlink(missing_ok=True)
    except OSError as error:
        raise FileError(
            f"{path}: cannot make the run's folder: {(error.strerror or str(error)).lower()} "
            "(choose another --out)"
        ) from error
    return path


def _numbered(name: str, options: TrainOptions) -> Path:
    """Return runs/NAME or its next free sibling, or the last one taken where that is meant."""
    siblings = [Path("runs") / (name if k == 1 else f"{name}-{k}") for k in range(1, _MOST_RUNS)]
    free = next(k for k, path in enumerate(siblings) if not _is_taken(path))
    if options.resume or options.force:
        return siblings[max(0, free - 1)]
    return siblings[free]


def _is_taken(path: Path) -> bool:
    """Whether there is a run in the folder."""
    return (path / "job.toml").exists()
