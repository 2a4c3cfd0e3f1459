"""What the root tells people: a live line or log lines, and metrics.jsonl."""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, Literal

from mpi_gd.errors import FileError
from mpi_gd.files import write_atomically
from mpi_gd.patient import patiently

__all__ = ["Progress", "Report", "choose_progress", "keep_metrics", "warn"]

Progress = Literal["auto", "live", "lines", "none"]

_LIVE_SECONDS = 0.1
_LINE_SECONDS = 5.0
# A disk that takes nothing is tried again after so many seconds.
_RETRY_SECONDS = 5.0
# Records that wait for it; the oldest are given up.
_MOST_WAITING = 100_000
# What launchers tell their processes.
_LAUNCHED = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
# Iterations over which the rate of convergence is measured.
_WINDOW = 20


class Report:
    """The root's account of a training: `metrics` grows by a line an iteration.

    Nothing here ends a training: a disk that is full is tried again, an output that nobody reads
    any more falls silent.
    """

    def __init__(
        self, metrics: Path, progress: Progress, tol: float, flush_seconds: float = 1.0
    ) -> None:
        """Begin; what is in the file, cut by `keep_metrics` where a training goes on, is kept.

        Records are written every `flush_seconds`; 0: each at once.
        """
        self._metrics = metrics
        self._progress, self._tol = progress, tol
        self._waiting: deque[str] = deque(maxlen=_MOST_WAITING)
        self._flush_seconds = flush_seconds
        self._flushed = time.monotonic()
        self._is_failing = False
        self._n_given_up = 0
        self._shown = -math.inf
        self._shown_iteration = -1
        self._recent: deque[tuple[int, float, float]] = deque(maxlen=_WINDOW)
        self._is_line_open = False

    def say(self, text: str) -> None:
        """Print a line."""
        self._end_line()
        if self._progress != "none":
            self._print(text + "\n")

    def step(self, record: dict[str, Any]) -> None:
        """Write an iteration's record; show it if the last one was long ago."""
        self._n_given_up += len(self._waiting) == _MOST_WAITING
        self._waiting.append(json.dumps(record) + "\n")
        now = time.monotonic()
        if record["criterion"] > 0:
            self._recent.append((record["iteration"], math.log(record["criterion"]), now))
        if now - self._flushed >= (_RETRY_SECONDS if self._is_failing else self._flush_seconds):
            self.flush()
        pause = _LIVE_SECONDS if self._progress == "live" else _LINE_SECONDS
        if self._progress in ("live", "lines") and now - self._shown >= pause:
            self._shown = now
            self._shown_iteration = record["iteration"]
            self._show(self._line(record))

    def flush(self) -> None:
        """Write the records that wait; where that fails, they go on waiting, and it is said."""
        self._flushed = time.monotonic()
        if not self._waiting:
            return
        try:
            _append(self._metrics, "".join(self._waiting).encode("utf-8"))
        except OSError as error:
            if not self._is_failing:
                reason = (error.strerror or str(error)).lower()
                warn(f"{self._metrics}: cannot write: {reason}; the training goes on")
            self._is_failing = True
            return
        self._waiting.clear()
        if self._is_failing:
            warn(f"{self._metrics}: written again")
        self._is_failing = False

    def close(self, record: dict[str, Any] | None) -> None:
        """Show the last iteration, and write what is left."""
        is_shown = record is None or record["iteration"] == self._shown_iteration
        if record is not None and not is_shown and self._progress in ("live", "lines"):
            self._show(self._line(record))
        self._end_line()
        self.flush()
        n_lost = self._n_given_up + len(self._waiting)
        if n_lost:
            warn(f"{self._metrics}: the records of {n_lost} iterations could not be written")

    def _line(self, record: dict[str, Any]) -> str:
        """Return an iteration in a line of under 100 characters."""
        rate = record["rows"] / max(1e-9, record["elapsed_seconds"])
        left = self._seconds_left(record)
        return (
            f"{record['iteration']:6d}  objective {record['objective']:.10g}  "
            f"gradient {record['criterion']:.1e}  {_short(rate)} rows/s{left}"
        )

    def _seconds_left(self, record: dict[str, Any]) -> str:
        """Estimate the time until tol from the recent rate of convergence."""
        if len(self._recent) < 3 or self._tol <= 0 or record["criterion"] <= self._tol:
            return ""
        (i0, log0, t0), (i1, log1, t1) = self._recent[0], self._recent[-1]
        if log1 >= log0:
            return ""
        iterations = (log1 - math.log(self._tol)) * (i1 - i0) / (log0 - log1)
        seconds = t1 - t0
        return f"  about {_duration(iterations * seconds / (i1 - i0))} left"

    def _show(self, line: str) -> None:
        """Print a line, or write over the last one on a terminal."""
        if self._progress == "live":
            # \r to the line's begin, \x1b[K clears what is left of the last one.
            self._print(f"\r{line}\x1b[K")
            self._is_line_open = True
        else:
            self._print(line + "\n")

    def _end_line(self) -> None:
        """Leave the live line."""
        if self._is_line_open:
            self._print("\n")
            self._is_line_open = False

    def _print(self, text: str) -> None:
        """Write to standard output; be silent from now on if nobody reads it any more."""
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            self._progress = "none"
            # What is still in its buffer would fail once more at the end.
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def warn(text: str) -> None:
    """Print a warning, if anybody reads it."""
    with contextlib.suppress(OSError):
        print(f"mpi_gd: warning: {text}", file=sys.stderr, flush=True)


