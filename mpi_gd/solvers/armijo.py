"""What the step rules share: when a decrease is enough, and which steps can mean something."""

from __future__ import annotations

import math

__all__ = ["ROUNDING", "SUFFICIENT", "falls_enough", "require_step"]

# Share of the decrease that the slope promises which a step must bring.
SUFFICIENT = 1e-4
# Near the optimum differences of the objective are rounding errors of this relative size.
ROUNDING = 1e-13


def falls_enough(
    value: float, trial_value: float, step: float, slope: float, trial_slope: float
) -> bool:
    """Tell whether a step along a descent direction lowers the objective enough.

    Armijo: F(u + t p) <= F(u) + c t p.g(u). Where that difference drowns in rounding, the slopes
    decide: p.g(u + t p) <= (2 c - 1) p.g(u), the same for a parabola (Hager and Zhang, "A New
    Conjugate Gradient Method with Guaranteed Descent", SIAM J. Optim. 16(1), 2005, equation 4.1).
    """
    if trial_value <= value + SUFFICIENT * step * slope:
        return True
    near = trial_value <= value + ROUNDING * abs(value)
    return near and trial_slope <= (2.0 * SUFFICIENT - 1.0) * slope


def require_step(step: float) -> None:
    """Raise ValueError for a step that is negative or no number."""
    if not 0 <= step < math.inf:
        raise ValueError(f"step must be a positive number, or 0 to choose it, got {step}")
