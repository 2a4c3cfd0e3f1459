"""The same numbers train to the same coefficients, whatever the format, on any number of ranks."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest
import safetensors.numpy
import zarr

from mpi_gd.model import load_model

pytestmark = pytest.mark.one_mpi


def coefficients(workplace: Any, program: Any, ranks: int, path: str, target: str = "y") -> bytes:
    """Train on a file; return the bits of the coefficients."""
    job = workplace.job("[stop]\nmax_iter = 5\ntol = 1e-3")
    out = f"{path}-{ranks}"
    words = ["--set", f"data.path={path}", "--set", f"data.target={target}"]
    done = program(ranks, "train", job, "--out", out, *words)
    assert done.rc in (0, 4), done.text
    model = load_model(workplace.folder / out / "model.npz")
    return bytes(model.coef.tobytes() + np.float64(model.intercept).tobytes())


def test_every_format_of_arrays_gives_the_same_coefficients(workplace: Any, program: Any) -> None:
    folder, arrays = workplace.folder, {"X": workplace.x, "y": workplace.label}
    with h5py.File(folder / "d.h5", "w") as file:
        file.create_dataset("X", data=workplace.x, chunks=(500, 3), compression="gzip")
        file["y"] = workplace.label
    group = zarr.open_group(str(folder / "d.zarr"), mode="w")
    for name, array in arrays.items():
        chunks = (700, 3)[: array.ndim]
        group.create_array(name, shape=array.shape, dtype="f8", chunks=chunks)[:] = array
    safetensors.numpy.save_file(arrays, folder / "d.safetensors")
    found = {
        coefficients(workplace, program, 1, "x.npy", "label.npy"),
        coefficients(workplace, program, 2, "d.h5"),
        coefficients(workplace, program, 3, "d.zarr"),
        coefficients(workplace, program, 3, "d.safetensors"),
    }
    assert len(found) == 1


def test_float16_gives_the_same_coefficients_on_any_number_of_ranks(
    workplace: Any, program: Any
) -> None:
    np.save(workplace.folder / "h.npy", workplace.x.astype(np.float16))
    found = {coefficients(workplace, program, n, "h.npy", "label.npy") for n in (1, 3)}
    assert len(found) == 1
