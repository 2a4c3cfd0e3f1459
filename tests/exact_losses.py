"""Losses by the formulas in the books, in decimal numbers of many digits.

They share nothing with the package: no cancellation, overflow or clever rearrangement hides here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from decimal import Context, Decimal, localcontext
from typing import Any

from mpi_gd.losses import LOSSES, Loss

__all__ = ["exact_loss", "exact_mean", "exact_sum", "second_difference", "slope"]

DIGITS = 100
D = Decimal
PI = D(
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803"
    "4825342117067982148086513282306647"
)


def digits() -> AbstractContextManager[Context]:
    """Compute with so many digits and any exponent inside."""
    return localcontext(prec=DIGITS, Emin=-(10**17), Emax=10**17)


def exact_loss(loss: Loss, z: Decimal | Sequence[Decimal], y: Decimal) -> Decimal:
    """Return the loss of one row; z is a sequence for the multinomial loss."""
    kind = next(kind for kind, cls in LOSSES.items() if isinstance(loss, cls))
    keys: dict[str, Any] = {f.name: getattr(loss, f.name) for f in dataclasses.fields(loss)}
    with digits():
        if not isinstance(z, Decimal):
            return sum((a.exp() for a in z), D(0)).ln() - z[int(y)]
        if kind in ("logistic", "binomial"):
            second, first = log_probabilities(keys["link"], z)
            return -(y * second if y else D(0)) - ((1 - y) * first if y != 1 else D(0))
        if kind in RESIDUALS:
            return RESIDUALS[kind](z - y, keys)
        if kind in MARGINS:
            return MARGINS[kind](1 - (2 * y - 1) * z)
        mean = exact_mean(keys.get("link", "log"), z)
        return OF_MEAN[kind](mean, y, keys)


def exact_sum(rows: Sequence[Decimal]) -> Decimal:
    """Return the sum of numbers that may be beyond all floats."""
    with digits():
        return sum(rows, D(0))


def exact_mean(link: str, z: Decimal) -> Decimal:
    """Return the mean that z stands for."""
    with digits():
        match link:
            case "identity":
                return +z
            case "log":
                return z.exp()
            case "inverse":
                return 1 / z
            case "inverse-squared":
                return 1 / z.sqrt()
            case "sqrt":
                return z * z
        return log_probabilities(link, z)[0].exp()


def log_probabilities(link: str, z: Decimal) -> tuple[Decimal, Decimal]:
    """Return log p and log(1 - p)."""
    with digits():
        if link == "logit":
            return -log1p((-z).exp()), -log1p(z.exp())
        if link == "cloglog":
            m = z.exp()
            return log1p(-(-m).exp()) if m > D("1e-30") else z - m / 2, -m
        tail = log_normal_tail(abs(z))
        rest = log1p(-tail.exp())
        return (rest, tail) if z > 0 else (tail, rest)


def log1p(x: Decimal) -> Decimal:
    """Return log(1 + x)."""
    return (1 + x).ln() if abs(x) > D("1e-40") else x - x * x / 2


def log_normal_tail(t: Decimal) -> Decimal:
    """Return log Q(t), t >= 0."""
    density = -t * t / 2 - (2 * PI).ln() / 2
    if t < 8:
        # Phi(t) = 1/2 + phi(t) (t + t^3/3 + t^5/15 + ...)
        term = total = t
        k = 1
        while term > D("1e-110"):
            k += 2
            term = term * t * t / k
            total += term
        return (D("0.5") - density.exp() * total).ln()
    # Laplace's continued fraction of Mills' ratio.
    fraction = D(0)
    for k in range(600, 0, -1):
        fraction = k / (t + fraction)
    return density - (t + fraction).ln()


def times_log(y: Decimal, x: Decimal) -> Decimal:
    """Return y log x, 0 for y = 0."""
    return y * x.ln() if y else D(0)


def tweedie(mean: Decimal, y: Decimal, keys: dict[str, Any]) -> Decimal:
    """Return the Tweedie loss."""
    p = D(keys["power"])
    if p == 1:
        return mean - times_log(y, mean)
    if p == 2:
        return y / mean + mean.ln()
    return mean ** (2 - p) / (2 - p) - (y * mean ** (1 - p) / (1 - p) if y else D(0))


def negative_binomial(mean: Decimal, y: Decimal, keys: dict[str, Any]) -> Decimal:
    """Return the negative binomial loss."""
    theta = D(keys["theta"])
    return (y + theta) * log1p(mean / theta) - times_log(y, mean)


def huber(r: Decimal, keys: dict[str, Any]) -> Decimal:
    """Return the Huber loss."""
    delta = D(keys["delta"])
    return r * r / 2 if abs(r) <= delta else delta * (abs(r) - delta / 2)


def pinball(r: Decimal, keys: dict[str, Any]) -> Decimal:
    """Return the quantile loss; r = z - y."""
    q = D(keys["quantile"])
    return -q * r if r < 0 else (1 - q) * r


def positive(x: Decimal) -> Decimal:
    """Return max(0, x)."""
    return max(D(0), x)


OF_MEAN: dict[str, Callable[[Decimal, Decimal, dict[str, Any]], Decimal]] = {
    "squared": lambda mean, y, keys: (mean - y) ** 2 / 2,
    "poisson": lambda mean, y, keys: mean - times_log(y, mean),
    "gamma": lambda mean, y, keys: y / mean + mean.ln(),
    "inverse-gaussian": lambda mean, y, keys: y / (2 * mean * mean) - 1 / mean,
    "tweedie": tweedie,
    "negative-binomial": negative_binomial,
}
RESIDUALS: dict[str, Callable[[Decimal, dict[str, Any]], Decimal]] = {
    "huber": huber,
    "quantile": pinball,
    "epsilon-insensitive": lambda r, keys: positive(abs(r) - D(keys["epsilon"])),
    "squared-epsilon-insensitive": lambda r, keys: positive(abs(r) - D(keys["epsilon"])) ** 2,
}
MARGINS: dict[str, Callable[[Decimal], Decimal]] = {
    "hinge": positive,
    "squared-hinge": lambda v: positive(v) ** 2,
}


def slope(f: Callable[[Decimal], Decimal], z: Decimal) -> Decimal:
    """Return the derivative to 30 digits: a central difference of decimal numbers."""
    with digits():
        h = D("1e-22") * max(abs(z), D("1e-3"))
        return (f(z + h) - f(z - h)) / (2 * h)


def second_difference(f: Callable[[Decimal], Decimal], z: Decimal) -> Decimal:
    """Return the second derivative to 30 digits."""
    with digits():
        h = D("1e-20") * max(abs(z), D("1e-3"))
        return (f(z + h) - 2 * f(z) + f(z - h)) / (h * h)
