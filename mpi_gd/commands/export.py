"""Write a model for another program."""

from __future__ import annotations

from pathlib import Path

from mpi_gd.data.names import list_some
from mpi_gd.export import form_of
from mpi_gd.files import write_atomically
from mpi_gd.model import load_model
from mpi_gd.options import ExportOptions

__all__ = ["run"]


def run(options: ExportOptions) -> int:
    """Write the file; return the exit code."""
    out = Path(options.out)
    make = form_of(out)
    model = load_model(options.model)
    write_atomically(out, make(model))
    n = "1 coefficient" if model.n_features == 1 else f"{model.n_features} coefficients"
    print(f"{options.model} ({n}) is {out}")
    if model.recipe:
        names = list_some(model.recipe.names)
        print(f"It is for features, as [prepare] makes them of columns: {names}")
    return 0
