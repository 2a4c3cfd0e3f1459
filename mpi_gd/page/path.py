"""The path of a penalty's strengths, drawn."""

from __future__ import annotations

import numpy as np

from mpi_gd.model import Model, ModelPath
from mpi_gd.page.charts import Line, paths
from mpi_gd.page.markup import figures, pairs, section
from mpi_gd.page.run import Run

__all__ = ["path_of"]

_MOST_LINES = 20
_AXIS = "alpha"


def path_of(run: Run, mark: str) -> str:
    """Return coefficients, explained deviance and scores by strength; empty without a path."""
    if run.model is None or run.model.path is None:
        return ""
    path = run.model.path
    marks = _marks(path)
    alphas = path.alphas.tolist()
    lines, remark = _lines(run.model, path)
    explained: list[Line] = [("", alphas, path.explained.tolist())]
    drawn = [
        ("Coefficients by alpha" + remark, paths(lines, _AXIS, "coefficient", marks=marks)),
        (
            "Share of the deviance explained, by alpha",
            paths(explained, _AXIS, "explained", marks=marks),
        ),
    ]
    if path.score is not None:
        errors = [] if path.error is None else path.error.tolist()
        caption = f"The {path.metric}, by alpha" + (", with its standard error" if errors else "")
        scores: list[Line] = [("", alphas, path.score.tolist())]
        drawn.append((caption, paths(scores, _AXIS, path.metric, marks=marks, errors=errors)))
    facts = {
        "strengths": len(alphas),
        "alpha": path.alpha,
        "alpha_min": path.alpha_min,
        "alpha_1se": path.alpha_1se,
        "coefficients that are not 0": int(path.n_nonzero[path.chosen]),
        "ended early": path.ended or "no",
    }
    shown = {name: value for name, value in facts.items() if value is not None}
    return section(f"Path{mark}", pairs(shown), figures(*drawn))


def _marks(path: ModelPath) -> list[tuple[str, float]]:
    """Return the strengths that have names."""
    named = (("alpha_min", path.alpha_min), ("alpha_1se", path.alpha_1se))
    found = [(name, alpha) for name, alpha in named if alpha is not None]
    if all(alpha != path.alpha for _, alpha in found):
        found.insert(0, ("the model", path.alpha))
    return found


def _lines(model: Model, path: ModelPath) -> tuple[list[Line], str]:
    """Return the lines of the coefficients that become largest, and how they were chosen.

    Columns have scales of their own: each is drawn as it is.
    """
    flat = path.coef.reshape(len(path.coef), -1)
    n_outputs = flat.shape[1] // max(1, model.n_features)
    order = np.argsort(-np.abs(flat).max(axis=0), kind="stable")
    order = order[np.abs(flat[:, order]).max(axis=0) > 0]
    chosen = order[:_MOST_LINES].tolist()
    alphas = path.alphas.tolist()
    lines: list[Line] = []
    for place in chosen:
        j, k = divmod(place, n_outputs)
        of = f":{(model.classes or ())[k]}" if n_outputs > 1 else ""
        lines.append((f"{model.columns[j]}{of}", alphas, flat[:, place].tolist()))
    rest = len(order) - len(chosen)
    return lines, f", the largest {len(chosen)} of {len(order)}" if rest else ""
