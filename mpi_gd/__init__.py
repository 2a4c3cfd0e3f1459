"""Train generalized linear models with MPI and NumPy: `mpirun -n 8 python -m mpi_gd`.

Importing the package imports nothing else: environment variables such as OPENBLAS_NUM_THREADS
and the signal handlers have to be set before NumPy and MPI are loaded. What scripts and notebooks
use, `fit`, `load_model`, `LinearClassifier` and `LinearRegressor`, is loaded when it is asked for.
"""

# A type checker reads this; Python, whose constant is False here, imports nothing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpi_gd.api.estimators import LinearClassifier, LinearRegressor
    from mpi_gd.api.fitting import Fit, fit
    from mpi_gd.model import load_model

__all__ = ["Fit", "LinearClassifier", "LinearRegressor", "__version__", "fit", "load_model"]

__version__ = "0.1.0"

_ROOMS = {
    "Fit": "mpi_gd.api.fitting",
    "LinearClassifier": "mpi_gd.api.estimators",
    "LinearRegressor": "mpi_gd.api.estimators",
    "fit": "mpi_gd.api.fitting",
    "load_model": "mpi_gd.model",
}


def __getattr__(name: str) -> object:
    """Load what stands in another module, when it is asked for."""
    if name not in _ROOMS:
        raise AttributeError(f"module 'mpi_gd' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    """Return the names, those included that are not loaded yet."""
    return sorted({*globals(), *_ROOMS})
