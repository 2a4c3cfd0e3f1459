"""A run's folder: where everything of a training lies, and whose it is."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from mpi_gd.allocation import find_allocation
from mpi_gd.comm import World
from mpi_gd.errors import FileError, JobError
from mpi_gd.files import write_atomically
from mpi_gd.options import TrainOptions, TuneOptions
from mpi_gd.status import STATUS_NAME, read_status

__all__ = ["RunFolder", "choose_folder", "lock_folder"]

_MOST_RUNS = 10_000
_LOCK = ".lock"
# A program that has just been killed may hold its lock for a moment, and so may, longer, what is
# left of a job that has been put back into the queue.
_LOCK_SECONDS, _REQUEUED_LOCK_SECONDS = 1.0, 30.0
_LOOK_SECONDS = 0.05
# All that a training writes: nothing else is ever removed.
_OURS: tuple[str, ...] = ("model.npz", "metrics.jsonl", "summary.json", "job.toml", STATUS_NAME)
_OURS += ("candidates.jsonl", "results.csv", "results.parquet", "search.toml", "rates.csv")
_CHECKPOINT = re.compile(r"\d{9}\.npz")
# What a program that is killed while it writes one of them leaves: see files.py.
_LEFT = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.tmp")
# Scripts lay these beside a run.
_HARMLESS = re.compile(r"\..*|checkpoints|.*\.(log|out|err|txt)|slurm-.*")


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


def choose_folder(
    world: World, name: str, options: TrainOptions | TuneOptions, text: str
) -> tuple[RunFolder, bool]:
    """Choose, lock and make the run's folder on the root; collective. Return also if it resumes.

    Without --out it is runs/NAME, or runs/NAME-2 and so on if that is taken; to resume or replace,
    the last of these. A job that Slurm has put back into the queue resumes by itself: without
    --out, in the folder that it had taken for the resolved job `text`.
    Raises JobError if --out is taken, and neither --resume nor --force is given, or in use.
    """
    chosen = ""
    with world.phase("making the run's folder", by_root=True):
        if world.is_root:
            path, resumes = _choose(name, options, text)
            chosen = json.dumps([str(path), resumes])
    path_text, resumes = json.loads(world.bcast_text(chosen))
    return RunFolder(Path(path_text)), resumes


def _choose(name: str, options: TrainOptions | TuneOptions, text: str) -> tuple[Path, bool]:
    """Return the folder, made, locked and cleared, and whether a run in it is to go on."""
    resumes = options.resume or (_is_requeued() and not options.force)
    try:
        if options.out:
            path = _named(options)
        elif options.resume or options.force:
            path = _numbered(name, is_old=True)
        else:
            path = (_own(name, text) if resumes else None) or _numbered(name, is_old=False)
        has_run = (path / "job.toml").exists()
        if options.out and (path / STATUS_NAME).exists() and not (resumes or options.force):
            raise JobError(
                f"{path}: there is a run in this folder; give another --out, or --resume to go on "
                "with it, or --force to replace it"
            )
        (path / "checkpoints").mkdir(exist_ok=True)
        _clear(path, left_alone=resumes)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"{path if options.out else 'runs'}: cannot make the run's folder: "
            f"{(error.strerror or str(error)).lower()} (choose another --out)"
        ) from error
    return path, resumes and has_run


def _is_requeued() -> bool:
    """Whether Slurm has started this job before."""
    return os.environ.get("SLURM_RESTART_COUNT", "0") not in ("", "0")


def _named(options: TrainOptions | TuneOptions) -> Path:
    """Return the folder of --out; raises JobError for one with other things in it, or in use."""
    path = Path(options.out)
    path.mkdir(parents=True, exist_ok=True)
    if not (path / STATUS_NAME).exists():
        others = sorted(item.name for item in path.iterdir() if not _HARMLESS.fullmatch(item.name))
        if others:
            raise JobError(
                f"{path}: this folder holds other files ({others[0]!r}), and no run; give --out a "
                "folder of its own"
            )
    lock_folder(path, _REQUEUED_LOCK_SECONDS if _is_requeued() else _LOCK_SECONDS)
    return path


def _own(name: str, text: str) -> Path | None:
    """Return the folder, locked, that this Slurm job took for this job before; None if none.

    The last one taken may be that of another Slurm job that trains under the same name.
    """
    allocation = find_allocation()
    number = allocation.job if allocation else ""
    for path in reversed(_taken(name)):
        if read_status(path).get("slurm_job") == number:
            job = path / "job.toml"
            if job.exists() and job.read_text(encoding="utf-8") == text:
                lock_folder(path, _REQUEUED_LOCK_SECONDS)
                return path
    return None


def _taken(name: str) -> list[Path]:
    """Return the folders in which there are runs of this name, in their order."""
    taken = []
    for path in _siblings(name):
        if not (path / STATUS_NAME).exists():
            break
        taken.append(path)
    return taken


def _siblings(name: str) -> list[Path]:
    """Return runs/NAME, runs/NAME-2 and so on."""
    return [Path("runs") / (name if k == 1 else f"{name}-{k}") for k in range(1, _MOST_RUNS)]


def _numbered(name: str, is_old: bool) -> Path:
    """Return runs/NAME or its next free sibling, locked; the last one taken if an old one is meant.

    Others may choose at the same moment: what is free is so only once it is locked.
    """
    taken = _taken(name)
    if is_old and taken:
        lock_folder(taken[-1])
        return taken[-1]
    for path in _siblings(name)[len(taken) :]:
        path.mkdir(parents=True, exist_ok=True)
        try:
            lock_folder(path, 0.0)
        except JobError:
            continue
        if not (path / STATUS_NAME).exists() or is_old:
            # Before anybody can take the lock of a run that has ended.
            (path / STATUS_NAME).touch()
            return path
    raise JobError(f"runs/{name}: there are {_MOST_RUNS} runs of this name; give --out")


_locks: dict[str, int] = {}


def lock_folder(path: Path, seconds: float = _LOCK_SECONDS) -> None:
    """Keep other programs out until this one ends; raises JobError if one stays for `seconds`.

    The lock is the kernel's: it goes with the process, however that ends. Where a file system has
    none, nothing is locked.
    """
    key = os.path.realpath(path)
    if key in _locks:
        return
    descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _lock(descriptor, seconds)
    except OSError as error:
        holder = _holder(descriptor)
        with contextlib.suppress(OSError):
            os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise JobError(
                f"{path}: another program is training in this folder{holder}; wait for its end, or "
                "give another --out"
            ) from error
        return
    _locks[key] = descriptor
    # For the message of who comes next; a full disk is no reason not to go on.
    with contextlib.suppress(OSError):
        me = f"process {os.getpid()} on {socket.gethostname()}"
        os.ftruncate(descriptor, os.pwrite(descriptor, me.encode(), 0))


def _lock(descriptor: int, seconds: float) -> None:
    """Take the lock, tried for so long; raises OSError."""
    until = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
        time.sleep(_LOOK_SECONDS)


def _holder(descriptor: int) -> str:
    """Return who holds the lock, in brackets; empty where that is not known."""
    with contextlib.suppress(OSError):
        text = os.pread(descriptor, 200, 0).decode("utf-8", "replace")
        return f" ({text})" if text.isprintable() and text else ""
    return ""


def _clear(path: Path, left_alone: bool) -> None:
    """Remove what an earlier run has written, or only what it was killed in writing."""
    for old in [*path.iterdir(), *(path / "checkpoints").iterdir()]:
        half = _LEFT.fullmatch(old.name)
        name = half["name"] if half else old.name
        is_ours = _CHECKPOINT.fullmatch(name) if old.parent != path else name in _OURS
        if is_ours and (half or not left_alone):
            old.unlink(missing_ok=True)
