"""What the root tells people: a live line or log lines, and metrics.jsonl."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import IO, Any, Literal

from mpi_gd.files import write_atomically

__all__ = ["Progress", "Report", "choose_progress", "keep_metrics"]

Progress = Literal["auto", "live", "lines", "none"]

_LIVE_SECONDS = 0.1
_LINE_SECONDS = 5.0
_FLUSH_SECONDS = 1.0
# What launchers tell their processes.
_LAUNCHED = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
# Iterations over which the rate of convergence is measured.
_WINDOW = 20


class Report:
    """The root's account of a training; it opens `metrics` to append to."""

    def __init__(self, metrics: Path, progress: Progress, tol: float) -> None:
        """Open the file, truncated by `keep_metrics` where a training goes on."""
        self._file: IO[str] = metrics.open("a", encoding="utf-8")
        self._progress, self._tol = progress, tol
        self._flushed = time.monotonic()
        self._shown = -math.inf
        self._shown_iteration = -1
        self._recent: deque[tuple[int, float, float]] = deque(maxlen=_WINDOW)
        self._is_line_open = False

    def say(self, text: str) -> None:
        """Print a line."""
        self._end_line()
        if self._progress != "none":
            print(text, flush=True)

    def step(self, record: dict[str, Any]) -> None:
        """Write an iteration's record; show it if the last one was long ago."""
        self._file.write(json.dumps(record) + "\n")
        now = time.monotonic()
        if record["criterion"] > 0:
            self._recent.append((record["iteration"], math.log(record["criterion"]), now))
        if now - self._flushed > _FLUSH_SECONDS:
            self._file.flush()
            self._flushed = now
        pause = _LIVE_SECONDS if self._progress == "live" else _LINE_SECONDS
        if self._progress in ("live", "lines") and now - self._shown >= pause:
            self._shown = now
            self._shown_iteration = record["iteration"]
            self._show(self._line(record))

    def close(self, record: dict[str, Any] | None) -> None:
        """Show the last iteration and close the file."""
        is_shown = record is None or record["iteration"] == self._shown_iteration
        if record is not None and not is_shown and self._progress in ("live", "lines"):
            self._show(self._line(record))
        self._end_line()
        self._file.close()

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
            sys.stdout.write(f"\r{line}\x1b[K")
            sys.stdout.flush()
            self._is_line_open = True
        else:
            print(line, flush=True)

    def _end_line(self) -> None:
        """Leave the live line."""
        if self._is_line_open:
            print(flush=True)
            self._is_line_open = False


def keep_metrics(path: Path, iteration: int) -> None:
    """Drop the records after `iteration` that a killed program has left behind."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["iteration"] <= iteration:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            # The last line of a killed program may be cut, or be anything after a power cut.
            continue
    write_atomically(path, "".join(kept).encode("utf-8"))


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
