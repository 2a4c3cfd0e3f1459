"""What can go wrong, as exceptions: each message says what was got, what was expected, what to do.

An `MpiGdError` is the user's to mend and is printed as one line. Any other exception is a defect
of the program and is printed as a traceback.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "DataError",
    "Diverged",
    "FileError",
    "GapError",
    "JobError",
    "LauncherError",
    "ModelError",
    "MpiGdError",
    "NoRowsError",
    "OutOfStep",
    "RankLost",
]


class MpiGdError(Exception):
    """Base of all errors that are reported in one line."""

    # Exit status of a program that this error ends; the same on all ranks.
    exit_code: ClassVar[int] = 2

    def __str__(self) -> str:
        """Return the message; what a terminal would obey rather than show is escaped."""
        text = super().__str__()
        if text.isprintable():
            return text
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class JobError(MpiGdError, ValueError):
    """Report a mistake in a job file or on the command line."""


class LauncherError(JobError):
    """Report that the launcher and MPI do not fit: each process may believe it is alone."""


class DataError(MpiGdError, ValueError):
    """Report bad content of a data file; the message begins with file:line:column when known."""


class GapError(DataError):
    """Report a missing value among features that are to be numbers: whoever loads counts them."""


class NoRowsError(DataError):
    """Report a data file that is whole, and has no rows: among other files it may be."""


class FileError(MpiGdError, OSError):
    """Report a file that is missing, unreadable or cannot be written."""


class ModelError(MpiGdError, ValueError):
    """Report a bad model file, or a model that does not fit the data it is given."""


class Diverged(MpiGdError, ArithmeticError):
    """Report that the objective left the finite numbers."""

    exit_code = 3


class RankLost(Exception):
    """Report that a rank has died, from a collective that it took no part in.

    The communicator is of no use until the ranks that are left have recovered.
    """


class OutOfStep(MpiGdError, RuntimeError):
    """Report that the ranks, which must compute the same numbers, no longer do."""

    exit_code = 1
