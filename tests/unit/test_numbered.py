"""Names that are made when asked for are those that would have been made beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mpi_gd.data.names import default_names, digest_of_names
from mpi_gd.losses import Squared
from mpi_gd.model import Model, load_model, save_model
from mpi_gd.numbered import MANY, NumberedNames


def test_they_are_the_names_of_fewer_columns_further_on() -> None:
    few, many = default_names(30), NumberedNames(30)
    assert list(many) == list(few)
    assert many == few
    assert few == many
    assert many[-1] == few[-1]
    assert tuple(many[3:9:2]) == few[3:9:2]
    assert many != NumberedNames(31)
    assert many != ("x0",) * 30
    with pytest.raises(IndexError):
        many[30]


def test_very_many_are_not_made_and_told_apart_by_their_number() -> None:
    names = default_names(10_000_000)
    assert isinstance(names, NumberedNames)
    assert digest_of_names(names) != digest_of_names(default_names(10_000_001))


def test_a_model_of_very_many_columns_keeps_their_number(tmp_path: Path) -> None:
    n = MANY + 1
    model = Model(np.arange(float(n)), 0.0, Squared(), default_names(n))
    save_model(model, tmp_path / "model.npz")
    found = load_model(tmp_path / "model.npz")
    assert isinstance(found.columns, NumberedNames)
    assert found.columns == model.columns
    assert np.array_equal(found.coef, model.coef)
    assert (tmp_path / "model.npz").stat().st_size < 9 * n
