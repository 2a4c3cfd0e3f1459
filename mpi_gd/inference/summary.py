"""Standard errors, tests and intervals of a fit's coefficients, and how well the fit does.

The model is that of generalized linear models (McCullagh and Nelder, "Generalized Linear Models",
2nd edition, 1989, chapter 2); what R's summary.glm prints and statsmodels' GLM, is meant to be the
same here. All sums are over all ranks' rows and have the same bits on any number of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import TileSum, World
from mpi_gd.inference.clusters import cluster_gram
from mpi_gd.inference.null import null_intercept
from mpi_gd.losses import Likelihood, Loss
from mpi_gd.objective import Objective, Rows, Scaling

__all__ = ["Fit", "Inference", "infer"]

Floats = NDArray[np.float64]

# Eigenvalues of the information below this share of the largest are those of directions in which
# the likelihood does not change.
_FLAT = 1e-13


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted model and this rank's rows, as it was trained."""

    objective: Objective
    rows: Rows
    y: Floats
    """(n_rows,): the response."""
    loss: Loss
    scaling: Scaling
    u: Floats
    """(n_params,): the optimum in the solver's coordinates."""
    free: NDArray[np.bool_]
    """(n_params,): the parameters that were fitted."""
    penalty_hessian: Floats
    """(n_params,): the diagonal of a smooth penalty's Hessian; zeros without one."""
    is_regular: bool
    """Whether it is known that no free column is a combination of others."""
    clusters: NDArray[Any] | None = None
    """(n_rows,): numbers or text, if the rows come in clusters."""
    trials: Floats | None = None
    """(n_rows,): the trials whose successes the response is a share of; in `rows.weight` too."""


@dataclass(frozen=True, eq=False)
class Inference:
    """What `infer` finds; the parameters are in the data's own coordinates."""

    covariance: Floats
    """(n_params, n_params), in the order of u."""
    free: NDArray[np.bool_]
    """(n_params,): the others have no standard error."""
    kind: str
    """How the covariance was estimated."""
    uses_t: bool
    """Whether statistics are referred to Student's t, because the dispersion is estimated."""
    df_residual: int
    """Rows minus parameters."""
    measures: dict[str, float | int]
    """Deviance, dispersion, log likelihood and what is made of them, by name."""


def infer(world: World, fit: Fit, kind: str) -> Inference:
    """Return the inference about a fit; collective.

    `kind` of covariance: "fisher", "hc0", "hc1" or "cluster".
    """
    loss, rows = fit.loss, fit.rows
    is_fisher = kind == "fisher"
    information = fit.objective.gram(fit.u, lambda z, y, w: _weighted(loss.fisher(z, y), w))
    curvature = information
    if not is_fisher:
        curvature = fit.objective.gram(
            fit.u, lambda z, y, w: _weighted(loss.second_derivative(z, y), w)
        )
    penalty = np.diag(fit.penalty_hessian * fit.scaling.weight)
    bread = _inverse(curvature + penalty, fit.free)
    n, n_params = fit.scaling.n_rows, _rank(fit, information)
    measures = _measures(world, fit, n, n_params)
    uses_t = isinstance(loss, Likelihood) and loss.dispersion is None
    if is_fisher:
        covariance = bread @ information @ bread * measures.get("dispersion", 1.0)
    elif kind == "cluster" and fit.clusters is not None:
        meat, n_clusters = cluster_gram(world, fit.objective, rows, fit.clusters, fit.u)
        measures["clusters"] = n_clusters
        # As statsmodels and Stata do it.
        factor = n_clusters / max(1, n_clusters - 1) * (n - 1) / max(1, n - n_params)
        covariance = bread @ meat @ bread * factor
    else:
        meat = _outer_products(fit)
        covariance = bread @ meat @ bread
        if kind == "hc1":
            covariance *= n / max(1, n - n_params)
    change = fit.scaling.to_original_matrix()
    covariance = change @ covariance @ change.T
    problem = fit.objective.problem
    if is_fisher and problem.has_closed_form and problem.is_ill_conditioned:
        covariance = _exact_inverse(fit) * measures.get("dispersion", 1.0)
    return Inference(
        covariance=covariance,
        free=fit.free,
        kind=kind,
        uses_t=uses_t and is_fisher,
        df_residual=n - n_params,
        measures=measures,
    )


