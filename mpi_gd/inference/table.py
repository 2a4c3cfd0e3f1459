"""The summary table that people know: a line for each coefficient."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mpi_gd.inference.summary import Inference

__all__ = ["Coefficient", "as_json", "as_text", "coefficients", "require_student"]

_ROOT_2 = math.sqrt(2.0)
_MOST_LINES = 60
_WIDTH = 30
_NAMES = {
    "n": "rows",
    "clusters": "clusters",
    "dispersion": "dispersion",
    "log_likelihood": "log likelihood",
    "aic": "AIC",
    "bic": "BIC",
    "pseudo_r2_mcfadden": "pseudo R2 (McFadden)",
    "pseudo_r2_deviance": "explained deviance",
}
_KINDS = {
    "fisher": "from the Fisher information",
    "hc0": "robust (HC0)",
    "hc1": "robust (HC1)",
    "cluster": "robust, clustered",
}


@dataclass(frozen=True)
class Coefficient:
    """A line of the table; None where a coefficient was held at 0."""

    name: str
    estimate: float
    std_error: float | None
    statistic: float | None
    """estimate / std_error: z, or t where the dispersion is estimated."""
    p_value: float | None
    """Two-sided, of the hypothesis that the coefficient is 0."""
    lower: float | None
    upper: float | None
    """The ends of the confidence interval."""


def require_student() -> None:
    """Raise ImportError unless Student's distribution is there."""
    import scipy.special  # noqa: F401


def coefficients(
    found: Inference, estimates: Any, names: list[str], level: float
) -> list[Coefficient]:
    """Return the lines for estimates (n_params,) of these names."""
    variances = np.diag(found.covariance)
    quantile = _quantile(0.5 + level / 2, found)
    lines = []
    for name, estimate, variance, free in zip(names, estimates, variances, found.free, strict=True):
        value = float(estimate)
        if not free or not variance > 0:
            lines.append(Coefficient(name, value, None, None, None, None, None))
            continue
        error = math.sqrt(variance)
        lines.append(
            Coefficient(
                name,
                value,
                error,
                value / error,
                _two_sided(value / error, found),
                value - quantile * error,
                value + quantile * error,
            )
        )
    return lines


def _quantile(share: float, found: Inference) -> float:
    """Return the quantile of the statistic's distribution."""
    if not found.uses_t:
        # Brings fractions and decimals along; few ranks print a table.
        from statistics import NormalDist

        return NormalDist().inv_cdf(share)
    from scipy.special import stdtrit

    return float(stdtrit(found.df_residual, share))


def _two_sided(statistic: float, found: Inference) -> float:
    """Return the probability of a statistic as far from 0."""
    if not found.uses_t:
        return math.erfc(abs(statistic) / _ROOT_2)
    from scipy.special import stdtr

    return 2.0 * float(stdtr(found.df_residual, -abs(statistic)))


def as_json(found: Inference, lines: list[Coefficient], level: float, note: str) -> dict[str, Any]:
    """Return the table for summary.json; `note` says what its reader must know."""
    return {
        "covariance": found.kind,
        "level": level,
        "statistic": "t" if found.uses_t else "z",
        "note": note,
        **found.measures,
        "coefficients": [asdict(line) for line in lines],
    }


def as_text(found: Inference, lines: list[Coefficient], level: float, note: str) -> str:
    """Return the table for people."""
    letter = "t" if found.uses_t else "z"
    share = f"{(1 - level) / 2:.4g}", f"{(1 + level) / 2:.4g}"
    heads = ["", "coef", "std err", letter, f"P>|{letter}|", f"[{share[0]}", f"{share[1]}]"]
    table = [heads, *(_cells(line) for line in lines[:_MOST_LINES])]
    widths = [max(len(row[k]) for row in table) for k in range(len(heads))]
    text = [
        "  ".join(
            cell.ljust(width) if not k else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    if len(lines) > _MOST_LINES:
        text.append(f"... and {len(lines) - _MOST_LINES} more in summary.json")
    measures = found.measures
    text.append(f"Standard errors {_KINDS[found.kind]}{'; ' + note if note else ''}.")
    if "deviance" in measures:
        text.append(
            f"Deviance {measures['deviance']:.8g} on {measures['df_residual']} degrees of freedom, "
            f"null deviance {measures['null_deviance']:.8g} on {measures['df_null']}"
        )
    shown = [f"{label} {measures[key]:.8g}" for key, label in _NAMES.items() if key in measures]
    text.append(", ".join(shown))
    return "\n".join(text)


def _cells(line: Coefficient) -> list[str]:
    """Return the cells of a line."""
    name = line.name if len(line.name) <= _WIDTH else line.name[: _WIDTH - 3] + "..."
    if line.std_error is None:
        return [name, f"{line.estimate:.5g}", "", "", "", "", ""]
    numbers = (line.estimate, line.std_error, line.statistic, line.p_value, line.lower, line.upper)
    return [
        name,
        *(f"{number:.3g}" if k == 3 else f"{number:.5g}" for k, number in enumerate(numbers)),
    ]
