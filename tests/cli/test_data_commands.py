"""inspect, convert and generate as people run them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpi_gd.model import load_model

pytestmark = pytest.mark.one_mpi


def files(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_a_generated_problem_trains_at_once_and_is_found(workplace: Any, program: Any) -> None:
    args = ("--rows", "2e4", "--columns", "6", "--correlation", "0.5", "--loss", "poisson")
    made: list[dict[str, bytes]] = []
    for n in (1, 3):
        folder = workplace.folder / f"g{n}"
        folder.mkdir()
        done = program(n, "generate", f"g{n}/p.npz", *args)
        assert done.rc == 0, done.text
        made.append(files(folder))
    assert sorted(made[0]) == ["p-truth.json", "p.npz", "p.toml"]
    assert made[0] == made[1]
    done = program(2, "train", "g1/p.toml", "--out", "run")
    assert done.rc == 0, done.text
    truth = json.loads(made[0]["p-truth.json"])
    model = load_model(workplace.folder / "run" / "model.npz")
    np.testing.assert_allclose(model.coef, list(truth["coef"].values()), atol=0.03)
    assert program(1, "generate", "g1/p.npz", *args).rc == 2


def test_a_round_trip_keeps_every_bit(workplace: Any, program: Any) -> None:
    """.npy to .csv to .npz to .npy: the numbers are the same."""
    steps = (
        (3, "x.npy", "a.csv", "label.npy"),
        (2, "a.csv", "b.npz", "label"),
        (1, "b.npz", "c.npy", "label"),
    )
    for n, source, destination, target in steps:
        done = program(n, "convert", source, destination, "--set", f"target={target}")
        assert done.rc == 0, done.text
    np.testing.assert_array_equal(np.load(workplace.folder / "c.npy"), workplace.x)
    np.testing.assert_array_equal(np.load(workplace.folder / "c-y.npy"), workplace.label)


def test_inspect_says_the_same_on_any_number_of_ranks(workplace: Any, program: Any) -> None:
    args = ("inspect", "x.npy", "--set", "target=label.npy", "--ranks", "4", "--json")
    found = [json.loads(done.out) for done in (program(1, *args), program(3, *args))]
    for each in found:
        # What is free changes all the time.
        del each["training"]["free_bytes"]
    assert found[0] == found[1]
    figures = {column["name"]: column for column in found[0]["profile"]}
    assert figures["x6"]["mean"] == pytest.approx(workplace.x[:, 6].mean(), rel=1e-12)
    table = program(1, *args[:-1])
    assert "standardize = true" in table.out
    assert "two labels" in table.out


def test_mistakes_are_one_message(workplace: Any, program: Any) -> None:
    for args, wanted in (
        (("convert", "x.npy", "x.npy", "--set", "target=y.npy", "--force"), "it is what is read"),
        (("generate", "g.csv", "--loss", "squarred"), "expected one of squared"),
        (("inspect", "x.npy", "--set", "targt=y.npy"), "did you mean 'target'"),
    ):
        done = program(2, *args)
        assert done.rc == 2, done.text
        assert done.err.count("mpi_gd: error") == 1
        assert wanted in done.err
