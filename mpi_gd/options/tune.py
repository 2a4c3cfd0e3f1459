"""Arguments of `tune`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from mpi_gd.options.fields import CHECK, JOB, PROGRESS, REPLACE, RUN_FOLDER, SET_JOB

__all__ = ["TuneOptions"]


@dataclass(frozen=True)
class TuneOptions:
    """Choose keys of a job by cross-validation, and train the best."""

    command: ClassVar[str] = "tune"
    needs_world: ClassVar[bool] = True
    examples: ClassVar[str] = """\
  mpirun -n 8 python -m mpi_gd tune JOB.toml
  mpirun -n 8 python -m mpi_gd tune JOB.toml --set tune.folds=10 --set tune.metric=auc
  python -m mpi_gd tune JOB.toml --set 'space.penalty.l1_ratio=[0.5, 0.9, 1.0]'

The job file has two tables more than for `train`, which passes over them:

  [tune]                             # each key has a default: tune --keys
  folds = 5
  [space]                            # without it: "penalty.alpha" = "path"
  "penalty.alpha" = "path"           # 100 strengths, from the least at which all is 0 down
  "penalty.l1_ratio" = [0.5, 1.0]    # values
  "solver.step" = {low = 1e-3, high = 1.0, log = true, steps = 7}

In the run's folder: results.csv with all candidates, candidates.jsonl with all their scores, and
what `train` writes for the best one, which is trained on all rows.
"""

    job: str = field(metadata=JOB)
    overrides: tuple[str, ...] = field(
        default=(),
        metadata={
            **SET_JOB,
            "help": "change a key, as in tune.folds=10 or space.solver.step=[0.1,1]; may come "
            "several times",
        },
    )
    out: str = field(default="", metadata=RUN_FOLDER)
    resume: bool = field(
        default=False,
        metadata={
            "group": "the run",
            "help": "go on with a search, on any number of ranks: what is finished is kept",
        },
    )
    check: bool = field(default=False, metadata=CHECK)
    force: bool = field(default=False, metadata=REPLACE)
    progress: Literal["auto", "live", "lines", "none"] = field(default="auto", metadata=PROGRESS)

    def __post_init__(self) -> None:
        if self.resume and self.force:
            raise ValueError("got --resume and --force, expected one: go on with a run or replace")
