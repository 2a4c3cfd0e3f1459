"""What a job is: the keys of a job file, each a field with a sentence under it.

A field that is a dataclass is a table. A field with a registry in its metadata, under "kinds", is
a table whose key `kind` names an entry and whose other keys are the fields of that entry.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Literal

from mpi_gd.config.pathspec import PathSpec
from mpi_gd.data.spec import DataSpec
from mpi_gd.losses import LOSSES, Loss
from mpi_gd.penalties import PENALTIES, NoPenalty, Penalty
from mpi_gd.prepare.spec import PrepareSpec
from mpi_gd.solvers import SOLVERS, Auto, Solver

__all__ = ["CheckpointSpec", "InferenceSpec", "Job", "StopSpec"]

# A folder's name on any file system, which no shell and no program takes for an option.
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class StopSpec:
    """When the training ends; the fields are the keys of the table [stop]."""

    max_iter: int = 1000
    """Iterations after which to stop; 0 evaluates the start alone."""

    tol: float = 1e-8
    """Stop when the gradient's largest component is at most this share of the root mean square of
    the loss's derivative; 0: only where it vanishes."""

    objective_tol: float = 0.0
    """Stop when the objective changes from an iterate to the next by at most this share of it: a
    small change is no proof of a minimum. 0: never for that."""

    gap_tol: float = 0.0
    """Stop when the objective is above its minimum by at most this share of it, for certain: a
    duality gap, which convex losses and penalties have; 0: never for that."""

    max_passes: float = 0.0
    """Passes over the training rows after which to stop; 0: no limit."""

    max_seconds: float = 0.0
    """Seconds after which to stop, with a checkpoint to resume from; 0: no limit."""

    before_time_limit: float = 60.0
    """Under Slurm: seconds before the time limit at which to stop, with a checkpoint; at most a
    tenth of the time that is left at the start; 0: not for the limit."""

    require_convergence: bool = False
    """Whether a training that ends without convergence has the exit code 4; the model is written
    all the same, and where a limit has ended it, a checkpoint."""

    def __post_init__(self) -> None:
        _require_not_negative(self, "max_iter", "tol", "objective_tol", "gap_tol", "max_passes")
        _require_not_negative(self, "max_seconds", "before_time_limit")


@dataclass(frozen=True)
class CheckpointSpec:
    """When the state is saved; the fields are the keys of the table [checkpoint]."""

    every_iterations: int = 0
    """Save after so many iterations; 0: only as `every_seconds` says."""

    every_seconds: float = 60.0
    """Save after so many seconds; 0: only as `every_iterations` says."""

    keep: int = 3
    """Checkpoints that are kept; older ones are removed."""

    def __post_init__(self) -> None:
        _require_not_negative(self, "every_iterations", "every_seconds")
        if self.keep < 1:
            raise ValueError(f"keep must be 1 or more, got {self.keep}")


@dataclass(frozen=True)
class InferenceSpec:
    """Which standard errors to report; the fields are the keys of the table [inference]."""

    covariance: Literal["auto", "none", "fisher", "hc0", "hc1", "cluster"] = "auto"
    """How the coefficients' covariance is estimated: from the Fisher information; by the sandwich
    of White (1980), times n / (n - p) with "hc1"; by the sandwich of sums over the clusters that
    `data.cluster` names. "auto": "fisher" for a likelihood without penalty and at most 100
    parameters, else "none"."""

    level: float = 0.95
    """Confidence level of the intervals, in (0, 1)."""

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"level must be in (0, 1), got {self.level}")


@dataclass(frozen=True, kw_only=True)
class Job:
    """Say all that a training depends on; the fields are the keys and tables of a job file.

    Raises ValueError, beginning with the field's name, for a value that can mean nothing.
    """

    name: str = "train"
    """Name of the run: its folder is runs/NAME."""

    seed: int = 0
    """Number that all randomness follows from: the held-out rows, the order of minibatches."""

    reduction: Literal["exact", "fast", "float32"] = "exact"
    """"exact" adds so that the model is the same, bit for bit, on any number of ranks; "fast"
    leaves the order of additions to MPI; "float32" is the same, and sends the gradient of sparse
    rows with 262,144 columns or more in a quarter of the bytes, rounded to 7 digits."""

    fault_tolerance: Literal["stop", "continue"] = "stop"
    """What to do when a rank dies: "stop", to be resumed from the last checkpoint, or "continue"
    with the ranks that are left (Open MPI, mpirun --with-ft ulfm --mca btl tcp,self)."""

    slow_ranks: Literal["report", "divide"] = "report"
    """What to do with a rank that takes longer for its rows than is usual, because something else
    runs on its core: report it, or also give some of its rows to the others ("divide"), once the
    others have waited for it as long as that takes. The model is the same, bit for bit."""

    intercept: bool = True
    """Whether there is one; no penalty is on it."""

    collinear: Literal["drop", "stop"] = "drop"
    """What to do without a penalty where a column is a combination of those before it: hold its
    coefficient at 0 and say so, or stop. It is looked for among up to 500 columns."""

    precondition: bool = True
    """Scale the columns inside the solver: the answer is the same, the way there shorter."""

    data: DataSpec = field(default_factory=DataSpec)
    """What to train on; `path` is required."""

    prepare: PrepareSpec = field(default_factory=PrepareSpec)
    """How columns of text, dates and numbers become features: a part of the model."""

    loss: Loss = field(metadata={"kinds": LOSSES})
    """What is minimized over the rows."""

    penalty: Penalty = field(default_factory=NoPenalty, metadata={"kinds": PENALTIES})
    """What is added to it for large coefficients."""

    path: PathSpec = field(default_factory=PathSpec)
    """The strengths of penalty.alpha = "path"; those of `tune` are in its table [tune]."""

    solver: Solver = field(default_factory=Auto, metadata={"kinds": SOLVERS})
    """How it is minimized."""

    stop: StopSpec = field(default_factory=StopSpec)
    """When the training ends."""

    inference: InferenceSpec = field(default_factory=InferenceSpec)
    """Which standard errors are reported."""

    checkpoint: CheckpointSpec = field(default_factory=CheckpointSpec)
    """When the state is saved."""

    def __post_init__(self) -> None:
        if not _SAFE_NAME.fullmatch(self.name):
            raise ValueError(
                "name must be a folder's name: up to 100 letters without accents, digits, and "
                f"._- but neither . nor - in the first place, got {self.name!r}"
            )
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be in [0, 2**63), got {self.seed}")
        if not self.data.path:
            raise ValueError(
                'data.path is missing; name the file to train on: path = "train.csv" under [data]'
            )


def _require_not_negative(spec: object, *names: str) -> None:
    """Raise ValueError for a field of `spec` that is negative, infinite or no number."""
    for name in names:
        value = getattr(spec, name)
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be a finite number, 0 or more, got {value}")
