"""A run's folder: taken by one run at a time, and nothing of the user's is ever removed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mpi_gd.comm import SerialWorld
from mpi_gd.commands import folder
from mpi_gd.commands.fallback import write_somewhere
from mpi_gd.commands.folder import choose_folder, lock_folder
from mpi_gd.errors import FileError, JobError
from mpi_gd.options import TrainOptions
from mpi_gd.status import read_status, write_status


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with no lock held."""
    monkeypatch.chdir(tmp_path)
    for name in ("SLURM_RESTART_COUNT", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("MPI_GD_STATUS", raising=False)
    monkeypatch.setattr(folder, "_locks", {})
    return tmp_path


def choose(**options: object) -> tuple[str, bool]:
    """Choose the folder of a run called "train"."""
    run, resumes = choose_folder(SerialWorld(), "train", TrainOptions(**options), "old")  # type: ignore[arg-type]
    return str(run.path), resumes


def begin(path: str) -> None:
    """Leave what a run leaves."""
    write_status(Path(path), "finished", 0)
    for name in ("job.toml", "model.npz", "metrics.jsonl", "summary.json"):
        (Path(path) / name).write_text("old")
    (Path(path) / "checkpoints" / "000000007.npz").write_text("old")


def test_each_run_has_a_folder_of_its_own() -> None:
    for expected in ("runs/train", "runs/train-2", "runs/train-3"):
        assert choose() == (expected, False)
        begin(expected)
    assert choose(resume=True) == ("runs/train-3", True)
    assert choose(force=True) == ("runs/train-3", False)


def test_two_that_choose_at_once_do_not_meet() -> None:
    """Before either has written anything."""
    code = "from tests.unit.test_folder import choose; print(choose()[0]); input()"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    others = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        found = [other.stdout.readline().strip() for other in others if other.stdout]
    finally:
        for other in others:
            other.communicate("\n", timeout=60)
    assert len(set(found)) == 4


def test_a_run_is_replaced_only_where_that_is_asked_for() -> None:
    assert choose(out="a") == ("a", False)
    begin("a")
    with pytest.raises(JobError, match=r"there is a run in this folder.*--force"):
        choose(out="a")
    assert choose(out="a", resume=True) == ("a", True)
    assert Path("a/checkpoints/000000007.npz").exists()
    assert choose(out="a", force=True) == ("a", False)
    assert [path.name for path in Path("a").iterdir() if path.name != ".lock"] == ["checkpoints"]
    assert not list(Path("a/checkpoints").iterdir())


@pytest.mark.parametrize("how", [{}, {"force": True}, {"resume": True}])
def test_a_folder_with_other_things_in_it_is_left_alone(how: dict[str, bool]) -> None:
    Path("train.npz").write_text("my data")
    Path("job.toml").write_text("my job")
    with pytest.raises(JobError, match="holds other files"):
        choose(out=".", **how)
    assert Path("train.npz").read_text() == "my data"
    assert Path("job.toml").read_text() == "my job"


def test_what_lies_beside_a_run_survives_its_replacement() -> None:
    choose(out="a")
    begin("a")
    for name in ("precious.npz", "notes.txt", "checkpoints/mine.npz"):
        (Path("a") / name).write_text("mine")
    choose(out="a", force=True)
    assert {path.name for path in Path("a").rglob("*") if path.is_file()} == {
        ".lock",
        "precious.npz",
        "notes.txt",
        "mine.npz",
    }


def test_a_requeued_job_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert choose(out="a") == ("a", False), "there is nothing to go on with"
    begin("a")
    assert choose(out="a") == ("a", True)
    assert choose(out="a", force=True) == ("a", False)


def test_a_requeued_job_finds_its_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others train under the same name, the tasks of its array among them."""
    for job, expected in (("7", "runs/train"), ("8", "runs/train-2"), ("7", "runs/train-3")):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        assert choose() == (expected, False)
        begin(expected)
    # A step of job 7 that trained something else.
    Path("runs/train-3/job.toml").write_text("another")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    for job, expected in (("7", "runs/train"), ("8", "runs/train-2")):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        assert choose() == (expected, True)
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    assert choose() == ("runs/train-4", False), "killed before it had a folder"


def test_what_a_killed_program_has_half_written_is_removed() -> None:
    choose(out="a")
    begin("a")
    half = [".model.npz.0123456789ab.tmp", "checkpoints/.000000009.npz.0123456789ab.tmp"]
    mine = [".mine.npz.0123456789ab.tmp", ".model.npz.tmp", "checkpoints/.a.0123456789ab.tmp"]
    for name in (*half, *mine):
        (Path("a") / name).write_text("half")
    assert choose(out="a", resume=True) == ("a", True)
    assert not any((Path("a") / name).exists() for name in half)
    assert all((Path("a") / name).exists() for name in mine)
    assert (Path("a") / "model.npz").exists()


def test_another_program_in_the_folder_is_kept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("a")
    path.mkdir()
    lock_folder(path)
    lock_folder(path)
    monkeypatch.setattr(folder, "_locks", {})
    me = rf"another program is training in this folder \(process {os.getpid()} on "
    with pytest.raises(JobError, match=me):
        lock_folder(path)
    with pytest.raises(JobError, match="another program"):
        choose(out="a")


def test_a_lock_that_is_about_to_go_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("a")
    path.mkdir()
    lock_folder(path)
    held = folder._locks.popitem()[1]
    threading.Timer(0.2, os.close, [held]).start()
    lock_folder(path, 60.0)
    assert folder._locks


def test_a_file_system_without_locks_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("mpi_gd.commands.folder.fcntl.flock", no_locks)
    assert choose(out="a") == ("a", False)
    assert choose(out="a") == ("a", False)


def test_the_marker_is_written_twice_where_a_launcher_waits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MPI_GD_STATUS", str(tmp_path / "copy" / "status.json"))
    write_status(tmp_path, "stopped", 75, iteration=7)
    assert "copy" in capsys.readouterr().err, "a warning, and no more"
    (tmp_path / "copy").mkdir()
    write_status(tmp_path, "stopped", 75, iteration=7)
    for place in (tmp_path, tmp_path / "copy"):
        marker = read_status(place)
        assert (marker["state"], marker["exit_code"], marker["iteration"]) == ("stopped", 75, 7)
        assert marker["folder"] == str(tmp_path.resolve())
    assert read_status(tmp_path / "none") == {}


def test_a_full_disk_takes_the_marker_in_place_of_the_old_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that goes on saying "running" would be a lie."""

    def full(path: Path, data: bytes) -> None:
        raise FileError(f"{path}: cannot write: no space left on device")

    write_status(tmp_path, "running", ranks=1000, message="a longer text than the next one")
    monkeypatch.setattr("mpi_gd.status.write_atomically", full)
    write_status(tmp_path, "finished", 0, model="elsewhere")
    marker = read_status(tmp_path)
    assert (marker["state"], marker["exit_code"], marker["model"]) == ("finished", 0, "elsewhere")
    assert capsys.readouterr().err == ""
    write_status(tmp_path, "failed", 2, message="x" * 5000)
    assert "no space left" in capsys.readouterr().err
    assert read_status(tmp_path) == marker


def test_all_markers_have_the_same_entries(tmp_path: Path) -> None:
    write_status(tmp_path, "running")
    running = read_status(tmp_path)
    write_status(tmp_path, "finished", 0, message="m", iteration=1, ranks=2, model="n")
    assert running.keys() == read_status(tmp_path).keys()
    assert running["exit_code"] is None


def test_what_must_not_be_lost_is_written_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mpi_gd.commands.fallback.time.sleep", lambda seconds: None)
    monkeypatch.setenv("MPI_GD_FALLBACK", str(tmp_path / "gone"))
    tried: list[Path] = []

    def write(path: Path) -> None:
        tried.append(path)
        if path.parent == tmp_path / "full":
            raise FileError(f"{path}: cannot write: no space left on device")
        path.write_text("model")

    where = write_somewhere(tmp_path / "full" / "model.npz", "clicks", write)
    assert where.read_text() == "model"
    assert where.parent.parent == tmp_path and where.parent.name.startswith("mpi_gd-clicks-")
    assert len(tried) == 5, "four tries at its own place"
    assert "no space left on device; writing model.npz elsewhere" in capsys.readouterr().err


def test_nowhere_to_write_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("mpi_gd.commands.fallback.time.sleep", lambda seconds: None)

    def write(path: Path) -> None:
        raise FileError(f"{path}: full")

    with pytest.raises(FileError, match="a: full"):
        write_somewhere(tmp_path / "a", "clicks", write)


def test_two_runs_of_one_name_fall_back_to_two_folders(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the same second, to the same place: one must not write over the other's model."""
    monkeypatch.setattr("mpi_gd.commands.fallback.time.sleep", lambda seconds: None)
    monkeypatch.setattr("mpi_gd.commands.fallback.time.strftime", lambda form: "now")
    monkeypatch.setenv("MPI_GD_FALLBACK", str(tmp_path))

    def write(path: Path) -> None:
        if path.parent == tmp_path / "full":
            raise FileError(f"{path}: full")
        path.write_text("model")

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("mpi_gd.commands.fallback.tempfile.gettempdir", lambda: str(temporary))
    found = []
    for pid in (1, 2, 2):
        monkeypatch.setattr("mpi_gd.commands.fallback.os.getpid", lambda pid=pid: pid)
        found.append(write_somewhere(tmp_path / "full" / "model.npz", "clicks", write))
    assert len(set(found)) == 3
