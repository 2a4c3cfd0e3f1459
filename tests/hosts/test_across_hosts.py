"""Trainings across hosts: the bytes of one rank; what is wrong on one of them is said."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.hosts.conftest import Cluster, errors
from tests.machines.across import kind
from tests.machines.network import switched


def ranks(*counts: int) -> dict[str, int]:
    """Return so many ranks of node1, node2, ..."""
    return {f"node{i}": n for i, n in enumerate(counts, start=1)}


not_intel = pytest.mark.skipif(kind() == "impi", reason="Intel MPI is only tried")


@pytest.mark.parametrize("counts", [(1, 2), (2, 1, 1), (1, 1, 2, 1)], ids=str)
def test_the_same_bytes_as_one_rank(counts: tuple[int, ...], lasting: Cluster) -> None:
    """Though the hosts' clocks are hours apart, and some have more ranks than others."""
    if kind() == "impi" and len(counts) != 3:
        pytest.skip("Intel MPI is only tried")
    out = f"on{len(counts)}"
    running = lasting.train(ranks(*counts), out)
    assert running.wait() == 0, running.text
    assert lasting.model(out) == lasting.model("whole")
    assert not running.kill()


@not_intel
def test_the_same_bytes_through_a_slow_network(lasting: Cluster) -> None:
    with switched(lasting.network, 500, 1000) as device:
        running = lasting.train(ranks(1, 2), "slow", device=device)
        assert running.wait() == 0, running.text
        counters = lasting.network["node1"].run("ip", "-s", "link", "show", device)
    assert lasting.model("slow") == lasting.model("whole")
    received = counters.split("RX:")[1].splitlines()[1].split()
    # 100 sums of 7 coefficients and what goes along with them.
    assert int(received[0]) > 100 * 2 * 7 * 8


@not_intel
def test_a_rank_on_another_host_is_told_to_stop(lasting: Cluster) -> None:
    """Its vote counts; other hosts, by whose clocks the state is years old, take it up."""
    running = lasting.train(ranks(1, 1, 1), "stopped", slowly=True, years_apart=True)
    lasting.until_saved(running, "stopped")
    os.kill(running.rank(2), signal.SIGUSR1)
    assert running.wait() == 75, running.text
    status = lasting.status("stopped")
    assert status["state"] == "stopped"
    assert int(status["time"][:4]) > time.gmtime().tm_year
    running = lasting.train(
        {"node4": 1, "node2": 3}, "stopped", "--resume", slowly=True, years_apart=True
    )
    assert running.wait() == 0, running.text
    assert lasting.model("stopped") == lasting.model("whole")


def one_error(running: Any) -> str:
    """Return the one message of a training that ends by it."""
    assert running.wait() != 0
    assert "Traceback" not in running.text
    (error,) = errors(running.text)
    return str(error)


@not_intel
def test_files_that_one_host_does_not_see(cluster: Cluster) -> None:
    node2 = cluster.network["node2"]
    # Only the root writes: a run's folder that other hosts do not see is none of their business.
    (cluster.folder / "unseen").mkdir()
    node2.hide(cluster.folder / "unseen")
    running = cluster.train(ranks(1, 1, 1), "unseen/run")
    assert running.wait() == 0, running.text
    assert cluster.model("unseen/run") == cluster.model("whole")

    other = cluster.folder / "other.npy"
    np.save(other, np.load(cluster.folder / "data/x.npy") + 1.0)
    node2.run("mount", "--bind", str(other), str(cluster.folder / "data/x.npy"))
    error = one_error(cluster.train(ranks(1, 1, 1), "differing"))
    assert "rank 1 on node2: the data differ from rank 0's" in error

    node2.hide(cluster.folder / "data")
    error = one_error(cluster.train(ranks(1, 2, 1), "lacking"))
    assert "rank 1 on node2 (and 1 more ranks): " in error
    assert str(Path("data") / "x.npy") in error
    assert not (cluster.folder / "lacking" / "model.npz").exists()
