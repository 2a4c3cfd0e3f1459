"""The response that a loss is made for, from the target's column."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.labels import encode_labels, require_finite
from mpi_gd.commands.load import Loaded
from mpi_gd.config import kind_of
from mpi_gd.data.source import shown
from mpi_gd.errors import DataError, JobError
from mpi_gd.losses import LOSSES, Loss

__all__ = ["check_roles", "read_response"]

Floats = NDArray[np.float64]

# The losses of a share of successes, which take the number of trials as a weight.
_WITH_TRIALS = ("binomial",)
# The links with which log(exposure), added to the predictor, makes of a rate an expected count.
_OF_RATES = ("log", "cloglog")


def check_roles(data: Loaded, loss: Loss) -> None:
    """Raise JobError, the same on all ranks, for trials or exposure that mean nothing to a loss."""
    kind = kind_of(LOSSES, loss)
    if "trials" in data.extras and kind not in _WITH_TRIALS:
        raise JobError(
            f"data.trials is for the loss {_WITH_TRIALS[0]!r}, whose target is a number of "
            f"successes, got the loss {kind!r}; remove the key, or change the loss"
        )
    if "exposure" in data.extras and getattr(loss, "link", "") not in _OF_RATES:
        raise JobError(
            f"data.exposure is for losses with the link {' or '.join(map(repr, _OF_RATES))}, got "
            f"the loss {kind!r} with another; remove the key, change the link, or use data.offset"
        )


def read_response(
    world: World, data: Loaded, loss: Loss, classes: tuple[str, ...] | None
) -> Floats:
    """Return y (n_rows,): numbers, shares of successes, or places among the `classes`; collective.

    Raises DataError on all ranks, naming a row and its value, for what the loss is not made for.
    """
    if classes is not None:
        return encode_labels(world, data, classes)
    with world.phase("checking the target"):
        y = _numbers(data)
        if "trials" in data.extras:
            return _shares(data, y)
        bad = np.flatnonzero(loss.invalid(y))
        if bad.size:
            raise _refusal(data, int(bad[0]), loss.expected)
    return y


def _numbers(data: Loaded) -> Floats:
    """Return y as numbers; raises DataError for text, NaN or infinity."""
    if data.y.dtype.kind == "U":
        raise DataError(
            f"{data.source.locate_target(0)}: target {data.source.target_name!r}: got text, "
            'expected numbers; use the loss "logistic" for two labels, "multinomial" for more, or '
            "name another target"
        )
    require_finite(data)
    return np.asarray(data.y, dtype=np.float64)


def _shares(data: Loaded, successes: Floats) -> Floats:
    """Return successes / trials; raises DataError unless they are whole and not too many."""
    trials = data.extras["trials"]
    possible = (successes >= 0) & (successes <= trials) & (successes == np.rint(successes))
    if not possible.all():
        row = int(np.argmin(possible))
        raise _refusal(
            data, row, f"a whole number of successes from 0 to its {shown(trials[row])} trials"
        )
    return np.asarray(successes / trials)


def _refusal(data: Loaded, row: int, expected: str) -> DataError:
    """Return the error for a local row whose target is out of range."""
    return DataError(
        f"{data.source.locate_target(data.start + row)}: target {data.source.target_name!r}: got "
        f"{shown(data.y[row])}, expected {expected}; correct or remove the row, or use another loss"
    )
