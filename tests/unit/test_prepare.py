"""Columns become features: what is learned depends on the rows, not on who looks at which."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_gd.comm import SerialWorld
from mpi_gd.commands.learn import gather, learn
from mpi_gd.data.columns import Column
from mpi_gd.errors import DataError, JobError, ModelError
from mpi_gd.prepare import PrepareSpec
from mpi_gd.prepare.conclude import conclude
from mpi_gd.prepare.learner import Learner
from mpi_gd.prepare.plan import make_plan
from mpi_gd.prepare.recipe import Recipe
from mpi_gd.prepare.refused import Refused
from mpi_gd.prepare.source import PreparedSource
from tests.simulated import on_ranks
from tests.tabular import MemoryTable, column, recipe_of, sample_columns

# Everything at once.
FULL: dict[str, Any] = {
    "categorical": ["colour", "zip", "when.weekday"],
    "hash": {"user": 5},
    "dates": ["year", "weekday", "days"],
    "missing": {"*": "mean", "age": "median", "member": "most frequent", "colour": "level"},
    "indicator": True,
    "min_count": 3,
    "clip": {"age": [10.0, 60.0]},
    "winsorize": {"income": 0.05, "when.days": 0.1},
    "splines": {"age": 6},
    "interactions": ["income:colour", "age:zip", "income:income", "user:zip"],
}


def features(columns: dict[str, Column], **keys: Any) -> dict[str, list[float]]:
    """Return the features that these rows become, by name."""
    recipe = recipe_of(columns, **keys)
    x = recipe.apply(columns)
    return {name: x[:, j].tolist() for j, name in enumerate(recipe.names)}


def rows_of(columns: dict[str, Column], rows: list[int]) -> dict[str, Column]:
    """Return some rows, as a table of their own."""
    return {
        name: Column(
            each.kind,
            each.values[rows],
            None if each.missing is None else each.missing[rows],
            each.levels,
        )
        for name, each in columns.items()
    }


@given(seed=st.integers(0, 99), size=st.integers(1, 7), n=st.integers(20, 90))
@settings(max_examples=15, deadline=None)
def test_any_number_of_ranks_learns_the_same(seed: int, size: int, n: int) -> None:
    """Ranks without rows, and levels that one rank has alone, are among them."""
    columns = sample_columns(n, seed)
    expected = recipe_of(columns, **FULL)
    for found in on_ranks(size, lambda world: recipe_of(columns, world, **FULL), seed):
        assert found == expected


@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(0, 60), max_size=5))
@settings(max_examples=15, deadline=None)
def test_rows_in_any_order_and_in_any_pieces_teach_the_same(seed: int, cuts: list[int]) -> None:
    columns = sample_columns(60, seed)
    spec = PrepareSpec(**FULL)
    plan = make_plan(spec, list(columns), {name: each.kind for name, each in columns.items()})
    learner = Learner(plan)
    order = np.random.default_rng(seed).permutation(60)
    for rows in np.split(order, sorted(cuts)):
        learner.add(rows_of(columns, rows.tolist()))
    assert conclude(plan, gather(SerialWorld(), plan, learner)) == recipe_of(columns, **FULL)


def test_a_row_becomes_the_same_alone_and_among_others() -> None:
    columns = sample_columns(200, 3)
    recipe = recipe_of(columns, **FULL)
    whole = recipe.apply(columns)
    for row in range(200):
        alone = recipe.apply(rows_of(columns, [row]))
        assert alone.tobytes() == whole[row].tobytes()


def test_a_recipe_is_json() -> None:
    columns = sample_columns(200, 4)
    recipe = recipe_of(columns, **FULL)
    again = Recipe.from_json(json.loads(json.dumps(recipe.as_json())))
    assert again == recipe and again.digest == recipe.digest
    assert again.apply(columns).tobytes() == recipe.apply(columns).tobytes()


@pytest.mark.parametrize(
    "damage", [{"version": 2}, {"encoders": [{"kind": "no"}]}, {"inputs": None}, {"layout": ""}]
)
def test_a_damaged_recipe_is_none(damage: dict[str, Any]) -> None:
    document = {**recipe_of({"a": column([1.0, 2.0])}).as_json(), **damage}
    if damage == {"layout": ""}:
        del document["layout"]
    with pytest.raises(ModelError, match="preparation of the columns"):
        Recipe.from_json(document)


COLOURS = column(["red", "blue", "red", "green", "red", "green"])


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({}, ["c=green", "c=red"]),
        ({"reference": "most frequent"}, ["c=blue", "c=green"]),
        ({"reference": "none"}, ["c=blue", "c=green", "c=red"]),
        ({"reference": {"c": "green"}}, ["c=blue", "c=red"]),
        ({"reference": {"other?": "x", "c": "green"}}, None),
        ({"min_count": 2}, ["c=green", "c=red"]),
        ({"min_count": 2, "reference": "most frequent"}, ["c=green", "c=(rare)"]),
        ({"min_count": 3, "reference": "none"}, ["c=red", "c=(rare)"]),
    ],
)
def test_levels_are_sorted_and_one_is_the_reference(
    keys: dict[str, Any], names: list[str] | None
) -> None:
    if names is None:
        with pytest.raises(JobError, match="no column is called 'other"):
            features({"c": COLOURS}, categorical="auto", **keys)
        return
    found = features({"c": COLOURS}, categorical="auto", **keys)
    assert list(found) == names
    for name, values in found.items():
        level = name.removeprefix("c=")
        counts = {"red": 3, "green": 2, "blue": 1}
        rare = {k for k, count in counts.items() if count < keys.get("min_count", 0)}
        ones = rare if level == "(rare)" else {level}
        texts = [COLOURS.levels[code] for code in COLOURS.values]
        assert values == [float(text in ones) for text in texts]


def test_numbers_as_levels_are_sorted_as_numbers() -> None:
    found = features({"zip": column([10.0, 9.0, -0.0, 9.5, 0.0])}, categorical=["zip"])
    assert list(found) == ["zip=9", "zip=9.5", "zip=10"]
    assert found["zip=9"] == [0.0, 1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", ["text", "number"])
@pytest.mark.parametrize("unseen", ["refuse", "reference", "rare"])
def test_levels_that_the_training_did_not_have(kind: str, unseen: str) -> None:
    is_text = kind == "text"
    old = ["a", "b", "b", "c", "b"] if is_text else [1.0, 2.0, 2.0, 3.0, 2.0]
    new = ["b", "z", "c", "y", "z"] if is_text else [2.0, 9.0, 3.0, 8.0, 9.0]
    recipe = recipe_of(
        {"c": column(old)}, categorical=["c"], reference="most frequent", min_count=2, unseen=unseen
    )
    if unseen == "refuse":
        with pytest.raises(Refused, match=r"3 rows have levels .* first of them '(z|9)'") as caught:
            recipe.apply({"c": column(new)})
        assert caught.value.found[0].row == 1 and caught.value.found[0].count == 3
        return
    x = recipe.apply({"c": column(new)})
    assert recipe.names == ("c=(rare)",)
    new_is = 1.0 if unseen == "rare" else 0.0
    assert x[:, 0].tolist() == [0.0, new_is, 1.0, new_is, new_is]


def test_a_level_of_rows_held_out_is_known_but_has_no_feature() -> None:
    table = MemoryTable({"c": column(["a", "b", "x", "b", None])})
    is_used = np.array([True, True, False, True, False])
    recipe = learn(
        SerialWorld(),
        table,
        PrepareSpec(categorical="auto", missing="level"),
        lambda start, stop, block: is_used[start:stop],
        "the table",
    )
    assert recipe.names == ("c=b",)
    x = recipe.apply({"c": column(["x", "b", "a"])})
    assert x[:, 0].tolist() == [0.0, 1.0, 0.0]
    # No row that was trained on lacked its value: that is a level that is not known.
    with pytest.raises(Refused, match="a value is missing"):
        recipe.apply({"c": column(["b", None])})


def test_too_many_levels_point_to_hashing() -> None:
    columns = {"user": column([f"u{k}" for k in range(30)])}
    for size in (1, 4):
        for found in on_ranks(
            size, lambda world: recipe_of(columns, world, categorical="auto", most_levels=29)
        ):
            assert isinstance(found, DataError)
            assert "'user' has more than 29 different values; hash them" in str(found)


def test_hashing_needs_no_levels_and_is_the_same_everywhere() -> None:
    texts = [f"u{k}" for k in range(3000)]
    recipe = recipe_of({"user": column(texts)}, hash={"user": 10}, missing="level")
    assert recipe.n_features == 1024 and recipe.names[3] == "hash(user,3)"
    x = recipe.apply({"user": column(texts)})
    assert (np.abs(x).sum(axis=1) == 1).all()
    # Places and signs are even: 3000 draws of 1024 places leave about 55 empty, and add up to 0.
    assert 30 < (np.abs(x).sum(axis=0) == 0).sum() < 85
    assert abs(x.sum()) < 4 * np.sqrt(3000)
    # Golden: a model is applied by whatever version and machine.
    assert [(int(r.argmax()), int(r.argmin())) for r in x[:3]] == GOLDEN
    numbers = recipe_of({"user": column([3.0, 4.5])}, hash={"user": 10})
    same = recipe_of({"user": column(["3", "4.5"])}, hash={"user": 10})
    np.testing.assert_array_equal(
        numbers.apply({"user": column([3.0, 4.5])}), same.apply({"user": column(["3", "4.5"])})
    )
    gap = recipe.apply({"user": column(["u1", None])})
    assert np.abs(gap[1]).sum() == 1


GOLDEN = [(871, 0), (0, 640), (0, 265)]


def test_gaps_are_filled_and_shown() -> None:
    columns = {
        "a": column([1.0, None, 2.0, 6.0, float("nan")]),
        "b": column([True, None, True, False, True]),
        "c": column(["x", None, "y", "y", "x"]),
    }
    mean = features(columns, categorical="auto", missing="mean", indicator=True)
    assert mean == {
        "a": [1.0, 3.0, 2.0, 6.0, 3.0],
        "a is missing": [0.0, 1.0, 0.0, 0.0, 1.0],
        "b": [1.0, 0.75, 1.0, 0.0, 1.0],
        "b is missing": [0.0, 1.0, 0.0, 0.0, 0.0],
        "c=y": [0.0, 0.0, 1.0, 1.0, 0.0],
        "c=(missing)": [0.0, 1.0, 0.0, 0.0, 0.0],
    }
    other = features(
        columns, categorical="auto", missing={"a": "median", "b": 7.5, "c": "most frequent"}
    )
    assert other == {
        "a": [1.0, 2.0, 2.0, 6.0, 2.0],
        "b": [1.0, 7.5, 1.0, 0.0, 1.0],
        "c=y": [0.0, 0.0, 1.0, 1.0, 0.0],
    }
    assert features(columns, categorical="auto", missing="most frequent")["a"][1] == 1.0


def test_gaps_are_refused_with_their_number_and_the_first_row() -> None:
    columns = {"a": column([1.0, 2.0]), "b": column([None, 1.0]), "c": column(["x", "y"])}
    recipe = recipe_of(columns, categorical="auto")
    with pytest.raises(Refused, match=r"row 0, column 'b': a value is missing, here; fill them"):
        recipe.apply(columns)


def test_numbers_beyond_bounds_are_moved_there() -> None:
    values = [float(k) for k in range(101)]
    clipped = features({"a": column(values)}, clip={"a": [10.0, 95.5]})["a"]
    assert clipped == np.clip(values, 10.0, 95.5).tolist()
    moved = features({"a": column(values)}, winsorize={"a": 0.05}, clip={"*": [-1.0, 90.0]})["a"]
    assert moved == np.clip(values, 5.0, 90.0).tolist()


def test_dates_become_their_parts() -> None:
    when = column([np.datetime64("2024-02-29T23:59:58.5"), np.datetime64("1969-12-31T00:00:00")])
    parts = ["year", "quarter", "month", "day", "weekday", "day_of_year", "hour", "minute"]
    found = features({"t": when}, dates=[*parts, "second", "days"])
    assert found == {
        "t.year": [2024.0, 1969.0],
        "t.quarter": [1.0, 4.0],
        "t.month": [2.0, 12.0],
        "t.day": [29.0, 31.0],
        "t.weekday": [3.0, 2.0],
        "t.day_of_year": [60.0, 365.0],
        "t.hour": [23.0, 0.0],
        "t.minute": [59.0, 0.0],
        "t.second": [58.0, 0.0],
        "t.days": [19782.0 + (86400 - 1.5) / 86400, -1.0],
    }
    gaps = features(
        {"t": column([np.datetime64("2024-02-29"), None])},
        dates={"t": ["year", "month"]},
        missing={"t": "mean"},
        indicator=True,
        interactions=["t.year:t.month"],
    )
    assert gaps == {
        "t.year": [2024.0, 2024.0],
        "t is missing": [0.0, 1.0],
        "t.month": [2.0, 2.0],
        "t.year:t.month": [4048.0, 4048.0],
    }


def test_products_are_those_of_all_features() -> None:
    columns = {
        "a": column([2.0, 3.0, 5.0]),
        "c": column(["x", "y", "z"]),
        "d": column(["p", "q", "q"]),
    }
    found = features(columns, categorical="auto", interactions=["a:a", "c:a", "c:d"])
    assert list(found) == ["a", "a:a", "c=y", "c=z", "d=q", "c=y:a", "c=z:a", "c=y:d=q", "c=z:d=q"]
    assert found["a:a"] == [4.0, 9.0, 25.0]
    assert found["c=z:a"] == [0.0, 0.0, 5.0]
    assert found["c=y:d=q"] == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_a_source_of_features_is_the_recipe_applied(layout: str) -> None:
    columns = sample_columns(300, 8)
    weight = np.arange(300) % 4 * 1.0
    table = MemoryTable(columns, weight)
    recipe = recipe_of(columns, **FULL, layout=layout)
    source = PreparedSource(table, recipe)
    expected = recipe.apply(columns)
    assert source.n_features == expected.shape[1] == len(source.columns)
    assert bool(source.n_stored) == (layout == "sparse")
    for start, stop in ((0, 300), (17, 18), (40, 40)):
        block = source.read(start, stop)
        x = block.x.columns(np.arange(source.n_features))
        np.testing.assert_array_equal(x, expected[start:stop])
        assert block.y.tolist() == list(range(start, stop))
        assert block.extras["weight"].tolist() == weight[start:stop].tolist()
        if layout == "sparse":
            assert block.x.n_stored <= recipe.n_values * (stop - start)
    single = PreparedSource(table, recipe, "float32")
    assert single.dtype == (np.float64 if layout == "sparse" else np.float32)


def test_sparse_features_are_chosen_by_the_recipe_alone() -> None:
    texts = [f"u{k}" for k in range(200)]
    wide = recipe_of({"a": column([1.0] * 200), "u": column(texts)}, categorical="auto")
    assert wide.is_sparse and wide.n_features == 200 and wide.n_values == 2
    few = recipe_of({"u": column(texts[:100])}, categorical="auto")
    assert not few.is_sparse


def test_columns_are_found_by_name() -> None:
    columns = sample_columns(50, 1)
    recipe = recipe_of(columns, **FULL)
    other = {"more": column([0.0] * 50), **dict(reversed(columns.items()))}
    source = PreparedSource(MemoryTable(other), recipe)
    expected = recipe.apply(columns)
    np.testing.assert_array_equal(
        source.read(0, 50).x.columns(np.arange(source.n_features)), expected
    )
    del other["zip"], other["age"]
    with pytest.raises(DataError, match="no column is called 'age', 'zip'"):
        PreparedSource(MemoryTable(other), recipe)
    with pytest.raises(
        DataError, match=r"'colour': got a column of the kind number, expected text"
    ):
        PreparedSource(MemoryTable({**columns, "colour": columns["age"]}), recipe)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "column 'c' holds text: make it categories"),
        ({"categorical": "auto"}, "column 't' holds dates: name the parts"),
        ({"categorical": ["d"]}, "prepare.categorical: no column is called 'd'"),
        ({"hash": {"c": 3}, "categorical": ["c"]}, "'c' is named for hash and category"),
        ({"splines": {"c": 3}, "dates": ["year"]}, "prepare.splines: column 'c' holds text"),
        ({"hash": {"c": 3}, "clip": {"c": [0.0, 1.0]}}, "prepare.clip: 'c' becomes categories"),
        ({"missing": {"a": "level"}}, "prepare.missing: 'a' is a number"),
        ({"interactions": ["a:z"]}, "'a:z': no column is called 'z'"),
        ({"interactions": ["a:a", "a:a"]}, "'a:a' is there twice"),
        ({"reference": {"c": "mauve"}}, "column 'c' has no level 'mauve'; .* 'x', 'y'"),
        ({"hash": {"c": 22}, "interactions": ["c:c"]}, "features, expected at most"),
    ],
)
def test_what_does_not_fit_the_columns_is_refused(keys: dict[str, Any], message: str) -> None:
    columns = {
        "a": column([1.0, 2.0]),
        "c": column(["x", "y"]),
        "t": column([np.datetime64("2024-01-01")] * 2),
    }
    usual: dict[str, Any] = {"dates": ["day"]} if keys != {"categorical": "auto"} else {}
    if "hash" not in keys and keys:
        usual["categorical"] = "auto"
    with pytest.raises(JobError, match=message):
        recipe_of(columns, **{**usual, **keys})


def test_features_of_one_name_and_no_features_are_refused() -> None:
    with pytest.raises(JobError, match="two features called 'c=y'"):
        recipe_of({"c": column(["x", "y"]), "c=y": column([1.0, 2.0])}, categorical="auto")
    with pytest.raises(JobError, match="leaves no feature"):
        recipe_of({"c": column(["x", "x"])}, categorical="auto")
    with pytest.raises(DataError, match="'a': no row that is trained on has a value"):
        recipe_of({"a": column([None, None])}, missing="mean")
    with pytest.raises(DataError, match=r"'a': all rows .* have 3, expected different numbers"):
        recipe_of({"a": column([3.0, 3.0])}, splines={"a": 4})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"unseen": "rare"}, 'unseen is "rare", which needs rare levels'),
        ({"hash": {"a": 23}}, "hash of 'a' must be from 1 to 22"),
        ({"splines": {"a": 2}}, "splines of 'a' must be from 3 to"),
        ({"winsorize": {"a": 0.5}}, "winsorize of 'a' must be above 0, below 0.5"),
        ({"clip": {"a": [1.0, 1.0]}}, "clip of 'a' must be two numbers"),
        ({"dates": ["years"]}, "dates must be some of year, quarter"),
        ({"dates": {"t": ["day", "day"]}}, "dates must name each part once"),
        ({"missing": {"a": "average"}}, "missing must be a number or one of 'refuse'"),
        ({"interactions": ["a"]}, "interactions must be names with a colon between"),
        ({"most_levels": 1}, "most_levels must be 2 or more"),
        ({"min_count": -1}, "min_count must be 0 or more"),
    ],
)
def test_what_can_mean_nothing_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PrepareSpec(**keys)
