"""A classifier's two labels: kept as text, given back as what they were."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_labels"]

# Every integer of so many characters fits int64.
_INT64_CHARACTERS = 18


def as_labels(texts: tuple[str, ...]) -> NDArray[Any]:
    """Return labels as int64 or float64 if all are numbers in their usual spelling, else as text.

    "01" and "1e0" stay text: as numbers they would be written back differently.
    """
    if all(_is_integer(text) for text in texts):
        return np.array([int(text) for text in texts], dtype=np.int64)
    if all(_is_integer(text) or _is_float(text) for text in texts):
        return np.array([float(text) for text in texts])
    return np.array(texts)


def _is_integer(text: str) -> bool:
    """Tell whether `text` is how Python writes an integer of 64 bits."""
    try:
        return len(text) <= _INT64_CHARACTERS and str(int(text)) == text
    except ValueError:
        return False


def _is_float(text: str) -> bool:
    """Tell whether `text` is how Python writes a finite float."""
    try:
        return math.isfinite(float(text)) and str(float(text)) == text
    except ValueError:
        return False
