"""Standard errors, tests, intervals and measures of a fit, as R and statsmodels report them."""

from mpi_gd.inference.separation import find_separation
from mpi_gd.inference.summary import Fit, Inference, infer
from mpi_gd.inference.table import (
    Coefficient,
    as_json,
    as_text,
    coefficients,
    require_student,
)

__all__ = [
    "Coefficient",
    "Fit",
    "Inference",
    "as_json",
    "as_text",
    "coefficients",
    "find_separation",
    "infer",
    "require_student",
]
