"""Losses: pointwise functions of a target y and a linear predictor z = x.w + b."""

from mpi_gd.losses.logistic import Logistic
from mpi_gd.losses.loss import Likelihood, Loss
from mpi_gd.losses.squared import Squared

__all__ = ["LOSSES", "Likelihood", "Logistic", "Loss", "Squared"]

LOSSES: dict[str, type[Loss]] = {
    "squared": Squared,
    "logistic": Logistic,
}
