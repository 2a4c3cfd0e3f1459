"""Kinds of models, from the file to the predictions: labels, counts, weights, sparse rows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpi_gd.model import load_model

# The bits of the sums are those of one process under both MPIs: see tests/mpi.
pytestmark = pytest.mark.one_mpi

N = 3000
RNG = np.random.default_rng(17)
X = np.round(RNG.normal(size=(N, 3)) * [1.0, 20.0, 0.1] + [0.0, 50.0, 0.0], 6)
Z = X @ [1.0, 0.03, -4.0] - 1.5
COLOR = np.array(["red", "green", "dark blue"])[np.digitize(Z + RNG.logistic(size=N), [-0.7, 1.0])]
HOURS = np.round(RNG.uniform(0.5, 3.0, N), 4)
VISITS = RNG.poisson(HOURS * np.exp(0.5 * Z))
SHOP = RNG.integers(0, 60, N)
WEIGHT = RNG.integers(0, 4, N)


COLUMNS: dict[str, NDArray[Any]] = {
    "a": X[:, 0],
    "b": X[:, 1],
    "c": X[:, 2],
    "hours": HOURS,
    "shop": SHOP,
    "weight": WEIGHT,
    "visits": VISITS,
    "color": COLOR,
    "twice": 2 * X[:, 0],
    "seven": np.full(N, 7),
}


def write(place: Any, text: str, columns: str = "") -> str:
    """Write a job, and a table of the named columns; return the job's path."""
    if columns:
        names = columns.split()
        rows = zip(*(COLUMNS[name].tolist() for name in names), strict=True)
        lines = [",".join(names), *(",".join(map(str, row)) for row in rows)]
        (place.folder / "table.csv").write_text("\n".join(lines) + "\n")
    path = place.folder / "job.toml"
    path.write_text(text + "\n")
    return str(path)


COLORS = (
    '[data]\npath = "table.csv"\ntarget = "color"\nweight = "weight"\nclass_weight = "balanced"\n'
    'test_fraction = 0.2\n[loss]\nkind = "multinomial"\n[penalty]\nkind = "{}"'
)


@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_three_labels_from_the_table_to_the_predictions(
    penalty: str, workplace: Any, program: Any
) -> None:
    job = write(workplace, COLORS.format(penalty), "a b c weight color")
    printed = []
    for n in (1, 4):
        done = program(n, "train", job, "--out", f"run{n}")
        assert done.rc == 0, done.text
        printed.append([line for line in done.out.splitlines() if "held-out" in line])
    assert printed[0] == printed[1] and "accuracy" in printed[0][0]
    assert workplace.model("run1") == workplace.model("run4")
    model = load_model(workplace.folder / "run4" / "model.npz")
    assert model.coef.shape == (3, 3) and model.classes == ("dark blue", "green", "red")
    scores = []
    for n in (1, 3):
        done = program(n, "evaluate", "run4/model.npz", "table.csv", "--json")
        assert done.rc == 0, done.text
        scores.append(done.out)
    assert scores[0] == scores[1]
    predicted = program(2, "predict", "run4/model.npz", "table.csv", "--out", "p.csv")
    assert predicted.rc == 0, predicted.text
    header, *lines = (workplace.folder / "p.csv").read_text().splitlines()
    assert header == ("prediction,probability of dark blue,probability of green,probability of red")
    cells = [line.split(",") for line in lines]
    labels = np.array([row[0] for row in cells])
    shares = np.array([row[1:] for row in cells], dtype=float)
    np.testing.assert_allclose(shares, model.predict_proba(X), rtol=1e-12)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-14)
    accuracy = np.average(labels == COLOR, weights=WEIGHT)
    assert json.loads(scores[0])["accuracy"] == pytest.approx(accuracy, rel=1e-14)
    few = (workplace.folder / "table.csv").read_text().splitlines()[:3]
    # Neither the label nor the weight is needed, nor the order of the columns.
    (workplace.folder / "few.csv").write_text(
        "\n".join(",".join(reversed(line.split(",")[:3])) for line in few) + "\n"
    )
    done = program(4, "predict", "run4/model.npz", "few.csv", "--out", "f.csv")
    assert done.rc == 0, done.text
    assert (workplace.folder / "f.csv").read_text().splitlines() == [header, *lines[:2]]
    assert accuracy > 0.5


def test_decisions_without_probabilities_are_called_so(workplace: Any, program: Any) -> None:
    assert program(2, "train", workplace.job(loss="hinge"), "--out", "run").rc == 0
    assert program(2, "predict", "run/model.npz", "x.npy", "--out", "p.csv").rc == 0
    header, *lines = (workplace.folder / "p.csv").read_text().splitlines()
    assert header == "prediction,decision value of 1"
    cells = np.array([line.split(",") for line in lines], dtype=float)
    np.testing.assert_array_equal(cells[:, 0], np.where(cells[:, 1] > 0, 1.0, -1.0))
    # Ranks without rows have no part.
    np.save(workplace.folder / "few.npy", workplace.x[:2])
    done = program(3, "predict", "run/model.npz", "few.npy", "--out", "few.csv")
    assert done.rc == 0, done.text
    assert (workplace.folder / "few.csv").read_text().splitlines() == [header, *lines[:2]]


