"""Arguments of `evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from mpi_gd.options.fields import ALPHA, DATA, JSON, MODEL, NO_ALPHA, SET_DATA, require_alpha

__all__ = ["EvaluateOptions"]


@dataclass(frozen=True)
class EvaluateOptions:
    """Score a model on a data file that has the target."""

    command: ClassVar[str] = "evaluate"
    needs_world: ClassVar[bool] = True
    examples: ClassVar[str] = """\
  python -m mpi_gd evaluate runs/train/model.npz test.csv
  mpirun -n 8 python -m mpi_gd evaluate model.npz test.csv --json

metrics (weighted; the same bits on any number of ranks):
  classes      accuracy, balanced accuracy, log loss, Brier score, calibration error, deviance, D2;
               tables: precision, recall and F1 of each class, confusion matrix, calibration
  two classes  AUC, average precision, Gini (2 AUC - 1); table: calibration by quantiles
  K classes    top-2, 3 and 5 accuracy, macro and weighted F1, one-vs-rest AUC
  numbers      RMSE, MAE, largest error, R2, mean loss; of likelihoods the deviance and D2
  amounts      (Poisson, gamma, ...) also the normalised Gini; table: calibration by quantiles
  Definitions: python -m pydoc mpi_gd.evaluation
"""

    model: str = field(metadata=MODEL)
    data: str = field(metadata=DATA)
    overrides: tuple[str, ...] = field(default=(), metadata=SET_DATA)
    json: bool = field(default=False, metadata=JSON)
    alpha: float = field(default=NO_ALPHA, metadata=ALPHA)

    def __post_init__(self) -> None:
        require_alpha(self.alpha)
