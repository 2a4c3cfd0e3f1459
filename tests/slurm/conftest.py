"""A cluster for each file of tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.launch import mpi_kind
from tests.machines.slurm import Slurm, why_no_slurm
from tests.slurm.site import Site


def pytest_configure(config: pytest.Config) -> None:
    """Let what ends the tests take the cluster down first, as ^C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="module")
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Start a cluster as the module's `CLUSTER` says; skip where there can be none."""
    why = why_no_slurm()
    if why and os.environ.get("MPI_GD_TESTS_NEED_SLURM"):
        pytest.fail(why)
    if why:
        pytest.skip(why)
    wishes = dict(request.module.CLUSTER)
    n = wishes.pop("n")
    with Slurm(n, tmp_path_factory.mktemp("slurm"), cpus=2, **wishes) as cluster:
        yield Site(cluster, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def whole(site: Site) -> bytes:
    """Return the model of the slow job's undisturbed run, on one rank."""
    mpi = mpi_kind()
    done = site.run(mpi, "train", str(site.job), "--out", "runs/whole")
    assert done.returncode == 0, done.stderr
    return (site.folder / "runs" / "whole" / "model.npz").read_bytes()
