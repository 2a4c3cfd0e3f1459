"""The batch script: valid, sized, and refused on the login node where the job is wrong."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mpi_gd.__main__ import main
from mpi_gd.cli import ParsedExit, parse


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job in a folder with a blank in its name, and a PATH without Slurm."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    rows = [f"{k},{k % 7},{k % 2}" for k in range(1000)]
    (folder / "d.csv").write_text("\n".join(["a,b,y", *rows]))
    path = folder / "job.toml"
    path.write_text('[data]\npath = "d.csv"\ntarget = "y"\n[loss]\nkind = "logistic"\n')
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    fake(tmp_path, "sinfo", "exit 1")
    return path


def fake(folder: Path, name: str, body: str) -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def test_the_script_is_valid_and_quoted(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["slurm", str(job), "--nodes", "4", "--time", "2:00:00", "--preemptible"]
    assert main([*words, "--set", "penalty.kind=l2", "--set", 'name="x"']) == 0
    script = capsys.readouterr().out
    assert subprocess.run(["bash", "-n"], input=script, text=True, timeout=20).returncode == 0
    for line in ("--nodes=4", "--time=2:00:00", "--ntasks-per-node=8", "--requeue"):
        assert f"#SBATCH {line}" in script
    assert "1,000 rows x 2 columns" in script
    command = shlex.split(script[script.index("exec ") :].replace("\\\n", " "))
    assert str(job) in command
    assert 'name="x"' in command
    assert not isinstance(parse(command[command.index("launch") :]), ParsedExit)


def test_ranks_and_room_come_from_the_smallest_node(
    job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(tmp_path, "sinfo", "echo '2 32 64 256000'; echo '2+ 8+ 32+ 128000+'")
    assert main(["slurm", str(job), "--threads", "4"]) == 0
    assert "--ntasks-per-node=4 " in capsys.readouterr().out
    assert main(["slurm", str(job), "--mem", "0"]) == 0, "all of a node"
    assert "#SBATCH --mem=0\n" in capsys.readouterr().out
    # Two threads a core, which are not two cores for ranks.
    fake(tmp_path, "sinfo", "echo '1 8 16 128000'")
    assert main(["slurm", str(job)]) == 0
    assert "--ntasks-per-node=8 " in capsys.readouterr().out
    fake(tmp_path, "sinfo", "echo '2 32 64 100'")
    assert main(["slurm", str(job)]) == 2
    assert "each node needs" in capsys.readouterr().err


def test_a_wide_job_asks_for_the_bytes_of_its_header(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(job.parent / "X.npy", np.zeros((100, 2000)))
    np.save(job.parent / "y.npy", np.zeros(100))
    assert main(["slurm", str(job), "--set", "data.path=X.npy", "--set", "data.target=y.npy"]) == 0
    assert "100 rows x 2000 columns" in capsys.readouterr().out


def test_it_is_submitted(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake(tmp_path, "sbatch", f"cat > {tmp_path}/got; echo 42")
    assert main(["slurm", str(job), "--submit", "--script", "s.sh"]) == 0
    assert capsys.readouterr().out == "Submitted as job 42\n"
    assert (tmp_path / "got").read_text() == (tmp_path / "s.sh").read_text()
    fake(tmp_path, "sbatch", "echo 'no such partition' >&2; exit 1")
    assert main(["slurm", str(job), "--submit"]) == 2
    assert "no such partition" in capsys.readouterr().err


def test_without_sbatch_it_says_so(
    job: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    assert main(["slurm", str(job), "--submit"]) == 2
    assert "there is no sbatch on PATH" in capsys.readouterr().err


def test_a_wrong_job_and_little_room_are_told(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["slurm", str(job), "--set", "solver.kin=gd"]) == 2
    assert "kin" in capsys.readouterr().err
    assert main(["slurm", str(job), "--mem", "10M", "--time", "0:00:10"]) == 0
    err = capsys.readouterr().err
    assert "--mem 10M is less" in err
    assert "--time 0:00:10 is short" in err


@pytest.mark.parametrize(
    "words", [["--nodes", "0"], ["--time", "soon"], ["--mem", "8X"], ["--partition", "a\nb"]]
)
def test_bad_options_are_refused(words: list[str]) -> None:
    left = parse(["slurm", "job.toml", *words])
    assert isinstance(left, ParsedExit)
    assert left.code == 2
