"""What can befall a run: one function a kind, that returns how the run got through it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.program import Failure, Program, state_of
from tests.faults.trial import Trial
from tests.launch import mpi_kind

__all__ = ["KINDS", "kinds_here"]

_ULFM = ("--with-ft", "ulfm", "--mca", "btl", "tcp,self")
_STOPPED = 75


def killed_rank(trial: Trial) -> str:
    """SIGKILL a rank; the others must not wait for it."""
    program = trial.start(trial.random.choice((2, 3)))
    trial.pause()
    ranks = program.ranks()
    if ranks:
        trial.strike(trial.random.choice(ranks), signal.SIGKILL)
    program.finish()
    return trial.finish()


def killed_launcher(trial: Trial) -> str:
    """SIGKILL mpirun; its ranks must not stay."""
    program = trial.start()
    trial.pause()
    trial.strike(program.process.pid, signal.SIGKILL)
    program.process.wait()
    deadline = time.monotonic() + 30
    while program.ranks():
        if time.monotonic() > deadline:
            raise Failure("ranks outlive mpirun")
        time.sleep(0.05)
    return trial.finish()


def signalled(trial: Trial) -> str:
    """Ask a rank, or mpirun, to stop: a checkpoint, exit code 75, and a marker that says so."""
    program = trial.start()
    trial.pause()
    number = trial.random.choice((signal.SIGUSR1, signal.SIGTERM, signal.SIGINT))
    victims = program.ranks() or [program.process.pid]
    # mpirun ends its ranks soon after it has passed TERM or INT on; USR1 it only passes on.
    if number == signal.SIGUSR1:
        victims.append(program.process.pid)
    trial.strike(trial.random.choice(victims), number)
    code = program.finish()
    if state_of(trial.run) == "stopped" and code != _STOPPED:
        raise Failure(f"stopped, but ended with {code}")
    return trial.finish()


def frozen(trial: Trial) -> str:
    """SIGSTOP a rank for a while: nothing is lost, and the run goes on."""
    program = trial.start(trial.random.choice((2, 3)))
    trial.pause()
    ranks = program.ranks()
    if ranks:
        victim = trial.random.choice(ranks)
        trial.strike(victim, signal.SIGSTOP)
        time.sleep(trial.random.uniform(0.2, 2.0))
        trial.strike(victim, signal.SIGCONT)
    if program.finish() != 0:
        raise Failure("did not go on")
    return trial.finish()


def full_disk(trial: Trial) -> str:
    """Fill the disk of the run's folder: the model must be there in the end, or elsewhere."""
    disk = trial.stage.folder / f"disk{trial.number}"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        elsewhere = trial.stage.folder / f"elsewhere{trial.number}"
        elsewhere.mkdir()
        trial.out = str(disk / "run")
        program = trial.start(0, env={"MPI_GD_FALLBACK": str(elsewhere)})
        # Before there is a run's folder, a full disk is a mistake that is said, and ends the run.
        program.until_training()
        time.sleep(trial.random.uniform(0.0, 0.7 * trial.stage.train_seconds))
        trial.story.append("disk full")
        _fill(disk / "filler")
        if program.finish() != 0:
            raise Failure("a full disk ended the run")
        models = [trial.run / "model.npz", *elsewhere.rglob("model.npz")]
        trial.compare(next((path for path in models if path.exists()), models[0]))
        return "survived"
    finally:
        trial.end()
        subprocess.run(["umount", "-l", disk], check=True)


