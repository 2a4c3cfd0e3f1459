"""Who started this process, and whether all whom it started are there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from mpi_gd import launcher

# What each launcher tells a process, that matters here.
OPEN_MPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "PMIX_RANK": "3"}
HYDRA = {"PMI_SIZE": "4", "PMI_RANK": "3", "MPI_LOCALNRANKS": "2"}
SRUN_PMIX = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "PMIX_RANK": "3"}
SRUN_PMI2 = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "PMI_RANK": "3", "PMI_SIZE": "4"}
SRUN_NONE = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3"}
# Two daemons of mpirun in a job: Slurm's numbers are theirs.
MPIRUN_IN_SLURM = {**OPEN_MPI, "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}
HYDRA_IN_SLURM = {**HYDRA, "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}
OURS = {**MPIRUN_IN_SLURM, "MPI_GD_RANKS": "4"}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Let the environment be that of a launcher, and of it alone."""
    names = {name for each in (OURS, HYDRA, SRUN_PMI2) for name in each}

    def tell(environ: dict[str, str]) -> None:
        for name in names:
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)

    tell({})
    return tell


EACH = [OPEN_MPI, HYDRA, SRUN_PMIX, SRUN_PMI2, SRUN_NONE, MPIRUN_IN_SLURM, HYDRA_IN_SLURM, OURS]


@pytest.mark.parametrize("environ", EACH)
def test_ranks_and_sizes_are_known(
    environ: dict[str, str], told: Callable[[dict[str, str]], None]
) -> None:
    told(environ)
    assert launcher.own_rank() == "3"
    assert not launcher.is_first_process()
    assert launcher.started_size()[0] == 4
    assert not launcher.lacks(4), "all are there"
    assert launcher.lacks(1), "each is alone"


def test_alone_is_rank_0_of_1(told: Callable[[dict[str, str]], None]) -> None:
    assert launcher.is_first_process() and launcher.own_rank() == ""
    assert launcher.started_size() == (1, "")
    assert not launcher.lacks(1)


@pytest.mark.parametrize("environ", [OPEN_MPI, HYDRA, OURS])
def test_too_few_are_found_out(
    environ: dict[str, str], told: Callable[[dict[str, str]], None]
) -> None:
    told(environ)
    assert launcher.lacks(2)


def test_numbers_of_a_part_prove_nothing_but_loneliness(
    told: Callable[[dict[str, str]], None],
) -> None:
    """A host's ranks, or an mpirun's daemons, are other numbers than that of all ranks."""
    for name in ("MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS"):
        told({name: "2"})
        assert not launcher.lacks(8)
        assert launcher.lacks(1)
        told({name: "1"})
        assert not launcher.lacks(8) and not launcher.lacks(1)


@pytest.mark.parametrize("value", ["", "0", "-1", "x", "4.0"])
def test_a_size_that_is_none_is_not_believed(
    value: str, told: Callable[[dict[str, str]], None]
) -> None:
    told({"PMI_SIZE": value})
    assert launcher.started_size() == (1, "")


def test_srun_or_an_mpirun_that_it_started(told: Callable[[dict[str, str]], None]) -> None:
    for environ in (SRUN_PMIX, SRUN_PMI2, SRUN_NONE):
        told(environ)
        assert launcher.is_by_srun()
    for environ in (OPEN_MPI, HYDRA, MPIRUN_IN_SLURM, HYDRA_IN_SLURM):
        told(environ)
        assert not launcher.is_by_srun()


def test_survival_is_what_mpirun_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMPI_MCA_mpi_ft_enable", raising=False)
    assert not launcher.offers_survival()
    monkeypatch.setenv("OMPI_MCA_mpi_ft_enable", "1")
    assert launcher.offers_survival()


# MPI is loaded, not started, and says that it is of another kind.
REFUSED = """
import mpi4py
mpi4py.rc.initialize = False
from mpi4py import MPI
class Other:
    def __getattr__(self, name):
        return getattr(MPI, name)
    def Get_library_version(self):
        return {version!r}
    def Init_thread(self, level):
        print("started")
from mpi_gd.comm import start
start.MPI = Other()
try:
    start.start_mpi({environ!r})
except start.LauncherError as error:
    print("refused:", error)
"""
MPICH = "MPICH Version:      5.0.2\nMPICH device: ch4:ofi\n"
MPICH_WITH_PMIX = MPICH + "MPICH configure: --with-pmix=/usr\n"
OPEN = "Open MPI v5.0.11, package: Open MPI root@x Distribution\0"


@pytest.mark.parametrize(
    ("version", "environ", "expected"),
    [
        (MPICH, OPEN_MPI, "refused: the launcher speaks PMIx, as Open MPI's mpirun"),
        (MPICH, SRUN_PMIX, "refused: "),
        (MPICH, HYDRA, "started"),
        (MPICH, SRUN_PMI2, "started"),
        (MPICH, {}, "started"),
        # With both, hydra's own is meant.
        (MPICH, HYDRA | {"PMIX_RANK": "3"}, "started"),
        (MPICH_WITH_PMIX, OPEN_MPI, "started"),
        (OPEN, OPEN_MPI, "started"),
        (OPEN, SRUN_PMIX, "started"),
    ],
)
def test_an_mpi_that_would_end_the_process_is_not_started(
    version: str, environ: dict[str, str], expected: str
) -> None:
    program = REFUSED.format(version=version, environ=environ)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith(expected)
    if expected == "started":
        assert "refused" not in done.stdout
    else:
        assert "and MPICH 5.0.2 does not; use the mpirun of the MPI that mpi4py" in done.stdout


@pytest.mark.parametrize(
    ("version", "plugin", "name"),
    [(MPICH, "pmi2", "MPICH 5.0.2"), (OPEN, "pmix", "Open MPI v5.0.11")],
)
def test_the_remedy_under_srun_is_the_right_plugin(
    version: str,
    plugin: str,
    name: str,
    told: Callable[[dict[str, str]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mpi_gd.comm import start

    told(SRUN_NONE)

    class Other:
        def Get_library_version(self) -> str:
            return version

    monkeypatch.setattr(start, "MPI", Other())
    assert start.library_version() == name
    assert start.remedy().startswith(f"use srun --mpi={plugin} (")
    told(OPEN_MPI)
    assert start.remedy() == "use the mpirun of the MPI that mpi4py was installed with"
