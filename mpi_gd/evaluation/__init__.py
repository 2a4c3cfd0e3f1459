"""How good predictions are: metrics over all ranks' rows, the same bits on any number of ranks.

Sums over rows are taken tile by tile and added by TileSum, weights that are counted are integers
(integers.py), orders come from a sample sort (ranking.py), and no rank ever holds another rank's
share of rows. A metric is a class and a line of METRICS: a number, or a table (a list of dicts).
Which ones are asked depends on the loss's task. w is the weight, W its sum; all are weighted.

Classes (two, with z > 0 for the second; or K, with the largest z):

    accuracy            share of rows predicted right
    balanced_accuracy   mean of the classes' recalls
    log_loss            mean of -log(probability of the row's class), nats
    brier               mean of (p - y)^2; for K classes of the sum over all classes
    calibration_error   sum_bins W_bin / W |mean p - share of y|: ten bins of equal width
    auc                 two: area under the ROC curve, ties count half
    average_precision   two: sum of recall steps times precision (scikit-learn's)
    gini                two: 2 AUC - 1
    auc_ovr             K: mean over classes of the AUC against the rest, K <= 20
    top_2_accuracy ...  K: share of rows whose class is among the 2 (3, 5) first, for K > 2 (3, 5)
    f1_macro            K: mean of the classes' F1; f1_weighted: with their support as weight
    deviance, mean_deviance, d2, mean_loss    as for numbers
    per_class           table: precision, recall, F1 and support of each class
    confusion           table: weight of each class (rows) by predicted class (columns), K <= 100
    calibration         table: mean p and share of y in ten bins of equal width; K classes: of the
                        predicted class
    calibration_by_quantile   two: table: the same in ten bins of equal weight

Numbers (the prediction is the mean that z stands for):

    rmse, mae, max_error      root mean square, mean and maximum of |y - prediction|
    r2                  1 - sum w (y - prediction)^2 / sum w (y - mean y)^2
    deviance            likelihoods: sum w 2 (loss - least loss); mean_deviance: that / W
    d2                  likelihoods: 1 - deviance / deviance of a model without features
    gini                amounts (y >= 0): normalised Gini index of the ordering (gini.py)
    calibration_by_quantile   amounts: table: mean prediction and mean y in ten bins of equal weight
    mean_loss           sum w loss / W, without the penalty (quantile loss: the pinball loss)

Those that ask for probabilities are left out for losses without any (hinge).
"""

from mpi_gd.evaluation.evaluate import Scores, evaluate
from mpi_gd.evaluation.metric import Metric, Score, Table
from mpi_gd.evaluation.registry import METRICS
from mpi_gd.evaluation.rows import ScoredRows, Undefined

__all__ = [
    "METRICS",
    "Metric",
    "Score",
    "ScoredRows",
    "Scores",
    "Table",
    "Undefined",
    "evaluate",
]
