"""Exported models predict what the model does, in the program that they are for."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnxruntime
import pytest

import mpi_gd.losses as losses
from mpi_gd.commands import export
from mpi_gd.errors import JobError
from mpi_gd.export import FORMS, form_of
from mpi_gd.export.scikit_learn import to_scikit_learn
from mpi_gd.losses import LOSSES, Loss
from mpi_gd.model import Model, save_model
from mpi_gd.options import ExportOptions

RNG = np.random.default_rng(5)
X = RNG.normal(size=(60, 3))
LINKED = [
    losses.Logistic(link="cloglog"),
    losses.Poisson(link="sqrt"),
    losses.Gamma(link="inverse"),
    losses.InverseGaussian(link="inverse-squared"),
]


def model(loss: Loss, classes: tuple[str, ...] = ("no", "yes")) -> Model:
    """Return a model whose predictor is positive, as some links want it."""
    n_outputs = loss.n_outputs(len(classes)) if loss.is_classifier else 1
    shape = (3,) if n_outputs == 1 else (3, n_outputs)
    needs_positive = getattr(loss, "link", "") in ("inverse", "inverse-squared", "sqrt")
    coef = 0.1 * RNG.normal(size=shape) if needs_positive else RNG.normal(size=shape)
    intercept = 3.0 if n_outputs == 1 else RNG.normal(size=n_outputs)
    return Model(
        coef,
        intercept if needs_positive or n_outputs > 1 else 0.3,
        loss,
        ("a", "b", "ü,c"),
        classes=classes if loss.is_classifier else None,
    )


def made(kind: str) -> Model:
    loss = LOSSES[kind]()
    return model(loss, ("1", "2", "10") if loss.task == "classes" else ("no", "yes"))


MODELS = [made(kind) for kind in LOSSES] + [model(loss) for loss in LINKED]


@pytest.mark.parametrize("given", MODELS, ids=lambda m: repr(m.loss))
def test_an_onnx_graph_predicts_the_same(given: Model, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(form_of(path)(given))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(None, {"X": X}), strict=True))
    if given.classes is None:
        np.testing.assert_allclose(found["prediction"][:, 0], given.predict(X), rtol=1e-13)
        return
    assert found["label"].tolist() == given.predict(X).tolist()
    if given.loss.has_probabilities:
        np.testing.assert_allclose(found["probabilities"], given.predict_proba(X), rtol=1e-12)
    else:
        np.testing.assert_allclose(found["decision"][:, 0], given.decision(X), rtol=1e-13)


@pytest.mark.parametrize("given", MODELS, ids=lambda m: repr(m.loss))
def test_an_estimator_predicts_the_same_or_there_is_none(given: Model) -> None:
    try:
        estimator: Any = to_scikit_learn(given)
    except JobError as error:
        assert "expected one of" in str(error)
        return
    estimator.__dict__.pop("feature_names_in_")
    found = estimator.predict(X)
    if given.classes is None:
        np.testing.assert_allclose(found, given.predict(X), rtol=1e-13)
        return
    assert found.tolist() == given.predict(X).tolist()
    if given.loss.has_probabilities:
        np.testing.assert_allclose(estimator.predict_proba(X), given.predict_proba(X), rtol=1e-12)


def test_the_usual_losses_have_an_estimator() -> None:
    for kind in ("squared", "logistic", "multinomial", "poisson", "gamma", "hinge", "quantile"):
        assert to_scikit_learn(made(kind)).feature_names_in_.tolist() == ["a", "b", "ü,c"]


def test_the_command_writes_every_form(tmp_path: Path) -> None:
    given = made("multinomial")
    save_model(given, tmp_path / "model.npz")
    for suffix in FORMS:
        out = tmp_path / f"out{suffix}"
        assert export.run(ExportOptions(str(tmp_path / "model.npz"), str(out))) == 0
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert document["coefficients"]["ü,c"] == given.coef[2].tolist()
    assert document["classes"] == ["1", "2", "10"]
    assert document["loss"] == {"kind": "multinomial"}
    lines = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_text(encoding="utf-8"))))
    assert lines[0] == ["column", *(f"coefficient of {label}" for label in ("1", "2", "10"))]
    assert [float(cell) for cell in lines[1][1:]] == np.asarray(given.intercept).tolist()
    assert [float(cell) for cell in lines[4][1:]] == given.coef[2].tolist()
    loaded = joblib.load(tmp_path / "out.joblib")
    assert loaded.classes_.tolist() == [1, 2, 10]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"expected one of \.json, \.csv, \.onnx, \.joblib"):
        form_of(tmp_path / "model.pmml")
    with pytest.raises(JobError, match="'probit' has no operator"):
        form_of(tmp_path / "model.onnx")(model(losses.Logistic(link="probit")))
    with pytest.raises(JobError, match="no estimator for the loss 'logistic'"):
        to_scikit_learn(model(losses.Logistic(link="probit")))