def _fill(path: Path) -> None:
    """Write until nothing more goes in."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 10, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


def flipped_checkpoint(trial: Trial) -> str:
    """Damage the newest checkpoint of a stopped run: the one before it is taken, aloud."""
    program = trial.start()
    checkpoints = trial.run / "checkpoints"
    program.reach(lambda: len(list(checkpoints.glob("*.npz"))) >= 2)
    for pid in program.ranks():
        trial.strike(pid, signal.SIGKILL)
    program.finish()
    files = sorted(checkpoints.glob("*.npz"))
    if state_of(trial.run) == "finished" or len(files) < 2:
        return trial.finish()
    _flip(trial, files[-1])
    resumed = trial.start(0, "--resume")
    if resumed.finish() != 0:
        raise Failure("a damaged checkpoint ended the run")
    if files[-1].name not in resumed.text:
        raise Failure("a damaged checkpoint was not spoken of")
    trial.finish()
    return "resumed"


def flipped_model(trial: Trial) -> str:
    """Damage a model: it is refused, or predicts the same numbers."""
    trial.run.mkdir()
    model = trial.run / "model.npz"
    model.write_bytes(trial.stage.models[trial.solver])
    _flip(trial, model)
    scores = []
    for path in (f"{trial.solver}/model.npz", f"{trial.out}/model.npz"):
        args = ["evaluate", path, "x.npy", "--set", "target=y.npy", "--json"]
        program = Program(trial.stage.folder, 1, args)
        trial.programs.append(program)
        code = program.finish()
        if code == 2 and "Traceback" not in program.text and path.startswith(trial.out):
            return "refused"
        if code != 0:
            raise Failure(f"evaluate ended with {code}")
        scores.append(program.text)
    if scores[0] != scores[1]:
        raise Failure("other scores from a damaged model")
    return "harmless"


def _flip(trial: Trial, path: Path) -> None:
    """Change a byte, or cut the file."""
    data = bytearray(path.read_bytes())
    place = trial.random.randrange(len(data))
    if trial.random.random() < 0.2:
        del data[place:]
    else:
        data[place] ^= trial.random.randrange(1, 256)
    trial.story.append(f"{path.name} damaged at byte {place}")
    path.write_bytes(bytes(data))


def survived_loss(trial: Trial) -> str:
    """Under ULFM, SIGKILL ranks at random moments; the others finish without a resume."""
    program = trial.start(4, tolerance="continue", flags=_ULFM)
    # A rank that is killed inside MPI_Init takes all along: that is another kind.
    program.until_training()
    for _ in range(trial.random.choice((1, 1, 2, 3))):
        time.sleep(trial.random.uniform(0.0, 0.4 * trial.stage.train_seconds))
        ranks = program.ranks()
        if len(ranks) > 1:
            trial.strike(trial.random.choice(ranks), signal.SIGKILL)
    program.finish()
    if state_of(trial.run) != "finished":
        raise Failure("the ranks that were left did not finish")
    return trial.finish()


def survived_loss_at(trial: Trial) -> str:
    """Under ULFM, ranks die at chosen calls: loading, asking, saving, scoring, recovering."""
    points = {"open": 1, "read": 1, "scale": 1, "question": 400, "save": 3, "score": 1}
    victims = trial.random.sample(range(4), trial.random.choice((1, 2, 3)))
    wishes = []
    for victim in victims:
        # The root alone saves.
        point = trial.random.choice(sorted(points if victim == 0 else points.keys() - {"save"}))
        late = trial.random.choice(("now", "late"))
        wishes.append(f"{point}:{trial.random.randint(1, points[point])}:{victim}:{late}")
    if len(victims) == 2 and trial.random.random() < 0.5:
        wishes[1] = f"recover:1:{victims[1]}:now"
    program = trial.start(4, tolerance="continue", flags=_ULFM, dying=",".join(wishes))
    program.finish()
    trial.has_struck = " lost " in program.text
    if state_of(trial.run) != "finished":
        raise Failure("the ranks that were left did not finish")
    return trial.finish()


Kind = Callable[[Trial], str]
KINDS: dict[str, Kind] = {
    "killed rank": killed_rank,
    "killed launcher": killed_launcher,
    "signalled": signalled,
    "frozen rank": frozen,
    "full disk": full_disk,
    "damaged checkpoint": flipped_checkpoint,
    "damaged model": flipped_model,
    "lost ranks, at random": survived_loss,
    "lost ranks, at a call": survived_loss_at,
}


def kinds_here() -> dict[str, Kind]:
    """Return the kinds that this machine and this MPI can show."""
    kinds = dict(KINDS)
    if mpi_kind() != "openmpi":
        del kinds["lost ranks, at random"], kinds["lost ranks, at a call"]
    if not _may_mount():
        del kinds["full disk"]
    return kinds


def _may_mount() -> bool:
    """Whether a small disk can be made."""
    if shutil.which("mount") is None:
        return False
    test = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        return subprocess.run(test, capture_output=True, check=False, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
