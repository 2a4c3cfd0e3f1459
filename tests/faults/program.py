"""The program under trial: started, watched and ended."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.launch import environment, kill_the_rest, marked, mpirun_command

__all__ = ["Failure", "Program"]

# The longest that anything here may take, on a machine that is busy with other things.
_LIMIT = 120.0
_DYING = str(Path(__file__).with_name("dying.py"))


class Failure(Exception):
    """The program has not kept its promise; the message is the kind of breach."""


class Program:
    """One mpirun of the program."""

    def __init__(
        self,
        folder: Path,
        n: int,
        args: Sequence[str],
        *,
        flags: Sequence[str] = (),
        env: dict[str, str] | None = None,
        dying: str = "",
    ) -> None:
        """Start it in `folder`; `dying` says at which calls which ranks kill themselves."""
        self._mark = secrets.token_hex(8)
        self.log = folder / f"log-{self._mark}.txt"
        script = [_DYING, dying] if dying else ["-m", "mpi_gd"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*mpirun_command(n, *flags), sys.executable, *script, *args],
                cwd=folder,
                env=environment(self._mark, env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def ranks(self) -> list[int]:
        """Return the processes of the ranks that are alive."""
        found = []
        for pid in marked(self._mark):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if Path(os.fsdecode(words[0])).name.startswith("python"):
                found.append(pid)
        return sorted(found)

    @property
    def is_training(self) -> bool:
        """Whether it has read its data."""
        return " ranks: " in self.text or " rank: " in self.text

    def kill(self, pid: int, number: int) -> bool:
        """Send a signal, if the process is still there."""
        if self.process.poll() is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    def until(self, condition: Callable[[], Any], seconds: float = _LIMIT) -> None:
        """Wait until something is true, or the program has ended."""
        deadline = time.monotonic() + seconds
        while not condition() and self.process.poll() is None:
            if time.monotonic() > deadline:
                raise Failure("nothing happened in time")
            time.sleep(0.005)

    def until_training(self) -> None:
        """Wait until it has read its data, or has ended."""
        self.until(lambda: self.is_training)

    def wait(self) -> int:
        """Return the exit code, when all its processes are gone; raises Failure for a hang."""
        try:
            code = self.process.wait(_LIMIT)
        except subprocess.TimeoutExpired:
            kill_the_rest(self.process, self._mark)
            raise Failure("hang") from None
        if kill_the_rest(self.process, self._mark):
            raise Failure("processes left behind")
        return code

    def end(self) -> None:
        """Kill what is left, whatever it is."""
        self.process.send_signal(signal.SIGCONT)
        kill_the_rest(self.process, self._mark)


def state_of(run: Path) -> str:
    """Return what a run's marker says."""
    try:
        return str(json.loads((run / "status.json").read_text())["state"])
    except (OSError, ValueError, KeyError):
        return "none"
