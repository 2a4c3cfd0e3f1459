"""One trial: a training, what befalls it, and whether its promise was kept."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.faults.program import Failure, Program, state_of

__all__ = ["RANKS", "Stage", "Trial"]

RANKS = (1, 2, 3)
_MOST_RESUMES = 4
_N_ROWS, _N_COLUMNS = 6000, 8
_JOB = """\
fault_tolerance = "{tolerance}"
[data]
path = "x.npy"
target = "y.npy"
test_fraction = 0.2
[loss]
kind = "logistic"
[penalty]
kind = "l2"
alpha = 1e-3
[solver]
{solver}
[stop]
tol = 0
max_iter = 1200
[checkpoint]
every_iterations = 40
every_seconds = 0
"""
_SOLVERS = {
    "gd": 'kind = "gd"\nstep = 0.01',
    "nesterov": 'kind = "nesterov"\nstep = 0.01',
    "sgd": 'kind = "sgd"\nbatch_size = 3000\nepochs = 600\nstep = 0.01',
}


class Stage:
    """What all trials share: the data, and for each solver the model of an undisturbed run."""

    def __init__(self, folder: Path) -> None:
        """Make the data, and run undisturbed."""
        self.folder = folder
        rng = np.random.default_rng(1)
        x = rng.normal(size=(_N_ROWS, _N_COLUMNS))
        np.save(folder / "x.npy", x)
        y = x @ rng.normal(size=_N_COLUMNS) + rng.normal(size=_N_ROWS) > 0
        np.save(folder / "y.npy", y * 1.0)
        self.models: dict[str, bytes] = {}
        self.start_seconds = self.train_seconds = 0.0
        for solver, keys in _SOLVERS.items():
            for tolerance in ("stop", "continue"):
                text = _JOB.format(tolerance=tolerance, solver=keys)
                (folder / f"{solver}-{tolerance}.toml").write_text(text)
            began = time.monotonic()
            program = Program(folder, 3, ["train", f"{solver}-stop.toml", "--out", solver])
            program.until_training()
            self.start_seconds = max(self.start_seconds, time.monotonic() - began)
            if program.finish() != 0:
                raise RuntimeError(f"the undisturbed run failed:\n{program.text}")
            total = time.monotonic() - began
            self.train_seconds = max(self.train_seconds, total - self.start_seconds)
            self.models[solver] = (folder / solver / "model.npz").read_bytes()


@dataclass
class Trial:
    """A training that something is about to befall; all that is random follows from the seed."""

    stage: Stage
    number: int
    random: random.Random
    programs: list[Program] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    """What was done, for the report of a failure."""

    def __post_init__(self) -> None:
        self.solver = self.random.choice(sorted(_SOLVERS))
        self.out = f"run{self.number}"
        self.has_struck = False

    @property
    def run(self) -> Path:
        """Return the run's folder."""
        return self.stage.folder / self.out

    def start(
        self,
        n: int = 0,
        *more: str,
        tolerance: str = "stop",
        flags: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        dying: str = "",
    ) -> Program:
        """Start the training on `n` ranks, or on a number that is drawn."""
        n = n or self.random.choice(RANKS)
        args = ["train", f"{self.solver}-{tolerance}.toml", "--out", self.out, *more]
        self.story.append(f"{self.solver}, {n} ranks {' '.join(more)} {dying}")
        program = Program(self.stage.folder, n, args, flags=flags, env=env, dying=dying)
        self.programs.append(program)
        return program

    def pause(self, share: float = 1.0) -> None:
        """Wait for a random moment of the newest run: one in four while it starts."""
        if self.random.random() < 0.25:
            seconds = self.random.uniform(0.0, self.stage.start_seconds)
            self.story.append(f"{seconds:.3f} s after the start")
        else:
            program = self.programs[-1]
            program.until_training()
            seconds = self.random.uniform(0.0, share * self.stage.train_seconds)
            self.story.append(f"after {seconds:.3f} s of training")
        time.sleep(seconds)

    def strike(self, pid: int, number: int) -> None:
        """Send a signal."""
        self.story.append(f"{signal.Signals(number).name} to {pid}")
        self.has_struck = self.programs[-1].strike(pid, number)

    def finish(self, *, anew: bool = False) -> str:
        """Go on until the run has finished, and compare; return how often it took a resume."""
        n_resumes = 0
        while state_of(self.run) != "finished":
            n_resumes += 1
            if n_resumes > _MOST_RESUMES:
                raise Failure("does not finish")
            exists = (self.run / "job.toml").exists()
            how = ["--force"] if anew else ["--resume"] if exists else []
            code = self.start(0, *how).finish()
            if code != 0:
                raise Failure(f"the resume ended with {code}")
        self.compare(self.run / "model.npz")
        if n_resumes:
            return "resumed"
        return "survived" if self.has_struck else "too late"

    def compare(self, model: Path) -> None:
        """Raise Failure unless the model is there and has the bytes it should have."""
        if not model.exists():
            raise Failure("lost")
        if model.read_bytes() != self.stage.models[self.solver]:
            raise Failure("other bytes")

    def end(self) -> None:
        """Kill what is left."""
        for program in self.programs:
            program.kill()
