"""One mpirun of the program, from its start to the end of its last process. It loads no MPI."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mpi_gd.allocation import find_allocation, usable_cores
from mpi_gd.errors import JobError
from mpi_gd.options import LaunchOptions

__all__ = ["Launched", "Requests", "count_cores", "mpi_kind", "mpirun_words"]

# It marks the processes of a launch: they may leave mpirun's process group, not their environment.
_MARK = "MPI_GD_LAUNCH"
_PROGRAM = (sys.executable, "-m", "mpi_gd")
_LOOK_SECONDS = 0.05
# From SIGTERM to SIGKILL, and from mpirun's end to that of its last process.
_END_SECONDS = 2.0
# From the program's own word that it has ended to the end of an mpirun that does not see it, as
# when a host has no power; and from one look for that word to the next.
_LINGER_SECONDS = 10.0
_NEXT_LOOK_SECONDS = 0.5
# After which ranks that cannot be seen, being on other hosts, are taken to have started.
_START_SECONDS = 10.0
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class Requests:
    """The signals to stop that have come, and when the first one did."""

    def __init__(self) -> None:
        """Note the stopping signals from now on."""
        self.count, self.began = 0, 0.0
        self.are_final = False
        """Whether there was one other than USR1: a user or Slurm itself wants the job's end."""
        for number in _STOPPING:
            signal.signal(number, lambda number, _: self.note(number))

    def note(self, number: int) -> None:
        """Note one."""
        self.began = self.began or time.monotonic()
        self.count += 1
        self.are_final = self.are_final or number != signal.SIGUSR1

    def are_over(self, grace: float) -> bool:
        """Whether to wait no longer: there was a second one, or the first was long ago."""
        return self.count > 1 or (self.count == 1 and time.monotonic() - self.began >= grace)


class _Linger:
    """How long an mpirun goes on after its program."""

    def __init__(self, has_ended: Callable[[], bool]) -> None:
        """Ask `has_ended` now and then."""
        self._has_ended = has_ended
        self._next, self._ended = time.monotonic() + _NEXT_LOOK_SECONDS, 0.0

    def is_over(self) -> bool:
        """Whether it is too long."""
        now = time.monotonic()
        if now >= self._next and not self._ended:
            self._next = now + _NEXT_LOOK_SECONDS
            self._ended = now if self._has_ended() else 0.0
        return self._ended > 0.0 and now - self._ended > _LINGER_SECONDS


