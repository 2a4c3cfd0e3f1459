"""What a job says about its data: the table [data]."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mpi_gd.data.roles import NEEDED, ROLES, find_invalid, is_file

__all__ = ["MOST_FEATURES", "DataSpec"]

# The coefficients, and a name for each, are on every rank.
MOST_FEATURES = 1 << 24

# A delimiter among these would make a number ambiguous.
_PARTS_OF_NUMBERS = "0123456789+-.eE"


@dataclass(frozen=True)
class DataSpec:
    """Name a data set and how to read it; the fields are the keys of the table [data].

    Raises ValueError, beginning with the field's name, for a value that can mean nothing.
    """

    path: str | list[str] = ""
    """File to read, relative to the job file's folder. With .npy: the file of X. Or shards of one
    format that are one data set: a list of files in their order; a folder, or a pattern as in
    "data/*.csv" (** for any folders), whose files are taken in the order of their paths, as plain
    text. Files and folders in it whose names begin with . or _, and .crc files, are passed over."""

    target: str | int | list[str] = ""
    """What to learn. CSV: the name of a column, or its number (the first is 0, the last is -1).
    .npz, HDF5, Zarr, safetensors: the name of an array ("y" if empty), or a .npy file. .npy: the
    file of y, relative as `path` is; with shards a list of files or a pattern, one file for each
    shard, in their order."""

    weight: str | int | list[str] = ""
    """How much each row counts: 0 or more; a row of weight 0 takes no part, though its cells must
    be valid. A column, named as the target is, that is no feature; none if empty."""

    offset: str | int | list[str] = ""
    """What is added to each row's linear predictor, in predictions too. A column as `weight`."""

    exposure: str | int | list[str] = ""
    """Time or size in which events were counted, above 0: its logarithm is added to the linear
    predictor of a model with log link, so that a prediction is for the row's own exposure. A column
    as `weight`."""

    trials: str | int | list[str] = ""
    """Binomial loss: how many trials each row stands for; the target is the number of successes
    among them. A column as `weight`."""

    cluster: str | int | list[str] = ""
    """Which rows are of one group, for cluster-robust standard errors: whole numbers, or text, as
    which those of a CSV file are compared. A column as `weight`."""

    class_weight: Literal["", "balanced"] | dict[str, float] = ""
    """How much the rows of each label count in the training, times their weight: a table of labels,
    1 for those it does not name; "balanced": the inverse of the label's share, by weight, of the
    rows that are trained on; "": all the same."""

    format: Literal[
        "auto", "npy", "npz", "csv", "parquet", "arrow", "hdf5", "zarr", "safetensors", "libsvm"
    ] = "auto"
    """Format of the file; "auto" looks at its first bytes, then at its suffix."""

    features: str = "X"
    """.npz, HDF5, Zarr, safetensors: the name of the array (n_samples, n_features); in HDF5 and
    Zarr it may be a path, and a group of AnnData's with sparse rows."""

    missing_chunks: Literal["refuse", "fill"] = "refuse"
    """HDF5, Zarr: what to do about parts of an array that were never written, as those of an
    incomplete copy: "fill" takes the number that the file gives for them, mostly 0."""

    header: Literal["auto", "yes", "no"] = "auto"
    """CSV: whether the first line names the columns; "auto" looks for numbers in it."""

    delimiter: str = "auto"
    """CSV: the character between two cells; "auto" is a tab in files called .tsv, else a comma."""

    include: list[str] = field(default_factory=list)
    """Names of the columns that are features, or patterns as in "x*"; all others are not read.
    Empty: all that are not excluded."""

    exclude: list[str] = field(default_factory=list)
    """Names of columns that are no features, or patterns; in tables they may hold anything."""

    text: list[str] = field(default_factory=list)
    """CSV: names of columns, or patterns, that hold text though it looks like numbers, as codes
    with zeros in front."""

    n_features: int = 0
    """LIBSVM: how many features there are; 0: as many as the largest index in any file tells, and
    of data that a model is applied to, as many as it has."""

    index_base: Literal["auto", 0, 1] = "auto"
    """LIBSVM: the index of the first feature; "auto": 0 if an index 0 is in any file, else 1, as
    in scikit-learn. A feature is called by its index: x1, x2, ... Numbers of queries (qid:) and
    what follows # are passed over."""

    dtype: Literal["auto", "float64", "float32", "float16"] = "auto"
    """Type X is kept in; "auto" is the file's own float type if it has one (float32 for bfloat16),
    else float64. All sums are in float64; float16 takes a quarter of the memory, and longer."""

    test_fraction: float = 0.0
    """Share of the rows held out for the final evaluation, chosen by row number and seed."""

    test: str | list[str] = ""
    """A file of the same format to evaluate on, instead of a share of the rows; or shards, as
    `path`."""

    test_target: str | list[str] = ""
    """.npy, or where `target` is a .npy file: the file of the test file's y; or as many as there
    are shards."""

    test_files: dict[str, str] = field(default_factory=dict)
    """.npy: the test file's further files, by key, as in {weight = "test-weight.npy"}."""

    balance: Literal["auto", "rows", "bytes", "nonzeros"] = "auto"
    """What the ranks are to have alike: rows, bytes of X, or numbers that a sparse X stores;
    "auto": rows, or bytes where X is sparse. The model is the same, bit for bit, in any case."""

    memory: Literal["auto", "map", "keep", "stream"] = "auto"
    """Where X is: "map": in a map of its file where that can be used as it is, else in memory;
    "keep": in memory; "stream": on a disk, to be read again with every pass, ahead of the
    computing, a few MiB at a time. "auto": "map" on a rank whose rows fit into the memory that it
    may take, else "stream". The model is the same, bit for bit, in any case."""

    scratch: str = ""
    """A folder on a disk of the host where rows are put aside for "stream" that cannot be read from
    their file as they are (text, compressed, another type); the temporary one ($TMPDIR) if
    empty. Nothing is left there."""

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
        if self._has_file_for_test("target") != bool(self.test_target):
            raise ValueError(
                "test_target must be the file of y for a test file .npy, or where target is a .npy "
                f"file, and for no other, got {self.test_target!r} with test = {self.test!r}"
            )
        if not 0 <= self.n_features <= MOST_FEATURES:
            raise ValueError(f"n_features must be from 0 to {MOST_FEATURES}, got {self.n_features}")
        self._check_test_files()
        self._check_class_weight()
        self._check_delimiter()

    @property
    def roles(self) -> dict[str, str | int]:
        """Return the columns, by role, that are given besides the target; of a list the first."""
        found = {role: _first(getattr(self, role)) for role in ROLES}
        return {role: column for role, column in found.items() if column != ""}

    @property
    def named_columns(self) -> dict[str, str | int]:
        """Return the target, which may be empty, and the columns that are given besides it."""
        return {"target": _first(self.target), **self.roles}

    @property
    def shown_path(self) -> str:
        """Return the path for messages; of a list the first."""
        if isinstance(self.path, str) or len(self.path) < 2:
            return str(_first(self.path))
        return f"{self.path[0]} and {len(self.path) - 1} more"

    def with_columns(self, names: Mapping[str, str | int | list[str]]) -> DataSpec:
        """Return the same with other columns, by role."""
        changed: dict[str, Any] = dict(names)
        return dataclasses.replace(self, **changed)

    def as_trained(self, columns: Sequence[str]) -> DataSpec:
        """Return how to read other LIBSVM files for a model of these columns.

        Of which features there are, and from where they count, other files may tell less.
        """
        base = self.index_base
        if base == "auto" and columns[0] == "x1":
            base = 1
        elif base == "auto" and columns[0] == "x0" and self.format == "libsvm":
            base = 0
        n = self.n_features or len(columns)
        return dataclasses.replace(self, n_features=n, index_base=base)

    def _has_file_for_test(self, role: str) -> bool:
        """Whether a role of the test file's rows is in a file of its own."""
        column = getattr(self, role)
        return bool(self.test) and (is_file(_first(self.test)) or is_file(_first(column)))

    def _check_test_files(self) -> None:
        """Raise ValueError unless a test file has the files that scoring it takes."""
        needed = [role for role in self.roles if role in NEEDED["score"]]
        needed = [role for role in needed if self._has_file_for_test(role)]
        if set(self.test_files) != set(needed):
            given = ", ".join(self.test_files) or "none"
            raise ValueError(
                "test_files must name a file for each of weight, offset, exposure and trials that "
                f"is used with a test file .npy, and nothing else, got {given}, expected "
                f"{', '.join(needed) or 'none'} with test = {self.test!r}"
            )

    def _check_delimiter(self) -> None:
        """Raise ValueError for a delimiter that would make a number ambiguous."""
        if self.delimiter == "auto":
            return
        plain = len(self.delimiter) == 1 and (
            self.delimiter.isprintable() or self.delimiter == "\t"
        )
        if not plain or not self.delimiter.isascii() or self.delimiter in '"' + _PARTS_OF_NUMBERS:
            raise ValueError(
                'delimiter must be one ASCII character that is no part of a number, as "," ";" or '
                f'"\\t", got {self.delimiter!r}'
            )

    def _check_class_weight(self) -> None:
        """Raise ValueError for a class's weight that is not positive, or absurd."""
        weights = self.class_weight
        for label, weight in weights.items() if isinstance(weights, dict) else ():
            if find_invalid("weight", np.array([weight])) is not None or not weight:
                raise ValueError(
                    f"class_weight of {label!r} must be a number from 1e-100 to 1e100, got {weight}"
                )


def _first(given: str | int | list[str]) -> str | int:
    """Return what is given, or the first of a list; empty if there is none."""
    if isinstance(given, list):
        return given[0] if given else ""
    return given
