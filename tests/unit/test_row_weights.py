"""Labels, responses and weights of all ranks' rows, as the training is given them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpi_gd.comm import SerialWorld, World
from mpi_gd.commands.labels import encode_labels, find_labels
from mpi_gd.commands.load import Loaded, load
from mpi_gd.commands.response import check_roles, read_response
from mpi_gd.commands.weights import find_part, offset_of, weight_of, with_class_weight
from mpi_gd.data import DataSpec
from mpi_gd.data.grid import RowGrid
from mpi_gd.errors import DataError, JobError, MpiGdError
from mpi_gd.losses import Binomial, Logistic, Loss, NegativeBinomial, Poisson, Squared
from mpi_gd.losses.loss import Task
from mpi_gd.matrix import Dense
from tests.simulated import on_ranks

# Three tiles and a little.
N = 1600


class Place:
    """A source that knows places and names only."""

    target_name = "y"
    role_names = {"weight": "w"}  # noqa: RUF012 - as in a source

    def locate_target(self, row: int) -> str:
        return f"row {row}"


def loaded(world: World, y: NDArray[Any], **extras: NDArray[Any]) -> Loaded:
    """Return a rank's part of the rows."""
    grid = RowGrid(len(y), 1, 8)
    first, last = grid.tiles_of(world.rank, world.size)
    start, stop = grid.rows_of(world.rank, world.size)
    return Loaded(
        source=cast(Any, Place()),
        grid=grid,
        first_tile=first,
        last_tile=last,
        start=start,
        x=Dense(np.zeros((stop - start, 1))),
        y=y[start:stop],
        extras={role: values[start:stop] for role, values in extras.items()},
        columns=("x0",),
        fingerprint="",
        division=cast(Any, None),
    )


def same_on_ranks(size: int, work: Any) -> Any:
    """Return what all ranks return; raise what all ranks raise."""
    results = on_ranks(size, work)
    errors = [result for result in results if isinstance(result, Exception)]
    if errors:
        assert len(errors) == size and len({str(error) for error in errors}) == 1, errors
        raise errors[0]
    return results


