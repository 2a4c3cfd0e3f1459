"""What a search is: the tables [tune] and [space] of a job file, beside the job itself.

[tune]
folds = 5

[space]
"penalty.alpha" = "path"
"penalty.l1_ratio" = [0.5, 0.9, 1.0]
"solver.step" = {low = 1e-3, high = 1.0, log = true}
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mpi_gd.config.build import Builder
from mpi_gd.config.dump import literal
from mpi_gd.config.job import Job
from mpi_gd.config.keys import describe_keys
from mpi_gd.config.lines import line_numbers, load
from mpi_gd.config.overrides import apply_overrides, parse_override
from mpi_gd.config.parse import parse_job
from mpi_gd.config.schema import keys_of
from mpi_gd.config.values import show, toml_value
from mpi_gd.errors import JobError

__all__ = ["PATH_KEY", "Range", "SearchJob", "TuneSpec", "describe_tune", "parse_search"]

PATH_KEY = "penalty.alpha"
_PATH = "path"
_SOME = 1e-4
_KEY = re.compile(r"[a-z_]\w*(\.\w+)?")
# What a search is about cannot differ between its candidates.
_FIXED = (
    *("name", "seed", "reduction", "fault_tolerance", "data.path", "data.target", "data.weight"),
    *("data.test", "data.test_target", "data.test_fraction", "data.cluster", "data.format"),
)
_MOST_VALUES = 10_000


@dataclass(frozen=True)
class TuneSpec:
    """How candidates are made and compared; the fields are the keys of the table [tune]."""

    search: Literal["grid", "random", "halving"] = "grid"
    """"grid": every combination of the values of [space]; "random": so many draws from it;
    "halving": such draws on a share of the rows first, of which the best go on to more rows."""

    candidates: int = 60
    """With "random" and "halving": how many combinations are drawn."""

    factor: float = 3.0
    """With "halving": one of so many candidates goes on, to so many times the rows."""

    split: Literal["random", "stratified", "grouped", "time", "fixed"] = "random"
    """How rows are divided: by a hash of seed and row number; that, with each label's share alike;
    rows of one value of `data.cluster` together; by row number, so that each part is judged by what
    came before it; "fixed": one part of all rows, that is left out of the training."""

    folds: int = 5
    """Parts that are left out in turn, 2 or more."""

    repeats: int = 1
    """How often the rows are divided anew and everything done again."""

    fraction: float = 0.2
    """With split = "fixed": the share of the rows that candidates are judged by."""

    metric: str = "loss"
    """What candidates are judged by: "loss", the mean loss of the rows that were left out, or the
    name of a metric as `evaluate --json` gives it."""

    choose: Literal["best", "1se"] = "best"
    """"1se": the strongest penalty.alpha whose score is within one standard error of the best, of
    those that are like the best in all else."""

    n_alphas: int = 100
    """Values of a path of penalty.alpha."""

    eps: float = 1e-3
    """The last value of a path, as a share of the first."""

    results: Literal["csv", "parquet"] = "csv"
    """Format of the table of all candidates in the run's folder."""

    groups: int = 0
    """Groups of ranks, which work on candidates side by side; 0: as many as pay."""

    def __post_init__(self) -> None:
        _require(self.candidates >= 1, f"candidates must be 1 or more, got {self.candidates}")
        _require(1 < self.factor < math.inf, f"factor must be more than 1, got {self.factor}")
        _require(2 <= self.folds <= 1000, f"folds must be from 2 to 1000, got {self.folds}")
        _require(1 <= self.repeats <= 1000, f"repeats must be from 1 to 1000, got {self.repeats}")
        _require(0 < self.fraction < 1, f"fraction must be in (0, 1), got {self.fraction}")
        _require(
            self.repeats == 1 or self.split in ("random", "stratified", "grouped"),
            f'repeats must be 1 with split = "{self.split}", which is always the same, got '
            f"{self.repeats}",
        )
        _require(
            2 <= self.n_alphas <= _MOST_VALUES,
            f"n_alphas must be from 2 to {_MOST_VALUES}, got {self.n_alphas}",
        )
        _require(0 < self.eps < 1, f"eps must be in (0, 1), got {self.eps}")
        _require(self.groups >= 0, f"groups must be 0 or more, got {self.groups}")


