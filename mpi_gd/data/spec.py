"""What a job says about its data: the table [data]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DataSpec"]

# A delimiter among these would make a number ambiguous.
_PARTS_OF_NUMBERS = "0123456789+-.eE"


@dataclass(frozen=True)
class DataSpec:
    """Name a data set and how to read it; the fields are the keys of the table [data].

    Raises ValueError, beginning with the field's name, for a value that can mean nothing.
    """

    path: str = ""
    """File to read, relative to the job file's folder. With .npy: the file of X."""

    target: str | int = ""
    """What to learn. CSV: the name of a column, or its number (the first is 0, the last is -1).
    .npz: the name of an array ("y" if empty). .npy: the file of y, relative as `path` is."""

    format: Literal["auto", "npy", "npz", "csv"] = "auto"
    """Format of the file; "auto" looks at its first bytes, then at its suffix."""

    features: str = "X"
    """.npz: the name of the array (n_samples, n_features)."""

    header: Literal["auto", "yes", "no"] = "auto"
    """CSV: whether the first line names the columns; "auto" looks for numbers in it."""

    delimiter: str = ","
    """CSV: the character between two cells."""

    dtype: Literal["auto", "float64", "float32"] = "auto"
    """Type X is kept in; "auto" is the file's own float type if it has one, else float64."""

    test_fraction: float = 0.0
    """Share of the rows held out for the final evaluation, chosen by row number and seed."""

    test: str = ""
    """A file of the same format to evaluate on, instead of a share of the rows."""

    test_target: str = ""
    """.npy: the file of the test file's y."""

    standardize: bool = False
    """Train on columns shifted and scaled to mean 0 and deviation 1; coefficients are reported
    on the original scale."""

    def __post_init__(self) -> None:
        if self.delimiter == "\\t":
            # As a shell passes it on.
            object.__setattr__(self, "delimiter", "\t")
        if not 0 <= self.test_fraction < 1:
            raise ValueError(f"test_fraction must be in [0, 1), got {self.test_fraction}")
        if self.test and self.test_fraction:
            raise ValueError(
                f"test is {self.test!r} and test_fraction is {self.test_fraction}: expected one "
                "of them; remove the other"
            )
        if self.test.endswith(".npy") != bool(self.test_target):
            raise ValueError(
                f"test_target must be the file of y for a test file .npy, and for no other, got "
                f"{self.test_target!r} with test = {self.test!r}"
            )
        plain = len(self.delimiter) == 1 and (
            self.delimiter.isprintable() or self.delimiter == "\t"
        )
        if not plain or not self.delimiter.isascii() or self.delimiter in '"' + _PARTS_OF_NUMBERS:
            raise ValueError(
                'delimiter must be one ASCII character that is no part of a number, as "," ";" or '
                f'"\\t", got {self.delimiter!r}'
            )