@pytest.mark.parametrize("covariance", ["fisher", "cluster"])
def test_counts_with_exposure_have_a_table(covariance: str, workplace: Any, program: Any) -> None:
    job = write(
        workplace,
        '[data]\npath = "table.csv"\ntarget = "visits"\nexposure = "hours"\ncluster = "shop"\n'
        f'[loss]\nkind = "poisson"\n[inference]\ncovariance = "{covariance}"',
        "a b c hours shop visits",
    )
    tables = []
    for n in (1, 4):
        done = program(n, "train", job, "--out", f"run{n}")
        assert done.rc == 0, done.text
        tables.append(done.out[done.out.index("  coef") : done.out.index("The model is")])
    assert tables[0] == tables[1]
    assert workplace.model("run1") == workplace.model("run4")
    told = json.loads((workplace.folder / "run1" / "summary.json").read_text())["inference"]
    assert [line["name"] for line in told["coefficients"]] == ["(intercept)", "a", "b", "c"]
    estimates = np.array([line["estimate"] for line in told["coefficients"]])
    design = np.column_stack([np.ones(N), X])
    mean = HOURS * np.exp(design @ estimates)
    scores = design * (mean - VISITS)[:, None]
    np.testing.assert_allclose(scores.sum(axis=0) / N, 0.0, atol=1e-6)
    bread = np.linalg.inv((design.T * mean) @ design)
    wanted: NDArray[Any] = bread
    if covariance == "cluster":
        sums = np.array([scores[shop == SHOP].sum(axis=0) for shop in range(60)])
        wanted = bread @ sums.T @ sums @ bread * (60 / 59 * (N - 1) / (N - 4))
    errors = [line["std_error"] for line in told["coefficients"]]
    np.testing.assert_allclose(errors, np.sqrt(np.diag(wanted)), rtol=1e-6)


@pytest.mark.parametrize("penalty", ["none", "l1"])
def test_sparse_rows_give_what_dense_ones_give(penalty: str, workplace: Any, program: Any) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    x = np.where(RNG.random((2000, 30)) < 0.1, RNG.normal(size=(2000, 30)), 0.0)
    np.save(workplace.folder / "x.npy", x)
    np.save(workplace.folder / "label.npy", (x[:, :3].sum(axis=1) > 0.1) * (RNG.random(2000) < 0.9))
    sparse.save_npz(workplace.folder / "x.npz", sparse.csr_matrix(x))
    text = f'[loss]\nkind = "logistic"\n[penalty]\nkind = "{penalty}"\n[stop]\ntol = 1e-12'
    data = '[data]\npath = "{}"\ntarget = "label.npy"\nstandardize = true\n'
    for out, n, name in (("dense", 2, "x.npy"), ("one", 1, "x.npz"), ("three", 3, "x.npz")):
        job = write(workplace, data.format(name) + text)
        done = program(n, "train", job, "--out", out)
        assert done.rc == 0, done.text
    assert workplace.model("one") == workplace.model("three")
    dense, one = (load_model(workplace.folder / out / "model.npz") for out in ("dense", "one"))
    np.testing.assert_allclose(one.coef, dense.coef, rtol=1e-8, atol=1e-10)
    scored = program(2, "evaluate", "one/model.npz", "x.npz", "--set", "target=label.npy", "--json")
    assert scored.rc == 0, scored.text
    assert json.loads(scored.out)["n"] == 2000


VISITED = '[data]\npath = "table.csv"\ntarget = "visits"\n[loss]\nkind = "poisson"\n'
# The job, the columns of its table, and what the message has to say.
MISTAKES = {
    "solver": (
        VISITED + '[penalty]\nkind = "l1"\n[solver]\nkind = "lbfgs"',
        "a b visits",
        "solver.kind: 'lbfgs' cannot handle a penalty with kinks or bounds; expected one of "
        "'newton', 'owl-qn', 'fista', 'svrg', 'averaging', 'admm'",
    ),
    "response": (VISITED.replace("visits", "c"), "a b c", "table.csv: line "),
    "collinear": ('collinear = "stop"\n' + VISITED, "a twice visits", "combination of 'a'"),
    "factors": (
        VISITED + '[penalty]\nkind = "l2"\nfactors = {q = 0.0}',
        "a b visits",
        "penalty.factors names the column 'q', which is not there",
    ),
    "class weights": (
        '[data]\npath = "table.csv"\ntarget = "color"\nclass_weight = {blue = 2.0}\n'
        '[loss]\nkind = "multinomial"',
        "a b color",
        "data.class_weight: no row that is trained on has the label 'blue'",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_message(name: str, workplace: Any, program: Any) -> None:
    text, columns, message = MISTAKES[name]
    done = program(3, "train", write(workplace, text, columns), "--out", "run")
    assert done.rc == 2, done.text
    assert message in done.err
    assert done.err.count("mpi_gd:") == 1 and "Traceback" not in done.err


def test_a_column_that_is_a_combination_is_held_and_named(workplace: Any, program: Any) -> None:
    job = write(workplace, VISITED, "a b c twice seven visits")
    done = program(3, "train", job, "--out", "run")
    assert done.rc == 0, done.text
    assert "Column 'twice' is a combination of 'a': its coefficient is held at 0." in done.out
    assert "Column 'seven' is constant: its coefficient is held at 0." in done.out
    model = load_model(workplace.folder / "run" / "model.npz")
    assert model.columns == ("a", "b", "c", "twice", "seven")
    assert np.asarray(model.coef)[3:].tolist() == [0.0, 0.0]
