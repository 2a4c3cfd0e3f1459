"""A model's file gives back the same model, has the same bytes each time, and is never misread."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpi_gd.archive import pack, unpack
from mpi_gd.errors import FileError, ModelError
from mpi_gd.losses import LOSSES
from mpi_gd.model import FORMAT_VERSION, Model, load_model, save_model

METADATA = {"solver": {"kind": "lbfgs"}, "objective": 0.1 + 0.2, "n_samples": 10, "status": "done"}
MODEL = Model(
    np.array([0.1, -0.0, 5e-324]), 1 / 3, LOSSES["logistic"](), ("a", "ü", ""), "late",
    ("no", "yes"), METADATA,
)  # fmt: skip


def assert_same(a: Model, b: Model) -> None:
    for field in dataclasses.fields(Model):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, np.ndarray):
            assert one.shape == other.shape
            one, other = one.tobytes(), other.tobytes()
        assert one == other and type(one) is type(other), field.name


@pytest.mark.parametrize("kind", LOSSES)
def test_gives_back_the_same_model(tmp_path: Path, kind: str) -> None:
    loss = LOSSES[kind]()
    classes = ("no", "yes") if loss.is_classifier else None
    parts: dict[str, Any] = {"loss": loss, "classes": classes}
    if loss.n_outputs(2) == 2:
        parts["coef"] = np.column_stack([MODEL.coef, -2 * MODEL.coef])
        parts["intercept"] = np.array([1 / 3, -0.0])
    model = dataclasses.replace(MODEL, **parts)
    save_model(model, tmp_path / "model.npz")
    assert_same(load_model(tmp_path / "model.npz"), model)


def test_same_model_same_bytes(tmp_path: Path) -> None:
    twin = dataclasses.replace(
        MODEL, coef=np.array([0.1, 9, -0.0, 9, 5e-324])[::2],
        metadata=dict(reversed(METADATA.items())),
    )  # fmt: skip
    save_model(MODEL, tmp_path / "one.npz")
    (tmp_path / "folder").mkdir()
    save_model(twin, tmp_path / "folder" / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "folder" / "two.npz").read_bytes()


def test_numpy_reads_the_coefficients(tmp_path: Path) -> None:
    save_model(MODEL, tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        assert file["coef"].tolist() == MODEL.coef.tolist()
        assert file["intercept"] == MODEL.intercept


def test_damage_is_noticed(tmp_path: Path) -> None:
    """Every truncation (sampled) and every flipped byte: refused, with the file's name."""
    path = tmp_path / "model.npz"
    save_model(MODEL, path)
    whole = path.read_bytes()
    cut = [whole[:length] for length in range(0, len(whole), 7)]
    flipped = [
        whole[:i] + bytes([whole[i] ^ (1 << i % 8)]) + whole[i + 1 :] for i in range(len(whole))
    ]
    for data in [*cut, *flipped, whole + b"\0", b"\0" * len(whole)]:
        path.write_bytes(data)
        with pytest.raises(ModelError, match=r"model\.npz: not a usable model"):
            load_model(path)


def content() -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Return the content of a good file, for a test to spoil."""
    document = {
        "format": "mpi_gd model", "format_version": FORMAT_VERSION, "loss": {"kind": "logistic"},
        "columns": ["a"], "target_name": "y", "classes": ["0", "1"], "metadata": {},
    }  # fmt: skip
    return {"coef": np.ones(1), "intercept": np.array(0.0)}, document


def test_the_good_file_is_good(tmp_path: Path) -> None:
    (tmp_path / "m.npz").write_bytes(pack(*content()))
    assert load_model(tmp_path / "m.npz").n_features == 1


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("format", "mpi_gd checkpoint", "expected 'mpi_gd model'"),
        ("format", None, "expected 'mpi_gd model'"),
        ("format_version", 99, "use the mpi_gd that wrote it, or a newer one"),
        ("format_version", "1", "format version"),
        ("loss", None, "its loss is None"),
        ("loss", {"kind": "hinge-of-2031"}, "this mpi_gd knows .*logistic"),
        ("loss", {"kind": "logistic", "unheard_of": 1}, "cannot be built"),
        ("loss", {"kind": ["logistic"]}, "its loss is"),
        ("columns", ["a", "b"], "2 column names for 1"),
        ("columns", [1], "columns: got"),
        ("columns", "a", "columns: got"),
        ("target_name", None, "target_name"),
        ("classes", ["0"], "different labels"),
        ("classes", ["0", 1], "classes: got"),
        ("classes", None, "expected labels"),
        ("metadata", [], "metadata: got"),
        ("coef", np.ones((1, 1)), "coef: got"),
        ("coef", np.ones(1, dtype=np.float32), "coef: got float32"),
        ("coef", np.array([np.nan]), "not a finite"),
        ("intercept", np.ones(1), "intercept"),
        ("intercept", np.array(1), "intercept"),
    ],
)
def test_sound_archives_that_are_no_models_are_refused(
    tmp_path: Path, key: str, value: object, words: str
) -> None:
    arrays, document = content()
    parts: dict[str, Any] = arrays if key in arrays else document
    parts[key] = value
    (tmp_path / "m.npz").write_bytes(pack(arrays, document))
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path / "m.npz")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no\.npz: cannot read: no such file"):
        load_model(tmp_path / "no.npz")


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="make the folder"):
        save_model(MODEL, tmp_path / "no" / "m.npz")
    with pytest.raises(ModelError, match="JSON"):
        save_model(dataclasses.replace(MODEL, metadata={"gap": float("nan")}), tmp_path / "m.npz")
    assert os.listdir(tmp_path) == []


def test_a_loss_that_is_not_registered_is_refused(tmp_path: Path) -> None:
    class Own(type(MODEL.loss)):  # type: ignore[misc]
        pass

    with pytest.raises(ModelError, match="Own is not in LOSSES"):
        save_model(dataclasses.replace(MODEL, loss=Own()), tmp_path / "m.npz")


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    save_model(MODEL, tmp_path / "m.npz")
    arrays, document = unpack(tmp_path / "m.npz")
    assert sorted(arrays) == ["coef", "intercept"]
    assert document["format"] == "mpi_gd model"
    assert document["metadata"] == METADATA
    assert document["loss"]["kind"] == "logistic"