def _weighted(h: Floats, weight: NDArray[Any] | None) -> Floats:
    """Return h times the weights."""
    return h if weight is None else (h.T * weight).T


def _outer_products(fit: Fit) -> Floats:
    """Return the sum of s s' over all rows, s their loss's gradient (n_params,); collective.

    The middle of White's sandwich. Of K outputs r_j r_k is ((r_j + r_k)^2 - r_j^2 - r_k^2) / 2, for
    Gram matrices have weights of one sign.
    """

    def squares(z: Floats, target: Floats, weight: NDArray[Any] | None) -> Floats:
        r = z.copy()
        fit.loss.sum_and_derivative(r, target, weight)
        if r.ndim == 1:
            return np.square(r)
        sums = -np.square(r[:, :, None] + r[:, None, :])
        outputs = np.arange(r.shape[1])
        sums[:, outputs, outputs] = np.square(r)
        return sums

    k = fit.scaling.n_outputs
    found = fit.objective.gram(fit.u, squares)
    if k == 1:
        return found
    blocks = found.reshape(-1, k, len(found) // k, k)
    own = np.stack([blocks[:, j, :, j] for j in range(k)])
    for i in range(k):
        for j in range(k):
            blocks[:, i, :, j] = own[i] if i == j else -(blocks[:, i, :, j] + own[i] + own[j]) / 2.0
    return found


def _inverse(matrix: Floats, free: NDArray[np.bool_]) -> Floats:
    """Return the inverse over the free parameters; where it is flat, the pseudo-inverse."""
    inverse = np.zeros_like(matrix)
    places = np.ix_(free, free)
    values, vectors = np.linalg.eigh(matrix[places])
    kept = values > _FLAT * values.max(initial=0.0)
    inverse[places] = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return inverse


def _exact_inverse(fit: Fit) -> Floats:
    """Return (X'X)^-1 of coefficients and intercept where float64 would not do; collective."""
    inverse = fit.objective.eliminate().inverse
    scaling = fit.scaling
    if not fit.free[-1]:
        return np.pad(inverse, (0, 1))
    cross = -inverse @ scaling.mean
    corner = 1.0 / scaling.weight - float(np.dot(cross, scaling.mean))
    return np.block([[inverse, cross[:, None]], [cross[None], np.array([[corner]])]])


def _rank(fit: Fit, information: Floats) -> int:
    """Return the number of parameters that the data determine."""
    free, k = fit.free, fit.scaling.n_outputs
    if fit.is_regular:
        # Of K outputs one is determined by the others.
        return int(np.count_nonzero(free)) * max(1, k - 1) // k
    values = np.linalg.eigvalsh(information[np.ix_(free, free)])
    return int(np.count_nonzero(values > _FLAT * values.max(initial=0.0)))


def _measures(world: World, fit: Fit, n: int, n_params: int) -> dict[str, float | int]:
    """Return deviance, dispersion, likelihood and what is made of them; collective."""
    loss = fit.loss
    found: dict[str, float | int] = {"n": n, "df_model": n_params, "df_residual": n - n_params}
    if not isinstance(loss, Likelihood):
        return found
    k = fit.scaling.n_outputs
    has_intercept = bool(fit.free[-k:].any())
    z = fit.objective.predictor(fit.u)
    start: float | Floats = 0.0 if k == 1 else np.zeros(k)
    if has_intercept and k == 1:
        total, weight = _totals(world, fit, np.stack([fit.y, np.ones(len(fit.y))]))
        start = loss.start(total / weight)
    b = null_intercept(world, fit.rows, loss, start, has_intercept)
    offset = 0.0 if fit.rows.offset is None else fit.rows.offset
    z0 = (np.zeros(z.shape).T + offset).T + b
    found["deviance"] = _deviance(world, fit, z)
    found["null_deviance"] = _deviance(world, fit, z0)
    found["df_null"] = n - int(has_intercept) * max(1, k - 1)
    if loss.dispersion is None and n > n_params:
        mean = loss.inverse_link(z)
        pearson = np.square(fit.y - mean) / loss.variance(mean)
        found["pearson_chi2"] = _totals(world, fit, pearson[None])[0]
        found["dispersion"] = found["pearson_chi2"] / (n - n_params)
    elif loss.dispersion is not None:
        found["dispersion"] = loss.dispersion
    _add_likelihoods(world, fit, z, z0, found)
    return found


def _add_likelihoods(
    world: World, fit: Fit, z: Floats, z0: Floats, found: dict[str, float | int]
) -> None:
    """Add the log likelihoods, AIC, BIC and pseudo R2, with R's conventions; collective.

    A dispersion that is estimated enters the likelihood as deviance / n and counts as a parameter,
    as in R's family()$aic.
    """
    loss, n = fit.loss, found["n"]
    if not isinstance(loss, Likelihood):
        return
    null_deviance = found["null_deviance"]
    if null_deviance > 0:
        found["pseudo_r2_deviance"] = 1.0 - found["deviance"] / null_deviance
    likelihoods = []
    for predictor, deviance in ((z, found["deviance"]), (z0, null_deviance)):
        dispersion = loss.dispersion
        if dispersion is None:
            dispersion = deviance / n
            if not dispersion > 0:
                return
        mean = loss.inverse_link(predictor)
        # A weight beside the trials tells how often the row stands there.
        density_weight = fit.rows.weight if fit.trials is None else fit.trials
        each = loss.log_likelihood(fit.y, mean, density_weight, dispersion)
        if each is None:
            return
        if fit.trials is not None and fit.rows.weight is not None:
            each = each * (fit.rows.weight / fit.trials)
        likelihoods.append(_totals(world, fit, each[None], weighted=False)[0])
    found["log_likelihood"], found["null_log_likelihood"] = likelihoods
    k = found["df_model"] + (loss.dispersion is None)
    found["aic"] = 2.0 * k - 2.0 * likelihoods[0]
    found["bic"] = math.log(n) * k - 2.0 * likelihoods[0]
    if likelihoods[1] < 0:
        found["pseudo_r2_mcfadden"] = 1.0 - likelihoods[0] / likelihoods[1]


def _deviance(world: World, fit: Fit, z: Floats) -> float:
    """Return 2 sum weight (loss - the least it can be); collective."""
    partials = np.zeros((fit.rows.n_tiles, 2))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for sums, (start, stop) in zip(partials, fit.rows.tiles(), strict=True):
            weight = None if fit.rows.weight is None else fit.rows.weight[start:stop]
            target = fit.rows.target[start:stop]
            sums[0] = fit.loss.sum_and_derivative(z[start:stop].copy(), target, weight)
            least = fit.loss.least(target)
            sums[1] = np.add.reduce(
                least if weight is None else np.where(weight, least * weight, 0)
            )
    total = TileSum(world, fit.rows.grid.n_tiles, 2).sum(partials)
    return max(0.0, 2.0 * float(total[0] - total[1]))


def _totals(world: World, fit: Fit, values: Floats, *, weighted: bool = True) -> list[float]:
    """Return the weighted sums of `values` (k, n_rows) over all ranks' rows; collective."""
    if weighted and fit.rows.weight is not None:
        values = np.where(fit.rows.weight > 0, values * fit.rows.weight, 0.0)
    partials = np.zeros((fit.rows.n_tiles, len(values)))
    for sums, (start, stop) in zip(partials, fit.rows.tiles(), strict=True):
        sums[:] = np.add.reduce(values[:, start:stop], axis=1)
    return [float(v) for v in TileSum(world, fit.rows.grid.n_tiles, len(values)).sum(partials)]
