"""What a metric is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mpi_gd.comm import World
from mpi_gd.evaluation.rows import ScoredRows
from mpi_gd.losses import Likelihood, Loss
from mpi_gd.losses.loss import Task

__all__ = ["Cell", "Metric", "Score", "Table", "is_of_amounts"]

Cell = str | int | float | None
"""A cell of a table; None where a number has no value."""
Table = list[dict[str, Cell]]
"""Rows of the same keys in the same order: the columns' names."""
Score = int | float | Table


@dataclass(frozen=True)
class Metric(ABC):
    """A number or a table that says how good the predictions are."""

    tasks: ClassVar[tuple[Task, ...]]
    """The tasks of the losses that it judges."""
    needs_probabilities: ClassVar[bool] = False
    """Whether it asks a classifier for probabilities."""
    is_curve: ClassVar[bool] = False
    """Whether it is a table to be drawn, which is too long to be read."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Its name for people."""

    def fits(self, loss: Loss, n_classes: int) -> bool:
        """Whether it judges models of this loss; n_classes is 0 for numbers."""
        has_all = loss.has_probabilities or not (loss.is_classifier and self.needs_probabilities)
        return loss.task in self.tasks and has_all

    def is_headline(self, loss: Loss) -> bool:
        """Whether it belongs in a line that sums up; never a table."""
        return False

    @abstractmethod
    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> Score:
        """Return the metric over all ranks' rows; collective.

        The sum of all weights is positive and every z is finite. Raises Undefined, on all ranks.
        """


def is_of_amounts(loss: Loss) -> bool:
    """Whether y is an amount: a number of at least 0 whose mean is modelled."""
    is_mean = loss.task == "numbers" and isinstance(loss, Likelihood)
    return is_mean and bool(loss.invalid(np.array([-1.0]))[0])