@dataclass(frozen=True)
class Range:
    """An axis of numbers between two; drawn evenly, or their logarithms are."""

    low: float
    high: float
    log: bool = False
    steps: int = 10
    """Values of a grid."""
    whole: bool = False

    def at(self, share: float) -> float | int:
        """Return the number at a share of the way, in [0, 1]."""
        if self.log:
            value = self.low * math.pow(self.high / self.low, share)
        else:
            value = self.low + (self.high - self.low) * share
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else value

    def values(self) -> list[float | int]:
        """Return the values of a grid, each once."""
        shares = (k / max(1, self.steps - 1) for k in range(self.steps))
        return list(dict.fromkeys(self.at(share) for share in shares))


@dataclass(frozen=True)
class SearchJob:
    """A job file with a search: how to make a job of each candidate."""

    tune: TuneSpec
    space: Mapping[str, list[Any] | Range | Literal["path"]]
    """By dotted key of the job: its values, a range, or for penalty.alpha a path."""
    text: str
    name: str
    overrides: tuple[str, ...]
    """Of the job alone."""
    _jobs: dict[str, Job] = field(default_factory=dict, repr=False, compare=False)

    def job(self, values: Mapping[str, Any]) -> Job:
        """Return the job with these values; raises JobError that names the candidate."""
        items = [f"{key}={literal(value)}" for key, value in values.items()]
        made = self._jobs.get(";".join(items))
        if made is None:
            made = parse_job(self.text, self.name, (*self.overrides, *items))
            if getattr(made.penalty, "alpha", None) == _PATH:
                # What the path is of: a strength comes with each candidate.
                penalty: Any = made.penalty
                made = replace(made, penalty=replace(penalty, alpha=_SOME))
            self._jobs[";".join(items)] = made
        return made

    def dump(self) -> str:
        """Return [tune] and [space] as TOML."""
        lines = ["[tune]"]
        lines += [f"{key} = {literal(getattr(self.tune, key))}" for key in keys_of(TuneSpec)]
        lines += ["", "[space]"]
        for key, axis in self.space.items():
            value = vars(axis) if isinstance(axis, Range) else axis
            lines.append(f"{literal(key)} = {literal(value)}")
        return "\n".join(lines) + "\n"


def parse_search(text: str, name: str = "job.toml", overrides: Iterable[str] = ()) -> SearchJob:
    """Parse a job file with [tune] and [space], changed by overrides such as "tune.folds=10".

    Without [space], and where penalty.alpha is "path", the penalty's strength is sought along a
    path. Raises JobError as `parse_job` does.
    """
    text = text.removeprefix("\ufeff")
    items = list(overrides)
    of_space = [item for item in items if item.startswith("space.")]
    of_tune = [item for item in items if item.startswith("tune.")]
    others = tuple(item for item in items if item not in of_space and item not in of_tune)
    document = load(text, name)
    changes = [parse_override(item) for item in of_tune]
    tables = {"tune": document.get("tune", {})}
    apply_overrides(tables, changes, {})
    tune = Builder(_TuneOnly, text, name, changes).build(tables).tune
    space = _axes(document.get("space", {}), text, name)
    for item in of_space:
        key, equals, value = item.removeprefix("space.").partition("=")
        key = key.strip().strip("\"'")
        if not equals:
            raise JobError(f"--set {item}: expected KEY=VALUE, as in space.penalty.alpha=[0.1, 1]")
        space[key] = _axis(key, toml_value(value), f"--set {item}")
    # Of another kind of penalty there is no such key.
    given = parse_job(text, name, others).penalty
    if not space or (getattr(given, "alpha", None) == _PATH and PATH_KEY not in space):
        space[PATH_KEY] = _PATH
    search = SearchJob(tune, space, text, name, others)
    _check(search)
    return search


def describe_tune() -> str:
    """Return a text with each key of the table [tune]."""
    return describe_keys(_TuneOnly, "The keys of the table [tune], each with its default.\n")


