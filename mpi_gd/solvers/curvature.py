"""An approximate inverse of the Hessian, from that of a sample: what a solver multiplies with.

It is replicated on all ranks. Where K outputs are coupled it is that of a Kronecker product, whose
factors are as small as the Hessian of one output.
"""

from __future__ import annotations

import numpy as np

from mpi_gd.solvers.solver import Answer, Floats

__all__ = ["apply_inverse", "inverse_of", "no_inverse", "usual_bend"]

# A column that the sample has seen too little of bends at least by this share of what is usual.
_LEAST_BEND = 0.1
# What is added to a Hessian that has no inverse, as a share of its diagonal, and how it grows.
_RIDGE, _MORE = 1e-10, 100.0
# The least pivot of Cholesky's factor that an inverse makes sense of, as a share.
_LEAST_PIVOT = 1e-12


def no_inverse(n_params: int, n_outputs: int) -> tuple[Floats, Floats]:
    """Return room for both factors, (n_params / K,) square and (K, K)."""
    n = n_params // n_outputs
    return np.zeros((n, n)), np.zeros((n_outputs, n_outputs))


def inverse_of(answer: Answer) -> tuple[Floats, Floats]:
    """Return the inverses of the Hessian in an answer and of its second factor."""
    if answer.hessian is None:
        raise ValueError("the solver has asked for a Hessian")
    first = _inverse(answer.hessian, _LEAST_BEND)
    if answer.coupling is None:
        return first, np.ones((1, 1))
    # What is added to all outputs alike changes no loss: there the second factor is singular.
    k = len(answer.coupling)
    return first, _inverse(answer.coupling + 1.0 / k, 0.0)


def usual_bend(answer: Answer) -> float:
    """Return the intercept's second derivative, or a usual column's where it is held."""
    if answer.hessian is None:
        raise ValueError("the solver has asked for a Hessian")
    lengths = np.diag(answer.hessian)
    used = lengths > 0
    if not used.any():
        return 0.0
    return float(lengths[-1] if used[-1] else np.median(lengths[used]))


def apply_inverse(inverse: tuple[Floats, Floats], q: Floats) -> Floats:
    """Return the inverse times q (n_params,)."""
    first, second = inverse
    if len(second) == 1:
        return np.asarray(first @ q)
    return np.asarray(first @ q.reshape(len(first), -1) @ second).reshape(-1)


def _inverse(matrix: Floats, least: float) -> Floats:
    """Return the inverse of a semidefinite matrix, made definite; 0 for what is held."""
    lengths = np.diag(matrix).copy()
    used = lengths > 0
    if not used.any():
        return np.eye(len(matrix))
    usual = float(np.median(lengths[used]))
    lengths = np.where(used, np.maximum(lengths, least * usual), 0.0)
    scale = np.sqrt(np.where(used, lengths, 1.0))
    whole = matrix / np.outer(scale, scale)
    diagonal = whole.reshape(-1)[:: len(whole) + 1]
    diagonal[:] = 1.0
    ridge = _RIDGE
    while not _is_definite(whole):
        diagonal[:] = 1.0 + ridge
        ridge *= _MORE
    inverse = np.linalg.inv(whole) / np.outer(scale, scale)
    inverse = (inverse + inverse.T) / 2.0
    inverse[~used] = 0.0
    inverse[:, ~used] = 0.0
    return np.asarray(inverse)


def _is_definite(matrix: Floats) -> bool:
    """Whether Cholesky's method finds a factor that is far enough from singular."""
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return float(np.diag(factor).min()) ** 2 > _LEAST_PIVOT