def _append(path: Path, data: bytes) -> None:
    """Add to a file, all or nothing; raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        before = os.fstat(descriptor).st_size
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)


def keep_metrics(path: Path, iteration: int, last: dict[str, Any] | None = None) -> None:
    """Drop the records after `iteration` that a killed program has left behind.

    Add `last`, that of `iteration`, if the program was killed before it could write it. Where the
    file cannot be read or written that is said, and no more.
    """
    kept, newest = [], -1
    try:
        data = patiently(path, path.read_bytes) if path.exists() else b""
    except OSError as error:
        warn(f"{path}: cannot read: {(error.strerror or str(error)).lower()}; the training goes on")
        return
    for line in data.decode("utf-8", "replace").splitlines():
        try:
            number = int(json.loads(line)["iteration"])
        except (ValueError, KeyError, TypeError):
            # The last line of a killed program may be cut, or be anything after a power cut.
            continue
        if number <= iteration:
            kept.append(line + "\n")
            newest = number
    if last is not None and newest < last["iteration"]:
        kept.append(json.dumps(last) + "\n")
    if not kept and not path.exists():
        return
    try:
        write_atomically(path, "".join(kept).encode("utf-8"))
    except FileError as error:
        warn(f"{error}; the training goes on")


def choose_progress(wanted: Progress) -> Progress:
    """Return what "auto" stands for: a live line if a terminal is at the end of the output.

    Under mpirun the output is a pipe to mpirun, whose own output may be a terminal: look at the
    output of the programs above this one.
    """
    if wanted != "auto":
        return wanted
    # A launcher may give its processes a terminal of its own making: ask it alone, if there is one.
    is_launched = any(name in os.environ for name in _LAUNCHED)
    is_live = _launcher_has_terminal() if is_launched else sys.stdout.isatty()
    return "live" if is_live else "lines"


def _launcher_has_terminal() -> bool:
    """Whether a launcher above this process writes to a terminal."""
    pid = os.getppid()
    try:
        while pid > 1:
            status = Path(f"/proc/{pid}/stat").read_text()
            name = status[status.index("(") + 1 : status.rindex(")")]
            if name.startswith(("mpirun", "mpiexec", "prterun", "prun", "srun")):
                return os.readlink(f"/proc/{pid}/fd/1").startswith(("/dev/pts/", "/dev/tty"))
            pid = int(status[status.rindex(")") + 1 :].split()[1])
    except (OSError, ValueError):
        # Another host, another user, another system: no terminal that we know of.
        return False
    return False


def _short(number: float) -> str:
    """Return a number with a unit of thousands."""
    for unit in ("", "k", "M"):
        if number < 1000:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}G"


def _duration(seconds: float) -> str:
    """Return a time in the largest sensible unit."""
    if seconds < 99:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5940 else f"{seconds / 3600:.1f} h"
