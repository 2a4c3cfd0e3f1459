"""Metadata of arguments that several commands have."""

from __future__ import annotations

from typing import Any, Final

__all__ = [
    "ALPHA",
    "CHECK",
    "DATA",
    "FORCE",
    "JOB",
    "JSON",
    "MODEL",
    "NO_ALPHA",
    "PROGRESS",
    "REPLACE",
    "RUN_FOLDER",
    "SET_DATA",
    "SET_JOB",
    "require_alpha",
]

# Of which the `group` is what an argument is listed in, and the `flag` stands in place of --NAME.
Metadata = dict[str, Any]

MODEL: Final[Metadata] = {
    "flag": "",
    "metavar": "MODEL",
    "group": "input",
    "help": "a model.npz of a run's folder",
}
DATA: Final[Metadata] = {
    "flag": "",
    "metavar": "DATA",
    "group": "input",
    "help": "a file of a format that is read; or a folder of them, or a pattern in quotes",
}
SET_DATA: Final[Metadata] = {
    "flag": "--set",
    "metavar": "KEY=VALUE",
    "group": "input",
    "help": "how to read the data, as in header=no: a key of a job's table [data]; may come "
    "several times",
}
# For the model's own strength.
NO_ALPHA: Final = -1.0

ALPHA: Final[Metadata] = {
    "metavar": "ALPHA",
    "group": "input",
    "help": "take the model for this strength of the penalty from the path that the model's file "
    "has, and between two the mixture of both (default: the model that was chosen)",
}
JOB: Final[Metadata] = {
    "flag": "",
    "metavar": "JOB.toml",
    "group": "the job",
    "help": "the job file",
}
SET_JOB: Final[Metadata] = {
    "flag": "--set",
    "metavar": "KEY=VALUE",
    "group": "the job",
    "help": "change a key of the job, as in solver.step=0.1; may come several times",
}
RUN_FOLDER: Final[Metadata] = {
    "metavar": "FOLDER",
    "group": "the run",
    "help": "the run's folder (default: runs/NAME by the job's name, or runs/NAME-2 ...)",
}
CHECK: Final[Metadata] = {
    "group": "the run",
    "help": "read and check the job and its data, then stop",
}
REPLACE: Final[Metadata] = {
    "group": "the run",
    "help": "replace the run that is in the folder",
}
PROGRESS: Final[Metadata] = {
    "group": "the run",
    "help": 'a live line, log lines or nothing; "auto" is live on a terminal, else lines '
    "(default: auto)",
}
FORCE: Final[Metadata] = {"group": "output", "help": "replace the files that are there"}
JSON: Final[Metadata] = {"group": "output", "help": "print JSON instead of a table"}


def require_alpha(alpha: float) -> None:
    """Raise ValueError for a strength that is none."""
    if alpha != NO_ALPHA and not 0 <= alpha < float("inf"):
        raise ValueError(f"--alpha must be 0 or more, got {alpha}")
