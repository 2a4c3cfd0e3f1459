"""Charts as SVG, drawn by matplotlib, whose text stays text."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from mpi_gd.errors import JobError

__all__ = ["Line", "bars", "lines", "paths", "require_charts", "spans"]

# Okabe and Ito's colours, which colour-blind people tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# More names at the lines' ends would lie on each other.
_MOST_NAMES = 10
_WIDTH, _HEIGHT = 4.6, 3.1
_SETTINGS: Any = {
    "svg.fonttype": "none",
    # The same page for the same run.
    "svg.hashsalt": "mpi_gd",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}

Line = tuple[str, Sequence[float | None], Sequence[float | None]]
"""A name, x and y."""


def require_charts() -> None:
    """Raise JobError without matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise JobError(
            f'reports need matplotlib ({error}): pip install "mpi_gd[report]"'
        ) from error


def lines(
    series: Sequence[Line],
    x: str,
    y: str,
    *,
    is_log: bool = False,
    is_log_x: bool = False,
    diagonal: bool = False,
    marker: str = "",
) -> str:
    """Return a chart of lines; of a logarithmic axis what is not positive is left out."""

    def draw(axes: Any) -> None:
        for k, (name, xs, ys) in enumerate(series):
            points = [
                (a, b)
                for a, b in zip(xs, ys, strict=True)
                if a is not None and b is not None and math.isfinite(b) and (b > 0 or not is_log)
            ]
            colour = _COLOURS[k % len(_COLOURS)]
            few = marker or ("o" if len(points) < 40 else "")
            if points:
                a, b = zip(*points, strict=True)
                axes.plot(a, b, few + "-", ms=3, lw=1.3, color=colour, label=name)
        if diagonal:
            axes.plot([0, 1], [0, 1], ":", color="gray", lw=1)
        if is_log:
            axes.set_yscale("log")
        if is_log_x:
            axes.set_xscale("log")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if len(series) > 1:
            axes.legend(frameon=False, fontsize=8)

    return _drawn(draw)


def paths(
    series: Sequence[Line],
    x: str,
    y: str,
    *,
    marks: Sequence[tuple[str, float]] = (),
    errors: Sequence[float] = (),
) -> str:
    """Return a chart of lines over a logarithmic axis that falls to the right.

    `marks` are places on it with their names; `errors` go with the first line. The
    first lines' names stand at their ends.
    """

    def draw(axes: Any) -> None:
        for k, (name, xs, ys) in enumerate(series):
            colour = _COLOURS[k % len(_COLOURS)]
            axes.plot(xs, ys, "-", lw=1.2, color=colour)
            if xs and k < _MOST_NAMES:
                end = (xs[-1], ys[-1])
                axes.annotate(
                    name, end, (3, 0), textcoords="offset points", fontsize=7, color=colour
                )
            if errors and k == 0:
                axes.errorbar(xs, ys, errors, fmt="none", ecolor="gray", elinewidth=0.6)
        for k, (name, place) in enumerate(marks):
            style: Any = {"color": "gray", "lw": 1, "ls": ":" if k else "--", "label": name}
            axes.axvline(place, **style)
        axes.set_xscale("log")
        axes.invert_xaxis()
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if marks:
            axes.legend(frameon=False, fontsize=7)

    return _drawn(draw)


def bars(names: Sequence[str], parts: Sequence[tuple[str, Sequence[float]]], x: str) -> str:
    """Return a chart of horizontal bars, one a name, each of parts one after another."""

    def draw(axes: Any) -> None:
        left = [0.0] * len(names)
        for k, (label, values) in enumerate(parts):
            axes.barh(names, values, left=left, color=_COLOURS[k % len(_COLOURS)], label=label)
            left = [a + b for a, b in zip(left, values, strict=True)]
        axes.invert_yaxis()
        axes.set_xlabel(x)
        if len(parts) > 1:
            place: Any = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 2}
            axes.legend(frameon=False, fontsize=8, **place)

    return _drawn(draw, 1.0 + 0.22 * max(3, len(names)))


def spans(
    names: Sequence[str], middle: Sequence[float], low: Sequence[float], high: Sequence[float]
) -> str:
    """Return a chart of numbers with their intervals, one a name."""

    def draw(axes: Any) -> None:
        for place, (number, a, b) in enumerate(zip(middle, low, high, strict=True)):
            axes.plot([a, b], [place, place], "-", color=_COLOURS[0], lw=1.3)
            axes.plot([number], [place], "o", color=_COLOURS[0], ms=3)
        axes.axvline(0.0, color="gray", lw=0.8)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()

    return _drawn(draw, 0.6 + 0.2 * max(3, len(names)))


def _drawn(draw: Callable[[Any], None], height: float = _HEIGHT) -> str:
    """Return the SVG of one pair of axes."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    # The picture alone: what stands before it is for files of their own.
    return re.sub(r"^.*?(?=<svg)", "", out.getvalue(), flags=re.S)
