"""What a job's [prepare] means for the columns that a table has, before any row is looked at."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from mpi_gd.data.columns import Column, Kind
from mpi_gd.data.names import suggest
from mpi_gd.errors import JobError
from mpi_gd.prepare.dates import part_of
from mpi_gd.prepare.spec import PrepareSpec
from mpi_gd.prepare.splines import probabilities

__all__ = ["Input", "Plan", "Variable", "make_plan", "split"]

T = TypeVar("T")
Use = Literal["number", "spline", "category", "hash"]

_NUMBERS = ("number", "boolean")


@dataclass(frozen=True)
class Input:
    """A column that is read."""

    name: str
    kind: Kind
    parts: tuple[str, ...] = ()
    """Of a date: what it becomes; each part is a column of numbers, as "when.month"."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the names of the columns that are prepared: its own, or those of its parts."""
        return tuple(f"{self.name}.{part}" for part in self.parts) or (self.name,)


@dataclass(frozen=True)
class Variable:
    """A column that is prepared: one that is read, or a part of a date; and how."""

    name: str
    input: str
    """The column that is read."""
    kind: Kind
    use: Use
    clip: tuple[float, float] | None = None
    winsorize: float = 0.0
    missing: str | float = "refuse"
    has_indicator: bool = False
    reference: str = "first"
    """A policy; or a level, if `has_level`."""
    has_level: bool = False
    bits: int = 0
    df: int = 0

    @property
    def counts_levels(self) -> bool:
        """Whether its levels are to be known."""
        return self.use == "category" or (self.use != "hash" and self.missing == "most frequent")

    @property
    def needs_mean(self) -> bool:
        """Whether the mean of its numbers is."""
        return self.use in ("number", "spline") and self.missing == "mean"

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Return which of its quantiles are."""
        found: list[float] = []
        if self.use in ("number", "spline"):
            found += [self.winsorize, 1.0 - self.winsorize] if self.winsorize else []
            found += [0.5] if self.missing == "median" else []
        found += [0.0, *probabilities(self.df), 1.0] if self.use == "spline" else []
        return tuple(dict.fromkeys(found))

    @property
    def is_learned(self) -> bool:
        """Whether rows must be looked at before features can be made."""
        return bool(
            self.counts_levels or self.needs_mean or self.probabilities or self.has_indicator
        )


@dataclass(frozen=True)
class Plan:
    """All that is to be done, the same on all ranks."""

    spec: PrepareSpec
    inputs: tuple[Input, ...]
    variables: tuple[Variable, ...]
    """In the order of the inputs."""
    interactions: tuple[tuple[str, ...], ...]

    @property
    def learned_inputs(self) -> tuple[Input, ...]:
        """Return the columns whose rows must be looked at."""
        learned = {variable.name for variable in self.variables if variable.is_learned}
        return tuple(each for each in self.inputs if learned & set(each.variables))


def make_plan(spec: PrepareSpec, columns: Sequence[str], kinds: Mapping[str, Kind]) -> Plan:
    """Return what `spec` means for the columns; raises JobError for what does not fit them."""
    parts = spec.dates if isinstance(spec.dates, dict) else {"*": spec.dates}
    inputs = tuple(_input(name, kinds[name], parts) for name in columns)
    names = [name for each in inputs for name in each.variables]
    wanted = _Wanted(spec, [*columns, *(name for name in names if name not in set(columns))])
    variables = [wanted.variable(name, each) for each in inputs for name in each.variables]
    return Plan(spec, inputs, tuple(variables), _interactions(spec.interactions, names))


def split(columns: Mapping[str, Column], inputs: Iterable[Input]) -> dict[str, Column]:
    """Return the columns that are prepared, dates in parts."""
    found: dict[str, Column] = {}
    for each in inputs:
        column = columns[each.name]
        if each.kind != "date":
            found[each.name] = column
        for name, part in zip(each.variables, each.parts, strict=False):
            values = part_of(column.values, column.missing, part)
            found[name] = Column("number", values, column.missing)
    return found


def _input(name: str, kind: Kind, parts: Mapping[str, list[str]]) -> Input:
    """Return a column as it is read."""
    if kind != "date":
        return Input(name, kind)
    chosen = _lookup(parts, name)
    if not chosen:
        raise JobError(
            f'column {name!r} holds dates: name the parts to use, as in dates = ["year", "month"] '
            f'under [prepare], or leave it out: exclude = ["{name}"] under [data]'
        )
    return Input(name, kind, tuple(chosen))


class _Wanted:
    """Looks up what a job says about a column."""

    def __init__(self, spec: PrepareSpec, names: Sequence[str]) -> None:
        """Check that each name that is given is one of a column; raises JobError."""
        self._spec = spec
        self._listed = [] if isinstance(spec.categorical, str) else spec.categorical
        tables: dict[str, Iterable[str]] = {
            key: table
            for key, table in vars(spec).items()
            if isinstance(table, dict) and key != "dates"
        }
        for key, table in {**tables, "categorical": self._listed}.items():
            for pattern in table:
                if not any(_matches(pattern, name) for name in names):
                    raise JobError(
                        f"prepare.{key}: no column is called {pattern!r}; {suggest(pattern, names)}"
                    )

    def variable(self, name: str, given: Input) -> Variable:
        """Return how a column is prepared; raises JobError where that cannot be."""
        spec, kind = self._spec, given.kind
        if kind == "date":
            kind = "number"
        use = self._use(name, kind)
        is_number = use in ("number", "spline")
        missing, has_own = self._missing(name, given)
        if is_number and missing == "level" and has_own:
            raise JobError(f'prepare.missing: {name!r} is a number, and "level" is for categories')
        if use == "category" and missing not in ("refuse", "most frequent"):
            missing = "level"
        if use == "hash" and missing != "refuse":
            missing = "level"
        clip = self._of_numbers("clip", spec.clip, name, use)
        reference, has_level = self._reference(name)
        is_first = name == given.variables[0]
        return Variable(
            name,
            given.name,
            kind,
            use,
            clip=(clip[0], clip[1]) if clip else None,
            winsorize=self._of_numbers("winsorize", spec.winsorize, name, use) or 0.0,
            missing=missing,
            has_indicator=spec.indicator and is_number and missing != "refuse" and is_first,
            reference=reference,
            has_level=has_level,
            bits=_lookup(spec.hash, name) or 0 if use == "hash" else 0,
            df=_lookup(spec.splines, name) or 0 if use == "spline" else 0,
        )

    def _use(self, name: str, kind: Kind) -> Use:
        """Return what becomes of a column."""
        spec = self._spec
        exact: list[Use] = []
        exact += ["hash"] if name in spec.hash else []
        exact += ["spline"] if name in spec.splines else []
        exact += ["category"] if name in self._listed else []
        if len(exact) > 1:
            raise JobError(f"prepare: {name!r} is named for {' and '.join(exact)}; choose one")
        chosen: list[Use] = exact
        chosen += ["hash"] if _lookup(spec.hash, name) else []
        chosen += ["spline"] if _lookup(spec.splines, name) and kind in _NUMBERS else []
        chosen += ["category"] if any(_matches(each, name) for each in self._listed) else []
        chosen += ["category"] if spec.categorical == "auto" and kind == "text" else []
        if not chosen and kind == "text":
            raise JobError(
                f'column {name!r} holds text: make it categories, as in categorical = "auto" or '
                f'hash = {{"{name}" = 18}} under [prepare], or leave it out: exclude = ["{name}"] '
                "under [data]"
            )
        if chosen and chosen[0] == "spline" and kind == "text":
            raise JobError(f"prepare.splines: column {name!r} holds text, expected numbers")
        return chosen[0] if chosen else "number"

    def _of_numbers(self, key: str, table: Mapping[str, T], name: str, use: Use) -> T | None:
        """Return what a table that is for numbers says."""
        if use in ("number", "spline"):
            return _lookup(table, name)
        if name in table:
            raise JobError(f"prepare.{key}: {name!r} becomes categories, expected numbers")
        return None

    def _missing(self, name: str, given: Input) -> tuple[str | float, bool]:
        """Return what fills gaps, and whether that is said of this column by name."""
        missing = self._spec.missing
        if not isinstance(missing, dict):
            return missing, False
        own = _lookup(missing, name)
        if own is None and name != given.name:
            own = _lookup(missing, given.name)
        return ("refuse" if own is None else own), name in missing

    def _reference(self, name: str) -> tuple[str, bool]:
        """Return the policy for the reference, or the level and True."""
        reference = self._spec.reference
        if isinstance(reference, str):
            return reference, False
        own = _lookup(reference, name)
        return ("first", False) if own is None else (own, True)


def _interactions(given: Sequence[str], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the products' columns; raises JobError for one that is none."""
    known, found = set(names), []
    for text in given:
        factors = tuple(text.split(":"))
        for factor in factors:
            if factor not in known:
                raise JobError(
                    f"prepare.interactions: {text!r}: no column is called {factor!r}; "
                    f"{suggest(factor, names)}"
                )
        if factors in found:
            raise JobError(f"prepare.interactions: {text!r} is there twice; remove one")
        found.append(factors)
    return tuple(found)


def _matches(pattern: str, name: str) -> bool:
    """Whether a name is meant by a pattern, of which * and ? are special."""
    return pattern == name or fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def _lookup(table: Mapping[str, T], name: str) -> T | None:
    """Return what a table says of a name: under the name itself, else under a pattern."""
    if name in table:
        return table[name]
    return next((value for key, value in table.items() if _matches(key, name)), None)
