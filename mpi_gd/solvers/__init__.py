"""Solvers: state machines that ask for the objective at a point and are told the answer."""

from mpi_gd.solvers.barzilai_borwein import BarzilaiBorwein
from mpi_gd.solvers.gd import GradientDescent
from mpi_gd.solvers.lbfgs import Lbfgs
from mpi_gd.solvers.nesterov import Nesterov
from mpi_gd.solvers.sgd import Sgd
from mpi_gd.solvers.solver import (
    Answer,
    Batch,
    Problem,
    Question,
    Rest,
    Solver,
    State,
    Step,
)

__all__ = [
    "SOLVERS",
    "Answer",
    "BarzilaiBorwein",
    "Batch",
    "GradientDescent",
    "Lbfgs",
    "Nesterov",
    "Problem",
    "Question",
    "Rest",
    "Sgd",
    "Solver",
    "State",
    "Step",
]

SOLVERS: dict[str, type[Solver]] = {
    "gd": GradientDescent,
    "barzilai-borwein": BarzilaiBorwein,
    "nesterov": Nesterov,
    "sgd": Sgd,
    "lbfgs": Lbfgs,
}
