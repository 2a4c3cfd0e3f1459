"""Solvers: state machines that ask for the objective at a point and are told the answer."""

from mpi_gd.solvers.adagrad import AdaGrad
from mpi_gd.solvers.adam import Adam
from mpi_gd.solvers.admm import Admm
from mpi_gd.solvers.auto import Auto
from mpi_gd.solvers.averaging import Averaging
from mpi_gd.solvers.barzilai_borwein import BarzilaiBorwein
from mpi_gd.solvers.finite_smoothing import FiniteSmoothing
from mpi_gd.solvers.fista import Fista
from mpi_gd.solvers.gd import GradientDescent
from mpi_gd.solvers.gram import GramSolver
from mpi_gd.solvers.lbfgs import Lbfgs
from mpi_gd.solvers.least_squares import LeastSquares
from mpi_gd.solvers.local_sgd import LocalSgd
from mpi_gd.solvers.nesterov import Nesterov
from mpi_gd.solvers.newton import Newton
from mpi_gd.solvers.newton_cg import NewtonCg
from mpi_gd.solvers.owl_qn import OwlQn
from mpi_gd.solvers.progressive import Progressive
from mpi_gd.solvers.quadratic import least_squares_step
from mpi_gd.solvers.sgd import Sgd
from mpi_gd.solvers.solver import (
    IDLE,
    Answer,
    Batch,
    Local,
    Problem,
    Question,
    Rest,
    Sample,
    Solver,
    State,
    Step,
    Work,
)
from mpi_gd.solvers.stochastic import Stochastic
from mpi_gd.solvers.svrg import Svrg

__all__ = [
    "IDLE",
    "SOLVERS",
    "AdaGrad",
    "Adam",
    "Admm",
    "Answer",
    "Auto",
    "Averaging",
    "BarzilaiBorwein",
    "Batch",
    "FiniteSmoothing",
    "Fista",
    "GradientDescent",
    "GramSolver",
    "Lbfgs",
    "LeastSquares",
    "Local",
    "LocalSgd",
    "Nesterov",
    "Newton",
    "NewtonCg",
    "OwlQn",
    "Problem",
    "Progressive",
    "Question",
    "Rest",
    "Sample",
    "Sgd",
    "Solver",
    "State",
    "Step",
    "Stochastic",
    "Svrg",
    "Work",
    "least_squares_step",
]

# In the order in which messages name them.
SOLVERS: dict[str, type[Solver]] = {
    "auto": Auto,
    "gram": GramSolver,
    "progressive": Progressive,
    "newton": Newton,
    "lbfgs": Lbfgs,
    "owl-qn": OwlQn,
    "fista": Fista,
    "newton-cg": NewtonCg,
    "finite-smoothing": FiniteSmoothing,
    "least-squares": LeastSquares,
    "gd": GradientDescent,
    "barzilai-borwein": BarzilaiBorwein,
    "nesterov": Nesterov,
    "sgd": Sgd,
    "adagrad": AdaGrad,
    "adam": Adam,
    "svrg": Svrg,
    "averaging": Averaging,
    "local-sgd": LocalSgd,
    "admm": Admm,
}
