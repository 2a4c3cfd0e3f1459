"""Rows of float16 are worked on as the float64 numbers that they are."""

from __future__ import annotations

import numpy as np
import pytest

from mpi_gd.data.grid import RowGrid
from mpi_gd.matrix import Dense
from mpi_gd.matrix.half import Widener

ALL = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
FINITE = ALL[np.isfinite(ALL)]


@pytest.mark.parametrize("numbers", [ALL, FINITE], ids=["all", "finite"])
def test_every_number_is_converted_exactly(numbers: np.ndarray) -> None:
    """Protects zeros' signs, subnormal numbers, infinity and NaN."""
    # Several pieces, the last one short.
    x = np.tile(numbers, 3)[:-5].reshape(1, -1)
    out = np.empty(x.shape)
    Widener().widen(x, out)
    wanted = x.astype(np.float64)
    np.testing.assert_array_equal(out, wanted)
    np.testing.assert_array_equal(np.signbit(out), np.signbit(wanted))


def test_blocks_are_those_of_the_same_numbers_in_float64() -> None:
    """Protects the shift, the products, and rows put beside other columns."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 7)).astype(np.float16)
    shift, w, r = rng.normal(size=7), rng.normal(size=7), rng.normal(size=200)
    found = []
    for rows in (x, x.astype(np.float64)):
        reader = Dense(rows).reader(256, shift)
        z, gradient, beside = np.empty(200), np.zeros(7), np.zeros((200, 9))
        block = reader.block(50, 250)
        block.times(w, z)
        block.add_transposed_times(r, gradient)
        reader.put(50, 250, beside[:, :7])
        plain = Dense(rows).reader(256)
        plain.put(50, 250, beside[:, :7])
        found.append((z, gradient, beside, plain.block(0, 3).dense().copy()))
    for half, full in zip(*found, strict=True):
        np.testing.assert_array_equal(half, full)


def test_what_is_not_finite_is_found_by_row_and_column() -> None:
    x = np.ones((5, 3), dtype=np.float16)
    x[3, 1] = np.inf
    assert Dense(x).find_not_finite(1, 5) == (3, 1, np.inf)


def test_tiles_of_float16_are_as_sensible_as_those_of_float64() -> None:
    """Protects the exact sum's price, and ranks without rows."""
    for n, d in ((1_000_000, 100), (1_000_000, 4), (5000, 20_000)):
        half, full = RowGrid(n, d, 2), RowGrid(n, d, 8)
        assert full.block_rows <= half.block_rows <= 8192
        assert half.tile_rows % half.block_rows == 0 and half.n_tiles >= 8
