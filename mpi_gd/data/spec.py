"""What a job says about its data: the table [data]."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mpi_gd.data.roles import NEEDED, ROLES, find_invalid

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
    .npz, HDF5, safetensors: the name of an array ("y" if empty), or a .npy file. .npy: the file of
    y, relative as `path` is."""

    weight: str | int = ""
    """How much each row counts: 0 or more; a row of weight 0 takes no part, though its cells must
    be valid. A column, named as the target is, that is no feature; none if empty."""

    offset: str | int = ""
    """What is added to each row's linear predictor, in predictions too. A column as `weight`."""

    exposure: str | int = ""
    """Time or size in which events were counted, above 0: its logarithm is added to the linear
    predictor of a model with log link, so that a prediction is for the row's own exposure. A column
    as `weight`."""

    trials: str | int = ""
    """Binomial loss: how many trials each row stands for; the target is the number of successes
    among them. A column as `weight`."""

    cluster: str | int = ""
    """Which rows are of one group, for cluster-robust standard errors: whole numbers, or text, as
    which those of a CSV file are compared. A column as `weight`."""

    class_weight: Literal["", "balanced"] | dict[str, float] = ""
    """How much the rows of each label count in the training, times their weight: a table of labels,
    1 for those it does not name; "balanced": the inverse of the label's share, by weight, of the
    rows that are trained on; "": all the same."""

    format: Literal["auto", "npy", "npz", "csv", "hdf5", "safetensors"] = "auto"
    """Format of the file; "auto" looks at its first bytes, then at its suffix."""

    features: str = "X"
    """.npz, HDF5, safetensors: the name of the array (n_samples, n_features); in HDF5 it may be a
    path, and a group of AnnData's with sparse rows."""

    missing_chunks: Literal["refuse", "fill"] = "refuse"
    """HDF5: what to do about parts of an array that were never written, as those of an
    incomplete copy: "fill" takes the number that the file gives for them, mostly 0."""

    header: Literal["auto", "yes", "no"] = "auto"
    """CSV: whether the first line names the columns; "auto" looks for numbers in it."""

    delimiter: str = ","
    """CSV: the character between two cells."""

    dtype: Literal["auto", "float64", "float32", "float16"] = "auto"
    """Type X is kept in; "auto" is the file's own float type if it has one (float32 for bfloat16),
    else float64. All sums are in float64; float16 takes a quarter of the memory, and longer."""

    test_fraction: float = 0.0
    """Share of the rows held out for the final evaluation, chosen by row number and seed."""

    test: str = ""
    """A file of the same format to evaluate on, instead of a share of the rows."""

    test_target: str = ""
    """.npy: the file of the test file's y."""

    test_files: dict[str, str] = field(default_factory=dict)
    """.npy: the test file's further files, by key, as in {weight = "test-weight.npy"}."""

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
        self._check_test_files()
        self._check_class_weight()
        plain = len(self.delimiter) == 1 and (
            self.delimiter.isprintable() or self.delimiter == "\t"
        )
        if not plain or not self.delimiter.isascii() or self.delimiter in '"' + _PARTS_OF_NUMBERS:
            raise ValueError(
                'delimiter must be one ASCII character that is no part of a number, as "," ";" or '
                f'"\\t", got {self.delimiter!r}'
            )

    @property
    def roles(self) -> dict[str, str | int]:
        """Return the columns, by role, that are given besides the target."""
        found = {role: getattr(self, role) for role in ROLES}
        return {role: column for role, column in found.items() if column != ""}

    @property
    def named_columns(self) -> dict[str, str | int]:
        """Return the target, which may be empty, and the columns that are given besides it."""
        return {"target": self.target, **self.roles}

    def with_columns(self, names: Mapping[str, str | int]) -> DataSpec:
        """Return the same with other columns, by role."""
        changed: dict[str, Any] = dict(names)
        return dataclasses.replace(self, **changed)

    def _check_test_files(self) -> None:
        """Raise ValueError unless a test file .npy has the files that scoring it takes."""
        needed = [role for role in self.roles if role in NEEDED["score"]]
        if not self.test.endswith(".npy"):
            needed = []
        if set(self.test_files) != set(needed):
            given = ", ".join(self.test_files) or "none"
            raise ValueError(
                "test_files must name a file for each of weight, offset, exposure and trials that "
                f"is used with a test file .npy, and nothing else, got {given}, expected "
                f"{', '.join(needed) or 'none'} with test = {self.test!r}"
            )

    def _check_class_weight(self) -> None:
        """Raise ValueError for a class's weight that is not positive, or absurd."""
        weights = self.class_weight
        for label, weight in weights.items() if isinstance(weights, dict) else ():
            if find_invalid("weight", np.array([weight])) is not None or not weight:
                raise ValueError(
                    f"class_weight of {label!r} must be a number from 1e-100 to 1e100, got {weight}"
                )
