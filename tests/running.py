"""A program that runs while the test does something to it."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.launch import environment, kill_the_rest, marked

__all__ = ["Running"]


class Running:
    """A command and all processes that come of it; end it by `kill`."""

    def __init__(self, command: Sequence[str], folder: Path, **env: str) -> None:
        """Start it in `folder`; what it prints goes to a file there."""
        self.mark = secrets.token_hex(8)
        self._log = folder / f"printed-{self.mark}"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(self.mark, env, command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    def until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait for something to become true; fail when it does not, or the program ends before."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it did not happen in time\n{self.text}"
            if self.process.poll() is not None and not condition():
                raise AssertionError(f"ended: {self.process.returncode}\n{self.text}")
            time.sleep(0.02)

    def wait(self, seconds: float = 60.0) -> int:
        """Return the exit code; fail when it does not end."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not done after {seconds} s\n{self.text}") from None

    def rank(self, number: int) -> int:
        """Return the process of a rank."""
        names = {b"OMPI_COMM_WORLD_RANK=%d" % number, b"PMI_RANK=%d" % number}
        for pid in marked(self.mark):
            with contextlib.suppress(OSError):
                is_python = os.readlink(f"/proc/{pid}/exe") == os.path.realpath(sys.executable)
                if is_python and names & set(
                    Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                ):
                    return pid
        raise AssertionError(f"there is no rank {number}\n{self.text}")

    def kill(self) -> tuple[int, ...]:
        """End what is left; return what was."""
        return kill_the_rest(self.process, self.mark)
