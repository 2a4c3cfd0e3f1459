"""Jobs on a cluster, from a checkout with data in it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.launch import mpi_kind
from tests.machines.slurm import Slurm

__all__ = ["SRUN", "Site", "Submitted"]

_ROOT = Path(__file__).parents[2]
_MPIS = ("mpich", "openmpi")
# The virtual hosts have a network alone in common.
_TRANSPORT = {
    "UCX_TLS": "tcp,self",
    "UCX_NET_DEVICES": "eth0",
    "OMPI_MCA_pml": "ob1",
    "OMPI_MCA_btl": "self,sm,tcp",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    # /tmp is one for all, and the same host and process numbers are there in two clusters at once.
    "TMPDIR": "/dev/shm",
    "MPI_GD_START_SECONDS": "40",
}
# For Open MPI; see `has_missed` for why not for MPICH.
SRUN = "srun --mpi=pmix --kill-on-bad-exit=1"
_JOB = """\
name = "slow"
[data]
path = "x.npy"
target = "y.npy"
[loss]
kind = "logistic"
[solver]
kind = "gd"
step = 1e-3
[stop]
tol = 0
max_iter = 150
[checkpoint]
every_iterations = 5
"""
# As long as a file is there an iteration takes as many seconds as it says: what is to meet the
# training in the middle does.
_BRAKE = """\
import os
import time

path = os.environ.get("MPI_GD_TEST_BRAKE", "")
if path:
    from mpi_gd import signals

    ask = signals.stop_requested

    def stop_requested():
        try:
            with open(path) as brake:
                time.sleep(float(brake.read()))
        except OSError:
            pass
        return ask()

    signals.stop_requested = stop_requested
"""


@dataclass
class Submitted:
    """A job that was given to Slurm."""

    cluster: Slurm
    number: str
    log: Path
    run: Path
    """The folder of its training."""

    @property
    def text(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def status(self) -> dict[str, Any]:
        """What the run's marker says."""
        status: dict[str, Any] = json.loads((self.run / "status.json").read_text())
        return status

    @property
    def model(self) -> bytes:
        """The bytes that were trained; fails, with what was printed, where there are none."""
        path = self.run / "model.npz"
        assert path.exists(), self.text
        return path.read_bytes()

    @property
    def shown(self) -> dict[str, str]:
        """What the controller says of it."""
        return self.cluster.job(self.number)

    @property
    def has_missed(self) -> bool:
        """Whether MPICH's ranks did not meet under srun's PMI-2.

        MPICH 5.0.2 sends 4 KB of its memory, its address and what lies behind it, in lines that may
        be too long for Slurm 22.05: by the job's environment never or always. MPI_Init hangs, or
        fails. Nothing here can mend that; its mpirun takes another way.
        """
        return "mpi/pmi2: value not properly terminated" in self.text

    def end(self, seconds: float = 150.0) -> str:
        """Wait until it is over; return its state and exit code, as in "COMPLETED 0:0"."""
        try:
            shown = self.cluster.wait(self.number, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n--- printed\n{self.text}") from None
        return f"{shown['JobState']} {shown['ExitCode']}"

    def until_training(self) -> None:
        """Wait until it has saved its state twice."""
        saved = self.run / "checkpoints"
        self.until(lambda: len(list(saved.glob("*.npz"))) >= 2)

    def until(self, condition: Any, seconds: float = 60.0) -> None:
        """Wait for something to become true; fail with what was printed if it does not."""
        try:
            self.cluster.until(condition, seconds, self.number)
        except AssertionError as error:
            raise AssertionError(f"{error}\n--- printed\n{self.text}") from None

    def release(self) -> None:
        """Let the training run as fast as it can."""
        self.run.with_name(f"{self.run.name}.brake").unlink(missing_ok=True)


class Site:
    """A checkout and data, on a cluster."""

    def __init__(self, cluster: Slurm, folder: Path) -> None:
        """Make them in `folder`."""
        self.cluster, self.folder, self._count = cluster, folder, 0
        for name in ("slurm", "jobs", "mpi_gd"):
            (folder / name).symlink_to(_ROOT / name)
        rng = np.random.default_rng(3)
        x = rng.normal(size=(4000, 6))
        np.save(folder / "x.npy", x)
        y = x @ rng.normal(size=6) + rng.normal(size=4000) > 0
        np.save(folder / "y.npy", y * 1.0)
        self.job = folder / "slow.toml"
        self.job.write_text(_JOB)
        (folder / "brake").mkdir()
        (folder / "brake" / "sitecustomize.py").write_text(_BRAKE)

    def python(self, mpi: str) -> str:
        """Return the Python that has an MPI; skips the test where there is none."""
        if mpi == mpi_kind():
            return sys.executable
        python = _ROOT / ".venvs" / mpi / "bin" / "python"
        if not python.exists():
            pytest.skip(f"there is no {python}: tests/run.sh makes it")
        return str(python)

    def submit(
        self,
        script: str,
        *options: str,
        mpi: str,
        job: str = "",
        pause: float = 0.0,
        env: Mapping[str, str] | None = None,
        out: str = "",
    ) -> Submitted:
        """Submit a script as it is, changed by options and environment as its head says.

        An iteration of its training takes `pause` seconds more until it is released.
        """
        self._count += 1
        name = f"{Path(script).stem}-{mpi}-{self._count}"
        run = self.folder / "runs" / (out or name)
        own = {"OUT": str(run), "JOB": job or str(self.job), "PYTHON": self.python(mpi)}
        if pause:
            own |= self.braked(run, pause)
        log = self.folder / f"{name}.out"
        number = self.cluster.submit(
            f"--output={log}",
            *options,
            f"slurm/{script}",
            folder=self.folder,
            env={**_TRANSPORT, **own, **(env or {})},
        )
        return Submitted(self.cluster, number, log, run)

    def braked(self, run: Path, pause: float) -> dict[str, str]:
        """Return the environment in which the training of a run is slow until it is released."""
        brake = run.with_name(f"{run.name}.brake")
        brake.parent.mkdir(exist_ok=True)
        brake.write_text(str(pause))
        return {"MPI_GD_TEST_BRAKE": str(brake), "PYTHONPATH": str(self.folder / "brake")}

    def run(self, mpi: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the program here, as on a login node."""
        return subprocess.run(
            [self.python(mpi), "-m", "mpi_gd", *words],
            cwd=self.folder,
            env={**self.cluster.environment, **_TRANSPORT},
            capture_output=True,
            text=True,
            timeout=60,
        )
