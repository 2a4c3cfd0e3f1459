"""How good predictions are: metrics over all ranks' rows, the same bits on any number of ranks.

Sums over rows are taken tile by tile and added by TileSum, counts are integers, and no rank ever
holds another rank's share of rows. A metric is one file and one line of METRICS.
"""

from mpi_gd.evaluation.accuracy import Accuracy
from mpi_gd.evaluation.auc import Auc
from mpi_gd.evaluation.evaluate import Scores, evaluate
from mpi_gd.evaluation.log_loss import LogLoss
from mpi_gd.evaluation.mae import Mae
from mpi_gd.evaluation.metric import Metric, ScoredRows, Undefined
from mpi_gd.evaluation.r2 import R2
from mpi_gd.evaluation.registry import METRICS
from mpi_gd.evaluation.rmse import Rmse

__all__ = [
    "METRICS",
    "R2",
    "Accuracy",
    "Auc",
    "LogLoss",
    "Mae",
    "Metric",
    "Rmse",
    "ScoredRows",
    "Scores",
    "Undefined",
    "evaluate",
]
