"""Arguments of `export`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from mpi_gd.options.fields import MODEL

__all__ = ["ExportOptions"]


@dataclass(frozen=True)
class ExportOptions:
    """Write a model for another program: JSON, CSV, ONNX, scikit-learn."""

    command: ClassVar[str] = "export"
    needs_world: ClassVar[bool] = False
    examples: ClassVar[str] = """\
  python -m mpi_gd export runs/train/model.npz model.onnx
  python -m mpi_gd export runs/train/model.npz coefficients.csv

forms:
  .json    loss, classes, intercept and coefficients by name, with all their digits
  .csv     a line for each coefficient
  .onnx    a graph in double precision: X -> label and probabilities, or prediction (extra onnx)
  .joblib  a fitted estimator of scikit-learn's own, for joblib.load (extra sklearn)
"""

    model: str = field(metadata=MODEL)
    out: str = field(
        metadata={
            "flag": "",
            "metavar": "OUT",
            "group": "output",
            "help": "the file to write; its suffix says what",
        }
    )
