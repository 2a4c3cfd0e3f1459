"""The program under trial: started, watched and ended."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.launch import marked, mpirun_command
from tests.running import Running

__all__ = ["Failure", "Program"]

# The longest that anything here may take, on a machine that is busy with other things.
_LIMIT = 120.0
_DYING = str(Path(__file__).with_name("dying.py"))


class Failure(Exception):
    """The program has not kept its promise; the message is the kind of breach."""


class Program(Running):
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
        script = [_DYING, dying] if dying else ["-m", "mpi_gd"]
        command = [*mpirun_command(n, *flags), sys.executable, *script, *args]
        super().__init__(command, folder, **(env or {}))

    def ranks(self) -> list[int]:
        """Return the processes of the ranks that are alive."""
        found = []
        for pid in marked(self.mark):
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

    def strike(self, pid: int, number: int) -> bool:
        """Send a signal; return whether the process was still there."""
        if self.process.poll() is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    def reach(self, condition: Callable[[], object]) -> None:
        """Wait until something is true, or the program has ended."""
        self.until(lambda: condition() or self.process.poll() is not None, _LIMIT)

    def until_training(self) -> None:
        """Wait until it has read its data, or has ended."""
        self.reach(lambda: self.is_training)

    def finish(self) -> int:
        """Return the exit code, when all its processes are gone; raises Failure for a hang."""
        try:
            code = self.process.wait(_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("hang") from None
        if self.kill():
            raise Failure("processes left behind")
        return code


def state_of(run: Path) -> str:
    """Return what a run's marker says."""
    try:
        return str(json.loads((run / "status.json").read_text())["state"])
    except (OSError, ValueError, KeyError):
        return "none"