class Launched:
    """An mpirun and its processes."""

    def __init__(self, start: Sequence[str], n_ranks: int, words: Sequence[str], status: str):
        """Run the program with `words` on `n_ranks` ranks; it writes its marker to `status`.

        Raises JobError when mpirun cannot be started.
        """
        self._mark, self._n_ranks = secrets.token_hex(8), n_ranks
        self._program = [*_PROGRAM, *words]
        self._began = time.monotonic()
        allowed = dict.fromkeys(
            ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM") * (os.geteuid() == 0), "1"
        )
        path = os.pathsep.join([str(Path(start[0]).parent), os.environ.get("PATH", os.defpath)])
        # Intel's mpirun looks there for the other half of itself.
        allowed |= {"PATH": path} if os.path.isabs(start[0]) else {}
        own = {_MARK: self._mark, "MPI_GD_STATUS": status, "MPI_GD_RANKS": str(n_ranks)}
        # Not all launchers take the environment along to other hosts: Open MPI's does not by ssh.
        ours = {name: text for name, text in os.environ.items() if name.startswith("MPI_GD_")}
        setting = ["env", *(f"{name}={text}" for name, text in {**ours, **own}.items())]
        try:
            # In a session of its own, so that a terminal's ^C comes to the launcher alone.
            self._process = subprocess.Popen(
                [*start, "-n", str(n_ranks), *setting, *self._program],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **allowed, **own},
                start_new_session=True,
            )
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise JobError(
                f"cannot start {start[0]}: {reason}; give another one by --mpirun"
            ) from error

    def wait(
        self, requests: Requests, grace: float, has_ended: Callable[[], bool] = lambda: False
    ) -> int:
        """Wait for the end, passing on the request to stop; return mpirun's exit code.

        The ranks are asked to stop by the one signal that both MPIs pass on and do nothing else
        about. All are ended by force when `requests` are over, or when the program itself
        `has_ended` a while ago. Nothing of the launch is left then, on this host.
        """
        is_asked = False
        linger = _Linger(has_ended)
        try:
            while self._process.poll() is None:
                if requests.are_over(grace) or linger.is_over():
                    self._process.terminate()
                    break
                if requests.count and not is_asked and self._has_started():
                    self._process.send_signal(signal.SIGUSR1)
                    is_asked = True
                time.sleep(_LOOK_SECONDS)
        finally:
            self._end()
        return self._process.wait()

    def _end(self) -> None:
        """Kill what is not gone in a moment, and wait until it is."""
        if self._is_gone():
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        for pid in _marked(self._mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # The next launch is to meet none of them, at a lock for one.
        self._is_gone()

    def _is_gone(self) -> bool:
        """Whether mpirun and its processes come to an end by themselves in a moment."""
        until = time.monotonic() + _END_SECONDS
        while self._process.poll() is None or _marked(self._mark):
            if time.monotonic() >= until:
                return False
            time.sleep(_LOOK_SECONDS)
        return True

    def _has_started(self) -> bool:
        """Whether the signal to stop finds its handler in all ranks; without one it kills."""
        words = b"\0".join(map(os.fsencode, self._program)) + b"\0"
        ranks = [pid for pid in _marked(self._mark) if _read(pid, "cmdline") == words]
        is_late = time.monotonic() - self._began > _START_SECONDS
        return (len(ranks) == self._n_ranks or is_late) and all(map(_catches, ranks))


def mpirun_words(options: LaunchOptions, n_ranks: int) -> list[str]:
    """Return the command that starts ranks, up to their number; raises JobError if there is none.

    The user's is taken as it is. For Open MPI else, but in a Slurm job, whose cores are its own: do
    not pin ranks, as another program may be pinned to the same cores, and start more of them than
    there are cores if that is wished.
    """
    if options.mpirun:
        try:
            words = shlex.split(options.mpirun)
        except ValueError as error:
            raise JobError(f"--mpirun: got {options.mpirun!r}: {error}") from error
        if words:
            return words
    beside = Path(sys.executable).parent / "mpirun"
    program = str(beside) if beside.exists() else shutil.which("mpirun")
    if program is None:
        raise JobError(
            "there is no mpirun beside this Python or on PATH; load your cluster's MPI module, or "
            "pip install 'mpi-gd[mpich]', or give one by --mpirun"
        )
    if mpi_kind(program) != "openmpi" or find_allocation():
        return [program]
    return [program, "--bind-to", "none"] + ["--oversubscribe"] * (n_ranks > count_cores())


def mpi_kind(program: str) -> str:
    """Return "openmpi" or "mpich", by what lies beside an mpirun; else ask it; "" if unknown."""
    real = Path(program).resolve()
    for kind, names in (("openmpi", ("openmpi", "prterun")), ("mpich", ("mpich", "hydra"))):
        if any(name in real.name for name in names):
            return kind
    for beside, kind in (("ompi_info", "openmpi"), ("mpichversion", "mpich")):
        if (Path(program).parent / beside).exists() or (real.parent / beside).exists():
            return kind
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, errors="replace", timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    is_open = any(name in done.stdout for name in ("Open MPI", "OpenRTE", "PRRTE"))
    return "openmpi" if is_open else "mpich" * ("HYDRA" in done.stdout)


def count_cores() -> int:
    """Return how many cores this process may use; the threads of a core are one, as for MPI."""
    return len(usable_cores())


def _marked(mark: str) -> list[int]:
    """Return the processes of a launch on this host."""
    wanted = f"{_MARK}={mark}".encode()
    pids = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return [pid for pid in pids if wanted in _read(pid, "environ").split(b"\0")]


def _catches(pid: int) -> bool:
    """Whether a process has a handler for SIGUSR1."""
    for line in _read(pid, "status").splitlines():
        name, _, value = line.partition(b":")
        if name == b"SigCgt":
            return bool(int(value, 16) >> (signal.SIGUSR1 - 1) & 1)
    return False


def _read(pid: int, name: str) -> bytes:
    """Return what the system tells of a process; nothing if it is gone, or another user's."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
