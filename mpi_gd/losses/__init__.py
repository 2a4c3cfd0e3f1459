"""Losses: pointwise functions of a target y and a linear predictor z = x.w + b."""

from mpi_gd.losses.binomial import Binomial
from mpi_gd.losses.epsilon_insensitive import EpsilonInsensitive
from mpi_gd.losses.gamma import Gamma
from mpi_gd.losses.hinge import Hinge
from mpi_gd.losses.huber import Huber
from mpi_gd.losses.inverse_gaussian import InverseGaussian
from mpi_gd.losses.logistic import Logistic
from mpi_gd.losses.loss import Likelihood, Loss
from mpi_gd.losses.multinomial import Multinomial
from mpi_gd.losses.negative_binomial import NegativeBinomial
from mpi_gd.losses.poisson import Poisson
from mpi_gd.losses.quantile import Quantile
from mpi_gd.losses.squared import Squared
from mpi_gd.losses.squared_epsilon_insensitive import SquaredEpsilonInsensitive
from mpi_gd.losses.squared_hinge import SquaredHinge
from mpi_gd.losses.tweedie import Tweedie

__all__ = [
    "LOSSES",
    "Binomial",
    "EpsilonInsensitive",
    "Gamma",
    "Hinge",
    "Huber",
    "InverseGaussian",
    "Likelihood",
    "Logistic",
    "Loss",
    "Multinomial",
    "NegativeBinomial",
    "Poisson",
    "Quantile",
    "Squared",
    "SquaredEpsilonInsensitive",
    "SquaredHinge",
    "Tweedie",
]

LOSSES: dict[str, type[Loss]] = {
    "squared": Squared,
    "logistic": Logistic,
    "multinomial": Multinomial,
    "binomial": Binomial,
    "poisson": Poisson,
    "negative-binomial": NegativeBinomial,
    "gamma": Gamma,
    "inverse-gaussian": InverseGaussian,
    "tweedie": Tweedie,
    "huber": Huber,
    "quantile": Quantile,
    "epsilon-insensitive": EpsilonInsensitive,
    "squared-epsilon-insensitive": SquaredEpsilonInsensitive,
    "hinge": Hinge,
    "squared-hinge": SquaredHinge,
}
