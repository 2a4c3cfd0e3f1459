"""The metrics by name, in the order in which they are shown."""

from mpi_gd.evaluation.accuracy import Accuracy
from mpi_gd.evaluation.auc import Auc
from mpi_gd.evaluation.log_loss import LogLoss
from mpi_gd.evaluation.mae import Mae
from mpi_gd.evaluation.metric import Metric
from mpi_gd.evaluation.r2 import R2
from mpi_gd.evaluation.rmse import Rmse

__all__ = ["METRICS"]

METRICS: dict[str, type[Metric]] = {
    "accuracy": Accuracy,
    "log_loss": LogLoss,
    "auc": Auc,
    "rmse": Rmse,
    "mae": Mae,
    "r2": R2,
}
