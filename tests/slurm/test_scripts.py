"""Every script in slurm/ as it is, under the MPIs that it is for: models, exit codes, the grid."""

from __future__ import annotations

import csv
import os
import re
import subprocess
from typing import Any

import pytest

CLUSTER = {"n": 2, "has_accounts": True}
# A job waits for others, and for Slurm's clocks.
pytestmark = pytest.mark.timeout(400)
ONE = ("--nodes=2", "--ntasks-per-node=1")
TWO = ("--nodes=2", "--ntasks-per-node=2")


def test_all_scripts_train_to_the_same_bytes(site: Any, whole: bytes) -> None:
    """They run at once, as far as there are cores."""
    disk = {
        "FILES": "x.npy y.npy",
        # A folder that each of the nodes has for itself.
        "LOCAL": "/dev/shm/mpi_gd-data",
        "CHANGES": "--set data.path=/dev/shm/mpi_gd-data/x.npy "
        "--set data.target=/dev/shm/mpi_gd-data/y.npy",
    }
    runs = {
        "one node": site.submit("one_node.sbatch", "--ntasks-per-node=2", mpi="openmpi"),
        "pmi2": site.submit("many_nodes_srun.sbatch", *TWO, mpi="mpich"),
        "pmix": site.submit("many_nodes_srun.sbatch", *TWO, mpi="openmpi", env={"MPI": "pmix"}),
        "hydra": site.submit("many_nodes_mpirun.sbatch", *ONE, mpi="mpich"),
        "prterun": site.submit("many_nodes_mpirun.sbatch", *ONE, mpi="openmpi"),
        "disk": site.submit("local_disk.sbatch", *ONE, mpi="mpich", env=disk),
    }
    ends = {name: run.end() for name, run in runs.items()}
    if runs["pmi2"].has_missed:
        del runs["pmi2"], ends["pmi2"]
    texts = "\n".join(run.text for run in runs.values())
    assert set(ends.values()) == {"COMPLETED 0:0"}, f"{ends}\n{texts}"
    for name, run in runs.items():
        nodes = 1 if name == "one node" else 2
        where = "1 node" if nodes == 1 else f"{nodes} nodes"
        share = 1 if name in ("hydra", "prterun", "disk") else 2
        ranks = "1 rank" if share == 1 else f"{share} ranks"
        assert f"Slurm job {run.number}: {where}, {ranks} on each, " in run.text, run.text
        assert "mpi_gd: " not in run.text, run.text
        told = {key: run.status[key] for key in ("state", "slurm_job", "slurm_nodes", "ranks")}
        told_right = {"state": "finished", "slurm_job": run.number, "slurm_nodes": nodes}
        assert told == {**told_right, "ranks": share * nodes}
        assert run.model == whole, name
    site.cluster.until(lambda: site.cluster.accounts(run.number) == [("COMPLETED", "0:0")])
    left = ["srun", "--nodes=2", "--ntasks-per-node=1", "ls", "/dev/shm"]
    assert "mpi_gd-data" not in site.cluster.call(*left)


def test_failures_have_their_exit_codes(site: Any) -> None:
    """As scontrol and sacct show them."""
    squared = site.job.read_text().replace('kind = "logistic"', 'kind = "squared"')
    jobs = {
        2: squared.replace("step", "stpe"),
        3: squared.replace("step = 1e-3", "step = 1e6"),
        75: squared.replace("[stop]", "[stop]\nmax_seconds = 1"),
    }
    runs = {}
    for code, text in jobs.items():
        path = site.folder / f"ends-with-{code}.toml"
        path.write_text(text)
        options = ("one_node.sbatch", "--ntasks-per-node=1")
        runs[code] = site.submit(*options, mpi="mpich", job=str(path), pause=0.1)
    for code, run in runs.items():
        assert run.end() == f"FAILED {code}:0", run.text
        states = [("FAILED", f"{code}:0")]
        site.cluster.until(
            lambda run=run, states=states: site.cluster.accounts(run.number) == states
        )
    assert runs[2].text.count("mpi_gd: error") == 1
    assert "did you mean" in runs[2].text, runs[2].text
    assert runs[3].status["state"] == "failed"
    assert runs[75].status["state"] == "stopped"


def test_a_grid_and_what_collects_it(site: Any) -> None:
    job = site.folder / "grid.toml"
    text = site.job.read_text().replace("[loss]", "test_fraction = 0.25\n[loss]")
    job.write_text(f'{text}[penalty]\nkind = "l2"\n'.replace('"gd"\nstep = 1e-3', '"lbfgs"'))
    env = {"PYTHON": site.python("mpich"), "JOB": str(job), "OUT": str(site.folder / "grid")}
    done = subprocess.run(
        ["bash", "slurm/grid.sh", "--array=0-2", "--ntasks-per-node=1"],
        cwd=site.folder,
        env={**site.cluster.environment, **env},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    numbers = re.fullmatch(r"array (\d+), then (\d+): .*grid/grid.csv\n", done.stdout)
    assert numbers, done.stdout
    end = site.cluster.wait(numbers[2])
    printed = (site.folder / f"slurm-mpi_gd-collect-{numbers[2]}.out").read_text()
    assert (end["JobState"], end["ExitCode"]) == ("COMPLETED", "0:0"), printed
    with (site.folder / "grid" / "grid.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["penalty.alpha"] for row in rows} == {"1e-05", "0.0001", "0.001"}
    losses = [float(row["log_loss"]) for row in rows]
    assert losses == sorted(losses)
    assert "The best of 3 by log_loss" in printed
    task = (site.folder / f"slurm-mpi_gd-grid-{numbers[1]}_2.out").read_text()
    assert f"Slurm job {numbers[1]}_2: 1 node, 1 rank on each" in task, task


@pytest.mark.parametrize("mpi", ["mpich", "openmpi"])
def test_a_script_is_written_and_submitted(site: Any, whole: bytes, mpi: str) -> None:
    words = ("slurm", str(site.job), "--nodes", "2", "--out", f"runs/written-{mpi}", "--submit")
    done = site.run(mpi, *words, "--script", f"{mpi}.sbatch")
    assert done.returncode == 0, done.stderr
    told = re.fullmatch(r"Submitted as job (\d+)\n", done.stdout)
    assert told, done.stdout
    end = site.cluster.wait(told[1])
    printed = (site.folder / f"slurm-slow-{told[1]}.out").read_text()
    assert (end["JobState"], end["ExitCode"]) == ("COMPLETED", "0:0"), printed
    script = (site.folder / f"{mpi}.sbatch").read_text()
    assert f"--ntasks-per-node={min(2, os.cpu_count() or 1)}  # the cores, by sinfo" in script
    assert (site.folder / "runs" / f"written-{mpi}" / "model.npz").read_bytes() == whole
    assert "mpi_gd: warning" not in printed, printed
