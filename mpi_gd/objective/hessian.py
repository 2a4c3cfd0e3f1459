"""What the Hessian of some rows, or its Kronecker factors, are made of, added up block by block."""

from __future__ import annotations

import numpy as np

from mpi_gd.matrix import Block
from mpi_gd.objective.rows import Floats

__all__ = ["Factors", "Hessian"]


class Hessian:
    """Sums of h x x', h x and h, for each pair of outputs j <= k."""

    def __init__(self, shape: tuple[int, ...], n_outputs: int) -> None:
        d = shape[0]
        self._pairs = [(j, k) for j in range(n_outputs) for k in range(j, n_outputs)]
        self._upper = np.triu_indices(d)
        self._grams = np.zeros((len(self._pairs), d, d))
        self._firsts = np.zeros((len(self._pairs), d))
        self._zeroths = np.zeros(len(self._pairs))

    def add(self, block: Block, h: Floats) -> None:
        """Add a block's, h (n,) or (n, K, K).

        Off the diagonal h is not positive: its negative is summed. Where z is not finite, neither
        is h, and all is lost anyway.
        """
        for place, (j, k) in enumerate(self._pairs):
            each = h if h.ndim == 1 else np.abs(h[:, j, k])
            block.add_gram(each, self._grams[place])
            block.add_transposed_times(each, self._firsts[place])
            self._zeroths[place] += np.add.reduce(each)

    def pack(self, out: Floats) -> None:
        """Write one number for each pair of equal ones."""
        n = len(self._upper[0])
        sums = out.reshape(len(self._pairs), -1)
        for place in range(len(self._pairs)):
            sums[place, :n] = self._grams[place][self._upper]
        sums[:, n:-1] = self._firsts
        sums[:, -1] = self._zeroths


class Factors(Hessian):
    """The same for one output, h the mean of all outputs' own, and the sum of all h."""

    def __init__(self, shape: tuple[int, ...], n_outputs: int) -> None:
        super().__init__(shape, 1)
        self._coupling = np.zeros((n_outputs, n_outputs))

    def add(self, block: Block, h: Floats) -> None:
        """Add a block's, h (n, K, K)."""
        self._coupling += np.add.reduce(h, axis=0)
        super().add(block, np.trace(h, axis1=1, axis2=2) / h.shape[1])

    def pack(self, out: Floats) -> None:
        """Write one number for each pair of equal ones, then the couplings."""
        super().pack(out[: -self._coupling.size])
        out[-self._coupling.size :] = self._coupling.reshape(-1)
