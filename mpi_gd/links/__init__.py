"""Links: how a mean and the linear predictor z = x.w + b belong together."""

from mpi_gd.links.cloglog import Cloglog
from mpi_gd.links.identity import Identity
from mpi_gd.links.inverse import Inverse
from mpi_gd.links.inverse_squared import InverseSquared
from mpi_gd.links.link import Link, ProbabilityLink
from mpi_gd.links.log import Log
from mpi_gd.links.logit import Logit
from mpi_gd.links.probit import Probit
from mpi_gd.links.sqrt import Sqrt

__all__ = ["LINKS", "PROBABILITY_LINKS", "Link", "ProbabilityLink"]

PROBABILITY_LINKS: dict[str, ProbabilityLink] = {
    "logit": Logit(),
    "probit": Probit(),
    "cloglog": Cloglog(),
}
LINKS: dict[str, Link] = {
    "identity": Identity(),
    "log": Log(),
    "inverse": Inverse(),
    "inverse-squared": InverseSquared(),
    "sqrt": Sqrt(),
    **PROBABILITY_LINKS,
}
