"""Solvers: state machines that ask for the objective at a point and are told the answer."""

from mpi_gd.solvers.auto import Auto
from mpi_gd.solvers.barzilai_borwein import BarzilaiBorwein
from mpi_gd.solvers.finite_smoothing import FiniteSmoothing
from mpi_gd.solvers.fista import Fista
from mpi_gd.solvers.gd import GradientDescent
from mpi_gd.solvers.lbfgs import Lbfgs
from mpi_gd.solvers.least_squares import LeastSquares
from mpi_gd.solvers.nesterov import Nesterov
from mpi_gd.solvers.newton import Newton
from mpi_gd.solvers.quadratic import least_squares_step
from mpi_gd.solvers.sgd import Sgd
from mpi_gd.solvers.solver import (
    Answer,
    Batch,
    Problem,
    Question,
    Rest,
    Sample,
    Solver,
    State,
    Step,
)

__all__ = [
    "SOLVERS",
    "Answer",
    "Auto",
    "BarzilaiBorwein",
    "Batch",
    "FiniteSmoothing",
    "Fista",
    "GradientDescent",
    "Lbfgs",
    "LeastSquares",
    "Nesterov",
    "Newton",
    "Problem",
    "Question",
    "Rest",
    "Sample",
    "Sgd",
    "Solver",
    "State",
    "Step",
    "least_squares_step",
]

SOLVERS: dict[str, type[Solver]] = {
    "auto": Auto,
    "gd": GradientDescent,
    "barzilai-borwein": BarzilaiBorwein,
    "nesterov": Nesterov,
    "sgd": Sgd,
    "lbfgs": Lbfgs,
    "newton": Newton,
    "fista": Fista,
    "finite-smoothing": FiniteSmoothing,
    "least-squares": LeastSquares,
}
