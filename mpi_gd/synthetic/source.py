"""A source whose rows are drawn when they are read: tile by tile, each from a stream of its own."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.config import kind_of
from mpi_gd.data.arrays import aligned_empty
from mpi_gd.data.names import default_names
from mpi_gd.data.source import Block, Source
from mpi_gd.losses import LOSSES
from mpi_gd.matrix import Csr
from mpi_gd.synthetic.problem import Floats, Problem
from mpi_gd.synthetic.responses import draw, draw_trials

__all__ = ["SyntheticSource"]

_TILE_BYTES = 1 << 22
_MOST_TILE_ROWS = 4096


class SyntheticSource(Source):
    """Rows of a problem that is made up."""

    def __init__(self, problem: Problem, dtype: str = "float64") -> None:
        """Draw the coefficients; no rows yet."""
        self.problem = problem
        self._kind = kind_of(LOSSES, problem.loss)
        self.n_samples, self.n_features = problem.n_rows, problem.n_columns
        self.columns = default_names(problem.n_columns)
        self.dtype = np.dtype(dtype)
        self.n_stored = problem.n_rows * problem.row_numbers
        self.target_name = "y"
        if self._kind == "binomial":
            self.role_names = MappingProxyType({"trials": "trials"})
        numbers = 2 * problem.row_numbers or problem.n_columns
        rows = max(1, _TILE_BYTES // (8 * numbers))
        self.tile_rows = min(_MOST_TILE_ROWS, 1 << (rows.bit_length() - 1))

    def read(self, start: int, stop: int) -> Block:
        """Draw the rows [start, stop)."""
        self.check_range(start, stop)
        tiles = range(start // self.tile_rows, -(-stop // self.tile_rows))
        if start == stop:
            tiles = range(start // self.tile_rows, start // self.tile_rows + 1)
        parts = [self._tile(tile, start, stop) for tile in tiles]
        extras = {role: np.concatenate([e[role] for _, _, e in parts]) for role in self.role_names}
        y = np.concatenate([y for _, y, _ in parts])
        return Block(self._joined([x for x, _, _ in parts], stop - start), y, extras)

    def fingerprint(self) -> str:
        """Describe the problem."""
        return repr(self.problem)

    def locate(self, row: int) -> str:
        """Name the row."""
        return f"row {row}"

    def _tile(self, tile: int, start: int, stop: int) -> tuple[Any, Floats, dict[str, Floats]]:
        """Draw a tile, and return those of its rows that are in [start, stop)."""
        problem = self.problem
        random = np.random.Generator(np.random.Philox(key=[problem.seed, tile]))
        first = tile * self.tile_rows
        n = max(0, min(self.tile_rows, self.n_samples - first))
        x = self._sparse(n, random) if problem.row_numbers else self._dense(n, random)
        z = np.asarray((x.rows if isinstance(x, Csr) else x) @ problem.coef, dtype=np.float64)
        z += problem.intercept
        if problem.n_outputs == 1:
            z = z[:, 0]
        extras = {}
        if self._kind == "binomial":
            extras["trials"] = draw_trials(problem, n, random)
        y = draw(self._kind, problem, z, random, extras.get("trials"))
        rows = slice(min(max(start - first, 0), n), min(max(stop - first, 0), n))
        own = x.part(rows.start, rows.stop) if isinstance(x, Csr) else x[rows]
        return own, y[rows], {role: values[rows] for role, values in extras.items()}

    def _dense(self, n: int, random: np.random.Generator) -> NDArray[Any]:
        """Return n rows of dense columns, as they are stored."""
        rho = self.problem.correlation
        x = random.standard_normal((self.n_features, n))
        if rho:
            x[1:] *= np.sqrt(1.0 - rho**2)
            for j in range(1, self.n_features):
                x[j] += rho * x[j - 1]
        x *= self.problem.scales[:, np.newaxis]
        # What is stored has the response, not what it was before it was rounded.
        return np.ascontiguousarray(x.T, self.dtype)

    def _sparse(self, n: int, random: np.random.Generator) -> Csr:
        """Return n rows with as many numbers each, one in each of as many runs of columns."""
        k, d = self.problem.row_numbers, self.n_features
        edges = np.arange(k + 1) * d // k
        width = np.diff(edges)
        columns = edges[:-1] + np.minimum(random.random((n, k)) * width, width - 1).astype(np.int64)
        indices = columns.astype(np.int32 if d < 1 << 31 else np.int64).reshape(-1)
        data = random.standard_normal(n * k) * self.problem.scales[indices]
        return Csr(data, indices, np.arange(n + 1) * k, d)

    def _joined(self, parts: list[Any], n_rows: int) -> Any:
        """Return the rows of tiles as one matrix."""
        if not self.problem.row_numbers:
            x = aligned_empty((n_rows, self.n_features), self.dtype)
            return np.concatenate(parts, out=x)
        k = self.problem.row_numbers
        data = np.concatenate([part.rows.data for part in parts])
        indices = np.concatenate([part.rows.indices for part in parts])
        return Csr(data, indices, np.arange(n_rows + 1) * k, self.n_features)