TASKS: list[tuple[Task, int]] = [("two classes", 2), ("classes", 2), ("classes", 7)]


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize(("task", "n_classes"), TASKS)
@pytest.mark.parametrize("is_text", [False, True])
def test_labels_are_found_wherever_they_are(
    size: int, task: Task, n_classes: int, is_text: bool
) -> None:
    """Protects the order of classes: numbers as numbers; and labels that one rank alone has."""
    names = [str(k) for k in (1, 2, 10, -3, 100, 20, 3)[:n_classes]]
    rng = np.random.default_rng(size)
    drawn = rng.integers(0, n_classes, N)
    # The last label is in the last row alone.
    drawn = np.where(np.arange(N) == N - 1, n_classes - 1, drawn % (n_classes - 1))
    texts = np.array(names)[drawn]
    y = texts if is_text else texts.astype(float)

    def work(world: World) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        data = loaded(world, y)
        labels = find_labels(world, data, None, task)
        return labels, encode_labels(world, data, labels)

    results = same_on_ranks(size, work)
    labels = results[0][0]
    assert list(labels) == sorted(names, key=None if is_text else float)
    places = np.concatenate([result[1] for result in results])
    np.testing.assert_array_equal(np.array(labels)[places.astype(int)], texts)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize(
    ("y", "words"),
    [
        (
            np.full(N, "a"),
            "all rows that are trained on have the label 'a', expected two labels or",
        ),
        (np.where(np.arange(N) == 1500, 1.5, 2.0), "row 1500: got the label '1.5' in target 'y'"),
        (np.arange(N) * 1.0, "row 1000: got the label '1000' in target 'y' after 1000 others"),
        (np.where(np.arange(N) == 1500, np.nan, 2.0), "row 1500: target 'y': got nan"),
    ],
)
def test_labels_that_are_none(size: int, y: NDArray[Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        same_on_ranks(size, lambda w: find_labels(w, loaded(w, y), None, "classes"))
    assert words in str(caught.value)


def test_a_thousand_labels_are_not_too_many() -> None:
    y = np.arange(N) % 1000 * 1.0
    labels = same_on_ranks(3, lambda world: find_labels(world, loaded(world, y), None, "classes"))
    assert labels[0] == tuple(map(str, range(1000)))


def test_a_label_that_is_not_trained_on_is_named() -> None:
    """Protects from classes that no row taught: held-out rows, or rows of weight 0."""
    y = np.array(["a", "b", "c"])[np.arange(N) % 2]
    y[1234] = "c"
    weight = np.where(np.arange(N) == 1234, 0.0, 1.0)

    def work(world: World) -> None:
        data = loaded(world, y, weight=weight)
        part = find_part(world, data, None)
        assert part.n_weightless == 1
        labels = find_labels(world, data, part.left_out, "classes")
        assert labels == ("a", "b")
        encode_labels(world, data, labels)

    with pytest.raises(
        DataError,
        match="row 1234: got the label 'c', which no row has that is trained on, expected 'a' or ",
    ):
        same_on_ranks(3, work)


@pytest.mark.parametrize(
    ("loss", "y", "words"),
    [
        (Squared(), np.array(["1"] * N), "got text, expected numbers"),
        (Squared(), np.where(np.arange(N) == 1111, np.inf, 0.0), "row 1111: target 'y': got inf"),
        (Logistic(), np.where(np.arange(N) == 1111, -3.0, 1.0), "got -3, expected 0 or 1"),
    ],
)
def test_responses_out_of_range_are_named(loss: Loss, y: NDArray[Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        same_on_ranks(3, lambda world: read_response(world, loaded(world, y), loss, None))
    assert words in str(caught.value)


def test_trials_make_shares_and_weights() -> None:
    trials = np.arange(N) % 7 + 1.0
    successes = np.arange(N) % (trials + 1)
    data = loaded(SerialWorld(), successes, trials=trials, weight=np.full(N, 2.0))
    share = read_response(SerialWorld(), data, Squared(), None)
    np.testing.assert_array_equal(share, successes / trials)
    np.testing.assert_array_equal(weight_of(data), 2 * trials)
    with pytest.raises(JobError, match=r"data\.trials is for the loss 'binomial'"):
        check_roles(data, Logistic())
    for value in (0.5, -1.0, 9.0):
        bad = np.where(np.arange(N) == 1111, value, successes)
        with pytest.raises(DataError, match=rf"row 1111: target 'y': got {value:g}, expected a wh"):
            same_on_ranks(
                3,
                lambda world, bad=bad: read_response(
                    world, loaded(world, bad, trials=trials), Squared(), None
                ),
            )


def test_exposure_is_for_losses_of_counts() -> None:
    """Protects from log(exposure) added to a predictor that is no logarithm of a mean."""
    data = loaded(SerialWorld(), np.ones(N), exposure=np.full(N, 2.0))
    for loss in (Poisson(), NegativeBinomial(), Binomial(link="cloglog")):
        check_roles(data, loss)
    for other in (Squared(), Logistic(), Poisson(link="identity"), Binomial()):
        with pytest.raises(JobError, match=r"data\.exposure is for losses with the link 'log'"):
            check_roles(data, other)


def test_offset_and_exposure_add_up() -> None:
    exposure, offset = np.arange(1.0, N + 1), np.ones(N)
    world = SerialWorld()
    both = offset_of(loaded(world, offset, offset=offset, exposure=exposure))
    np.testing.assert_array_equal(both, 1 + np.log(exposure))
    np.testing.assert_array_equal(
        offset_of(loaded(world, offset, exposure=exposure)), np.log(exposure)
    )
    assert offset_of(loaded(world, offset)) is None


@pytest.mark.parametrize("is_held", [False, True])
def test_weights_that_are_all_zero_are_refused(is_held: bool) -> None:
    """Protects from a division by the sum of weights, also where only held-out rows have one."""
    weight = np.where(np.arange(N) < 10, 1.0, 0.0) if is_held else np.zeros(N)

    def work(world: World) -> None:
        data = loaded(world, np.zeros(N), weight=weight)
        held = (np.arange(N) < 10)[data.start : data.start + len(data.y)]
        find_part(world, data, held if is_held else None)

    with pytest.raises(DataError, match=rf"all {N - 10 * is_held} rows .* weight 0 in 'w'"):
        same_on_ranks(3, work)


WEIGHTS = st.floats(1e-12, 1e12) | st.just(0.0)


@settings(max_examples=30)
@given(
    n_classes=st.integers(2, 5),
    seed=st.integers(0, 2**32),
    weights=st.none() | st.lists(WEIGHTS, min_size=3, max_size=7),
    has_held=st.booleans(),
)
def test_balanced_classes_weigh_the_same(
    n_classes: int, seed: int, weights: list[float] | None, has_held: bool
) -> None:
    """Protects the formula, W / (K W_k) as in scikit-learn, and its bits on any number of ranks."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, N).astype(float)
    held = rng.random(N) < 0.3 if has_held else np.zeros(N, bool)
    # Each class has a row that counts.
    own = np.ones(N) if weights is None else np.resize(weights, N)
    y[:n_classes], own[:n_classes], held[:n_classes] = np.arange(n_classes), 1.0, False
    extras = {} if weights is None else {"weight": own}
    classes = tuple(map(str, range(n_classes)))

    def work(world: World) -> NDArray[Any]:
        data = loaded(world, y, **extras)
        mine = slice(data.start, data.start + len(data.y))
        part = find_part(world, data, held[mine] if has_held else None)
        spec = DataSpec(class_weight="balanced")
        found = with_class_weight(world, data, spec, part, data.y, classes, "exact")
        assert found is not None
        return found

    whole = np.concatenate(same_on_ranks(1, work))
    split = np.concatenate(same_on_ranks(3, work))
    assert whole.tobytes() == split.tobytes()
    counted = np.where(held, 0.0, own)
    totals = np.bincount(y.astype(int), counted)
    wanted = counted * (totals.sum() / (n_classes * totals))[y.astype(int)]
    np.testing.assert_allclose(whole, wanted, rtol=1e-12)
    sums = np.bincount(y.astype(int), whole)
    np.testing.assert_allclose(sums, sums[0], rtol=1e-12)


def test_a_table_weighs_the_classes() -> None:
    y = (np.arange(N) % 3).astype(np.float64)
    world = SerialWorld()
    data = loaded(world, y, weight=np.full(N, 3.0))
    part = find_part(world, data, None)

    def weights(classes: tuple[str, ...] | None, **table: float) -> Any:
        spec = DataSpec(class_weight=table)
        return with_class_weight(world, data, spec, part, y, classes, "exact")

    found = weights(("a", "b", "c"), b=2.0, c=0.5)
    np.testing.assert_array_equal(found, np.array([3, 6, 1.5])[y.astype(int)])
    with pytest.raises(JobError, match="has the label 'B'; did you mean 'b'"):
        weights(("a", "b", "c"), B=2.0)
    with pytest.raises(JobError, match="for losses of labels"):
        weights(None, b=2.0)
    assert weights(("a", "b", "c")) is part.weight


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_what_is_kept_after_a_loss_is_what_would_be_read(tmp_path: Path, kind: str) -> None:
    """Protects the rows' weights and clusters when the rows are divided anew."""
    rng = np.random.default_rng(5)
    x, y, w = rng.normal(size=(N, 2)).astype(np.float32), rng.normal(size=N), rng.uniform(size=N)
    g = np.array([f"g{k % 31}" for k in range(N)])
    spec = DataSpec(path=f"D.{kind}", target="y", weight="w", cluster="g")
    if kind == "npz":
        np.savez_compressed(tmp_path / "D.npz", X=x, y=y, w=w, g=g)
    else:
        lines = [f"{a!r},{b!r},{c!r},{d}" for (a, _), b, c, d in
                 zip(x.tolist(), y.tolist(), w.tolist(), g, strict=True)]  # fmt: skip
        (tmp_path / "D.csv").write_text("\n".join(["a,y,w,g", *lines]))
    before = same_on_ranks(3, lambda world: load(world, spec, tmp_path))

    def again(world: World) -> Loaded:
        return load(world, spec, tmp_path, kept=before[world.rank + 1])

    for kept, fresh in zip(
        same_on_ranks(2, again),
        same_on_ranks(2, lambda world: load(world, spec, tmp_path)),
        strict=True,
    ):
        each = np.arange(fresh.x.shape[1])
        np.testing.assert_array_equal(kept.x.columns(each), fresh.x.columns(each))
        np.testing.assert_array_equal(kept.y, fresh.y)
        assert kept.extras.keys() == fresh.extras.keys() == {"weight", "cluster"}
        for role, values in kept.extras.items():
            np.testing.assert_array_equal(values, fresh.extras[role])


def test_an_absurd_value_is_an_error_on_all_ranks(tmp_path: Path) -> None:
    w = np.where(np.arange(N) == 1500, -1.0, 1.0)
    np.savez(tmp_path / "D.npz", X=np.ones((N, 1)), y=w, w=w)
    spec = DataSpec(path="D.npz", weight="w")
    with pytest.raises(MpiGdError, match=r"array 'w': row 1500: weight 'w': got -1, expected 0, "):
        same_on_ranks(3, lambda world: load(world, spec, tmp_path))
