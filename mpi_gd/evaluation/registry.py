"""The metrics by name, in the order in which they are shown; tables come last."""

from mpi_gd.evaluation.accuracy import Accuracy, BalancedAccuracy, TopAccuracy
from mpi_gd.evaluation.auc import Auc, OneVsRestAuc
from mpi_gd.evaluation.average_precision import AveragePrecision
from mpi_gd.evaluation.brier import Brier
from mpi_gd.evaluation.calibration import Calibration, CalibrationByQuantile, CalibrationError
from mpi_gd.evaluation.deviance import D2, Deviance, MeanDeviance
from mpi_gd.evaluation.gini import Gini
from mpi_gd.evaluation.mae import Mae
from mpi_gd.evaluation.max_error import MaxError
from mpi_gd.evaluation.mean_loss import LogLoss, MeanLoss
from mpi_gd.evaluation.metric import Metric
from mpi_gd.evaluation.per_class import ConfusionMatrix, MacroF1, PerClass, WeightedF1
from mpi_gd.evaluation.r2 import R2
from mpi_gd.evaluation.residuals import Residuals
from mpi_gd.evaluation.rmse import Rmse
from mpi_gd.evaluation.roc_curve import RocCurve

__all__ = ["METRICS"]

METRICS: dict[str, Metric] = {
    "accuracy": Accuracy(),
    "balanced_accuracy": BalancedAccuracy(),
    "top_2_accuracy": TopAccuracy(2),
    "top_3_accuracy": TopAccuracy(3),
    "top_5_accuracy": TopAccuracy(5),
    "f1_macro": MacroF1(),
    "f1_weighted": WeightedF1(),
    "log_loss": LogLoss(),
    "brier": Brier(),
    "calibration_error": CalibrationError(),
    "auc": Auc(),
    "auc_ovr": OneVsRestAuc(),
    "average_precision": AveragePrecision(),
    "rmse": Rmse(),
    "mae": Mae(),
    "max_error": MaxError(),
    "r2": R2(),
    "d2": D2(),
    "gini": Gini(),
    "deviance": Deviance(),
    "mean_deviance": MeanDeviance(),
    "mean_loss": MeanLoss(),
    "per_class": PerClass(),
    "confusion": ConfusionMatrix(),
    "calibration": Calibration(),
    "calibration_by_quantile": CalibrationByQuantile(),
    "roc_curve": RocCurve(),
    "residuals": Residuals(),
}
