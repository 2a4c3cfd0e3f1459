"""Virtual hosts, a data set that they share, and trainings across them."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.launch import mpirun as mpirun_here
from tests.machines.across import mpirun, start
from tests.machines.network import Network, why_no_network
from tests.running import Running

SLOWLY = str(Path(__file__).with_name("slowly.py"))
APART = str(Path(__file__).with_name("apart.py"))
N_HOSTS = 4
# The clock since the start of each host is so many seconds ahead of that before.
AHEAD = 5000
_JOB = """\
fault_tolerance = "{tolerance}"
[data]
path = "data/x.npy"
target = "data/y.npy"
[loss]
kind = "logistic"
[penalty]
kind = "l2"
alpha = 1e-3
[solver]
kind = "gd"
step = 0.01
[stop]
max_iter = 100
tol = 0
[checkpoint]
every_iterations = 5
every_seconds = 0
"""


def pytest_configure(config: pytest.Config) -> None:
    """Let what ends the tests take the hosts down first, as ^C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


class Cluster:
    """Hosts, data, and what runs on them."""

    def __init__(self, network: Network, folder: Path) -> None:
        """Take hosts that are there; the data lie in `folder`."""
        self.network, self.folder = network, folder
        self._running: list[Running] = []

    def train(
        self, hosts: dict[str, int], out: str, *more: str, slowly: bool = False, **options: Any
    ) -> Running:
        """Start a training on so many ranks of each host."""
        script = [SLOWLY] if slowly else ["-m", "mpi_gd"]
        if options.pop("years_apart", False):
            script = [APART, *script]
        job = options.pop("job", "stop.toml")
        words = [*script, "train", job, "--out", out, "--progress", "none", *more]
        running = start(self.network, hosts, words, self.folder, **options)
        self._running.append(running)
        return running

    def launch(self, hosts: dict[str, int], out: str, **env: str) -> Running:
        """Start a training, slowly, by the program's own launcher on the head."""
        start, wishes = mpirun(self.network, hosts)
        words = [sys.executable, SLOWLY, "launch", "--max-restarts", "0", "--mpirun"]
        words += [shlex.join(start), "--ranks", str(sum(hosts.values()))]
        words += ["train", "stop.toml", "--out", out, "--progress", "none"]
        command = self.network["head"].command(words, self.folder)
        running = Running(command, self.folder, **{**wishes, **env})
        self._running.append(running)
        return running

    def until_saved(self, running: Running, out: str) -> None:
        """Wait for the first checkpoints."""
        running.until(lambda: len(list(self.folder.glob(f"{out}/checkpoints/*.npz"))) >= 2)

    def model(self, out: str) -> bytes:
        """Return the bytes of a model."""
        return (self.folder / out / "model.npz").read_bytes()

    def status(self, out: str) -> dict[str, Any]:
        """Return a run's marker."""
        return dict(json.loads((self.folder / out / "status.json").read_text()))

    def end(self) -> None:
        """End what is left."""
        for running in self._running:
            running.kill()


def errors(text: str) -> list[str]:
    """Return the program's messages of an error."""
    return re.findall(r"^mpi_gd: error: .*$", text, re.MULTILINE)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with data, jobs, and the run of one rank that nothing happened to."""
    folder = tmp_path_factory.mktemp("stage")
    rng = np.random.default_rng(6)
    x = rng.normal(size=(4321, 7))
    (folder / "data").mkdir()
    np.save(folder / "data/x.npy", x)
    np.save(folder / "data/y.npy", (x @ rng.normal(size=7) + rng.normal(size=len(x)) > 0) * 1.0)
    for tolerance in ("stop", "continue"):
        (folder / f"{tolerance}.toml").write_text(_JOB.format(tolerance=tolerance))
    done = mpirun_here(0, ["-m", "mpi_gd", "train", "stop.toml", "--out", "whole"], cwd=folder)
    assert done.rc == 0, done.text
    return folder


def _network(folder: Path, n: int) -> Network:
    """Plan hosts; skip the test where there can be none, as tests/run.sh says aloud."""
    why = why_no_network()
    if why:
        pytest.skip(why)
    return Network(n, folder, more=["head"], uptimes=AHEAD)


@pytest.fixture(scope="session")
def lasting(stage: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return hosts that no test does anything to."""
    with _network(tmp_path_factory.mktemp("network"), N_HOSTS) as network:
        cluster = Cluster(network, stage)
        yield cluster
        cluster.end()


@pytest.fixture
def cluster(stage: Path, tmp_path: Path) -> Iterator[Cluster]:
    """Return three hosts of the test's own."""
    with _network(tmp_path, 3) as network:
        cluster = Cluster(network, stage)
        yield cluster
        cluster.end()