@dataclass(frozen=True)
class _TuneOnly:
    """A document of the table [tune] alone."""

    tune: TuneSpec = field(default_factory=TuneSpec)
    """How candidates are made and compared."""


def _axes(table: Any, text: str, name: str) -> dict[str, Any]:
    """Return the axes of the table [space], whose keys may be dotted or quoted."""
    lines = line_numbers(text)
    if not isinstance(table, dict):
        raise JobError(f"{name}: space: got {show(table)}, expected a table [space]")
    found: dict[str, Any] = {}
    for outer, value in table.items():
        nested = isinstance(value, dict) and "." not in outer and "low" not in value
        for inner, axis in value.items() if nested else [("", value)]:
            key = f"{outer}.{inner}" if nested else outer
            path = ("space", outer, inner) if nested else ("space", outer)
            line = next((lines[path[:end]] for end in (3, 2, 1) if path[:end] in lines), None)
            found[key] = _axis(key, axis, f"{name}:{line}" if line else name)
    return found


def _axis(key: str, value: Any, where: str) -> list[Any] | Range | Literal["path"]:
    """Return an axis; raises JobError."""
    if not _KEY.fullmatch(key):
        raise JobError(
            f'{where}: space: got the key {key!r}, expected a key of the job, as "solver.step"'
        )
    if key in _FIXED:
        raise JobError(
            f"{where}: space: {key} is the same for all candidates; remove it from [space]"
        )
    if value == _PATH and key == PATH_KEY:
        return "path"
    if isinstance(value, dict):
        return _range(key, value, where)
    if not isinstance(value, list) or not value:
        raise JobError(
            f"{where}: space.{key}: got {show(value)}, expected a list of values, or a range as in "
            "{low = 0.001, high = 1.0, log = true}" + (', or "path"' if key == PATH_KEY else "")
        )
    if len(value) > _MOST_VALUES:
        raise JobError(f"{where}: space.{key}: got {len(value)} values, expected {_MOST_VALUES}")
    if key == PATH_KEY and _PATH in value:
        raise JobError(
            f'{where}: space.{key}: got a list with "path", expected numbers, or "path" alone'
        )
    unique = [each for place, each in enumerate(value) if each not in value[:place]]
    return unique


def _range(key: str, table: dict[str, Any], where: str) -> Range:
    """Return a range; raises JobError."""
    low, high = table.get("low"), table.get("high")
    known = {"low", "high", "log", "steps", "whole"}
    numbers = all(isinstance(n, int | float) and not isinstance(n, bool) for n in (low, high))
    is_good = numbers and not table.keys() - known and math.isfinite(low) and math.isfinite(high)  # type: ignore[arg-type]
    log, steps = table.get("log", False), table.get("steps", 10)
    is_good = is_good and isinstance(log, bool) and type(steps) is int
    if not (is_good and low < high and 1 <= steps <= _MOST_VALUES and (low > 0 or not log)):  # type: ignore[operator]
        raise JobError(
            f"{where}: space.{key}: got {literal(table) if table else 'an empty table'}, expected "
            "low and high, low less than high (and above 0 with log = true), and of log = true, "
            "steps = 10, whole = true what is wanted"
        )
    is_whole = bool(table.get("whole", isinstance(low, int) and isinstance(high, int)))
    return Range(float(low), float(high), log, steps, is_whole)  # type: ignore[arg-type]


def _check(search: SearchJob) -> None:
    """Build a job for each value of each axis: mistakes are to show before anything is read."""
    first: dict[str, Any] = {}
    for key, axis in search.space.items():
        if isinstance(axis, list):
            first[key] = axis[0]
        elif isinstance(axis, Range):
            first[key] = axis.at(0.0)
    # A kind comes with the keys that it alone has.
    for key, axis in search.space.items():
        if axis == _PATH:
            continue
        for value in axis.values() if isinstance(axis, Range) else axis:
            search.job({**first, key: value})


def _require(is_good: bool, message: str) -> None:
    """Raise ValueError."""
    if not is_good:
        raise ValueError(message)
