"""How much each row counts, and what is added to its linear predictor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import Reduction, TileSum, World
from mpi_gd.commands.load import Loaded
from mpi_gd.data import DataSpec
from mpi_gd.data.names import suggest
from mpi_gd.errors import DataError, JobError

__all__ = ["Part", "find_part", "offset_of", "weight_of", "with_class_weight"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Weight = Floats | Booleans


def weight_of(data: Loaded) -> Floats | None:
    """Return weight * trials (n_rows,); None if the data have neither."""
    given = [data.extras[role] for role in ("weight", "trials") if role in data.extras]
    if not given:
        return None
    return np.asarray(given[0] if len(given) == 1 else given[0] * given[1], dtype=np.float64)


def offset_of(data: Loaded) -> Floats | None:
    """Return offset + log(exposure) (n_rows,); None if the data have neither."""
    given = []
    if "offset" in data.extras:
        given.append(data.extras["offset"])
    if "exposure" in data.extras:
        given.append(np.log(data.extras["exposure"]))
    if not given:
        return None
    return np.asarray(given[0] if len(given) == 1 else given[0] + given[1], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Part:
    """Which rows are trained on, and how much they count."""

    weight: Weight | None
    """(n_rows,): 0 for the rows that are held out; a mask where the others count alike, None if
    all rows do."""
    n_held: int
    """Rows of all ranks that are held out."""
    n_weightless: int
    """Rows of all ranks that are not held out but have weight 0."""

    @property
    def left_out(self) -> Booleans | None:
        """Return which rows have no part in the training, (n_rows,); None if all have."""
        return None if self.weight is None else np.asarray(self.weight == 0)


def find_part(world: World, data: Loaded, held: Booleans | None) -> Part:
    """Return which rows are trained on, but those that are `held` out; collective.

    Raises DataError, on all ranks, if the others all have weight 0.
    """
    given = weight_of(data)
    if held is None and given is None:
        return Part(None, 0, 0)
    weight: Weight
    if given is None:
        weight = np.ones(len(data.y), dtype=bool) if held is None else ~held
    else:
        weight = given if held is None else np.where(held, 0.0, given)
    n_held = 0 if held is None else np.count_nonzero(held)
    counts = np.array([n_held, np.count_nonzero(weight)], dtype=np.int64)
    world.allreduce_sum(counts)
    n_held, n_used = (int(count) for count in counts)
    n_weightless = data.grid.n_samples - n_held - n_used
    if n_weightless and not n_used:
        name = data.source.role_names["weight"]
        raise DataError(
            f"data.weight: all {n_weightless} rows that are to be trained on have the weight 0 in "
            f"{name!r}, expected a weight above 0 at least once; correct them, or remove the key"
        )
    return Part(weight, n_held, n_weightless)


def with_class_weight(
    world: World,
    data: Loaded,
    spec: DataSpec,
    part: Part,
    y: Floats,
    classes: tuple[str, ...] | None,
    reduction: Reduction,
) -> Weight | None:
    """Return the weights, times those of the rows' classes if the job has any; collective.

    `y` are places among the `classes`. "balanced": W / (K W_k), W_k the weight of class k of K, and
    W of all, over the rows that are trained on (G. King and L. Zeng, Logistic Regression in Rare
    Events Data, Political Analysis 9, 2001; as in scikit-learn).
    Raises JobError, on all ranks, for a label that is none, or a target without labels.
    """
    if not spec.class_weight:
        return part.weight
    if classes is None:
        raise JobError(
            "data.class_weight is for losses of labels, and the target of this one is a number; "
            "remove the key, or give each row's weight as a column: data.weight"
        )
    if isinstance(spec.class_weight, dict):
        factors = _from_table(spec.class_weight, classes)
    else:
        total = _class_totals(world, data, part.weight, y, len(classes), reduction)
        factors = total.sum() / (len(classes) * total)
    own = factors[y.astype(np.intp)]
    return own if part.weight is None else own * part.weight


def _from_table(table: dict[str, float], classes: tuple[str, ...]) -> Floats:
    """Return the weight of each class: 1 where the table names none."""
    for label in table:
        if label not in classes:
            raise JobError(
                f"data.class_weight: no row that is trained on has the label {label!r}; "
                f"{suggest(label, classes)}"
            )
    return np.array([table.get(label, 1.0) for label in classes])


def _class_totals(
    world: World,
    data: Loaded,
    weight: Weight | None,
    y: Floats,
    n_classes: int,
    reduction: Reduction,
) -> Floats:
    """Return the weight of each class (K,), of all ranks' rows; collective."""
    places = y.astype(np.intp)
    bounds = np.cumsum([0, *data.tile_sizes])

    def terms(tile: int) -> Floats:
        rows = slice(bounds[tile], bounds[tile + 1])
        own = None if weight is None else weight[rows]
        return np.bincount(places[rows], own, n_classes).astype(np.float64)

    def tiles() -> Iterator[Floats]:
        for tile in range(len(bounds) - 1):
            yield terms(tile)

    def pilot() -> Floats:
        has_first = data.first_tile == 0 and len(bounds) > 1
        return terms(0) if has_first else np.zeros(n_classes)

    return TileSum(world, data.grid.n_tiles, n_classes, reduction).sum_stream(tiles, pilot)
