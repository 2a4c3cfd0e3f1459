"""What has been learned, and the one way in which it is applied, in training and in prediction.

A recipe is all that raw rows need to become features: it is a part of the model, as JSON.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.columns import Column
from mpi_gd.errors import JobError, ModelError
from mpi_gd.prepare.categories import Category, Hashed
from mpi_gd.prepare.encoder import Encoder
from mpi_gd.prepare.numeric import Indicator, Number, Spline
from mpi_gd.prepare.plan import Input, split
from mpi_gd.prepare.refused import Refusals, Refused, first_of
from mpi_gd.prepare.terms import Term, product

__all__ = ["ENCODERS", "RECIPE_VERSION", "Recipe", "put", "refuse"]

RECIPE_VERSION = 1
ENCODERS: dict[str, type[Encoder]] = {
    "number": Number,
    "indicator": Indicator,
    "spline": Spline,
    "category": Category,
    "hashed": Hashed,
}
# The coefficients, and a name for each, are on every rank.
_MOST_FEATURES = 1 << 23
# Without zeros a number takes half as much room again, and BLAS does not work on it.
_SPARSE_SHARE, _FEWEST_SPARSE = 8, 128


@dataclass(frozen=True)
class Recipe:
    """How the columns of a table become features.

    Their order: the columns of numbers, as in the file, and products of these; then categories, as
    in the file, and products with these. So those that are mostly zeros come last.
    """

    inputs: tuple[Input, ...]
    """The columns that are read, as in the file."""
    encoders: tuple[Encoder, ...]
    interactions: tuple[tuple[str, ...], ...] = ()
    """The names of the columns of each product."""
    layout: Literal["auto", "dense", "sparse"] = "auto"

    def __post_init__(self) -> None:
        """Raise JobError for features that are too many, or have one name together."""
        if self.n_features > _MOST_FEATURES:
            raise JobError(
                f"[prepare] makes {self.n_features:,} features, expected at most "
                f"{_MOST_FEATURES:,}; use fewer bits of hash, or fewer interactions"
            )
        if not self.n_features:
            raise JobError("[prepare] leaves no feature: each column has one level; see reference")
        if len(set(self.names)) < self.n_features:
            twice = Counter(self.names).most_common(1)[0][0]
            raise JobError(
                f"[prepare] makes two features called {twice!r}, expected different names; rename "
                "a column"
            )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the features' names."""
        found: list[str] = []
        for factors in self._factors:
            names = [""]
            for factor in factors:
                own = factor.names
                names = [f"{name}:{each}" if name else each for name in names for each in own]
            found += names
        return tuple(found)

    @property
    def n_features(self) -> int:
        """Return the number of features."""
        return sum(_width(factors) for factors in self._factors)

    @property
    def n_dense(self) -> int:
        """Return how many features come first, of which most values are other than 0."""
        return sum(_width(factors) for factors in self._factors if _is_dense(factors))

    @property
    def n_values(self) -> int:
        """Return how many features may be other than 0 in a row."""
        counts = ([factor.n_values for factor in factors] for factors in self._factors)
        return sum(int(np.prod(each)) for each in counts)

    @property
    def is_sparse(self) -> bool:
        """Whether features are kept without zeros, where most are zeros."""
        if self.layout != "auto":
            return self.layout == "sparse" and self.n_dense < self.n_features
        is_wide = self.n_features >= _FEWEST_SPARSE
        return is_wide and _SPARSE_SHARE * self.n_values <= self.n_features

    @property
    def digest(self) -> str:
        """Describe the recipe in few characters that tell recipes apart."""
        content = json.dumps(self.as_json(), sort_keys=True).encode("utf-8", "surrogatepass")
        return f"{self.n_features} features ({hashlib.sha256(content).hexdigest()[:12]})"

    @classmethod
    def plain(cls, names: Sequence[str]) -> Recipe:
        """Return the recipe of columns of numbers that are the features as they are."""
        inputs = tuple(Input(name, "number") for name in names)
        return cls(inputs, tuple(Number(name) for name in names))

    def apply(self, columns: Mapping[str, Column]) -> NDArray[np.float64]:
        """Return the features (n, n_features) of rows, each from its own row alone.

        `columns` are those of `inputs`, by name, each with n rows; others may be there too.
        Raises DataError for a value that is refused: missing, or a level that is not known.
        """
        refusals = Refusals()
        terms = self.terms(columns, refusals)
        refuse(refusals, lambda row, name: f"row {row}, column {name!r}")
        out = np.empty((len(terms[0].values), self.n_features))
        put(terms, out)
        return out

    def terms(self, columns: Mapping[str, Column], refusals: Refusals) -> list[Term]:
        """Return the features of rows, and note what is refused among them."""
        parts = split(columns, self.inputs)
        made = [
            encoder.encode(parts[encoder.name], number, refusals)
            for number, encoder in enumerate(self.encoders)
        ]
        found = []
        for first, *others in self._order:
            term = made[first]
            for other in others:
                term = product(term, made[other])
            found.append(term)
        return found

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        kinds = {cls: kind for kind, cls in ENCODERS.items()}
        return {
            "version": RECIPE_VERSION,
            "inputs": [dataclasses.asdict(each) for each in self.inputs],
            "encoders": [
                {"kind": kinds[type(each)], **dataclasses.asdict(each)} for each in self.encoders
            ],
            "interactions": [list(factors) for factors in self.interactions],
            "layout": self.layout,
        }

    @classmethod
    def from_json(cls, document: object) -> Recipe:
        """Return the recipe; raises ModelError for what is none, or is of another version."""
        known = document if isinstance(document, dict) else {}
        version = known.get("version")
        if version != RECIPE_VERSION:
            raise ModelError(
                f"the preparation of the columns has the version {version!r:.60}, this mpi_gd "
                f"reads {RECIPE_VERSION}; use the mpi_gd that wrote it, or a newer one"
            )
        try:
            return cls(
                tuple(Input(**_plain(each)) for each in known["inputs"]),
                tuple(ENCODERS[each["kind"]](**_plain(each)) for each in known["encoders"]),
                tuple(tuple(factors) for factors in known["interactions"]),
                known["layout"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the preparation of the columns cannot be built: {error}") from error

    @cached_property
    def _order(self) -> list[tuple[int, ...]]:
        """Return the encoders of each term's factors, by number, in the order of the features."""
        # An indicator has its column's name, and is no factor.
        numbers = {
            encoder.name: number
            for number, encoder in enumerate(self.encoders)
            if not isinstance(encoder, Indicator)
        }
        terms: list[tuple[int, ...]] = [(number,) for number in range(len(self.encoders))]
        terms += [tuple(numbers[name] for name in names) for names in self.interactions]
        return sorted(terms, key=lambda term: not all(self.encoders[k].is_dense for k in term))

    @cached_property
    def _factors(self) -> list[tuple[Encoder, ...]]:
        """Return the same, the encoders themselves."""
        return [tuple(self.encoders[number] for number in term) for term in self._order]


def refuse(refusals: Refusals, place: Callable[[int, str], str]) -> None:
    """Raise Refused if anything is; `place(row, column)` names the place of a cell."""
    found = refusals.found
    if found:
        first = first_of(found)
        raise Refused(first.message(place(first.row, first.column)), found)


def put(terms: list[Term], out: NDArray[Any]) -> None:
    """Put the terms' features side by side into `out` (n, width)."""
    at = 0
    for term in terms:
        term.put(out[:, at : at + term.width])
        at += term.width


def _width(factors: tuple[Encoder, ...]) -> int:
    """Return the number of features of a product."""
    width = 1
    for factor in factors:
        width *= factor.width
    return width


def _is_dense(factors: tuple[Encoder, ...]) -> bool:
    """Whether most values of a product are other than 0."""
    return all(factor.is_dense for factor in factors)


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a JSON object as a dataclass has them."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fields.items()
        if name != "kind" or "parts" in fields
    }
