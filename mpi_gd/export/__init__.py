"""Models as files for other programs: the form is told by the file's suffix."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from mpi_gd.errors import JobError
from mpi_gd.model import Model

__all__ = ["FORMS", "form_of"]

# By suffix: a module with a function `contents(model)`, which is loaded when it is asked for.
FORMS = {
    ".json": "mpi_gd.export.coefficients_json",
    ".csv": "mpi_gd.export.coefficients_csv",
    ".onnx": "mpi_gd.export.onnx_graph",
    ".joblib": "mpi_gd.export.scikit_learn",
}


def form_of(path: Path) -> Callable[[Model], bytes]:
    """Return what makes a file's bytes of a model; raises JobError for a suffix that is none."""
    suffix = path.suffix.lower()
    if suffix not in FORMS:
        raise JobError(
            f"{path}: got the suffix {suffix!r}, expected one of {', '.join(FORMS)}: it says "
            "what to write"
        )
    made: Callable[[Model], bytes] = import_module(FORMS[suffix]).contents
    return made
