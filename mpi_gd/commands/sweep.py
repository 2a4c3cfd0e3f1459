"""Sweep the step of a solver over a few minibatches, and suggest one."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mpi_gd import pulse
from mpi_gd.comm import World
from mpi_gd.commands.jobs import read_shared_job
from mpi_gd.commands.kept import Kept
from mpi_gd.commands.lost import ending
from mpi_gd.commands.setup import Setup, set_up
from mpi_gd.config import kind_of
from mpi_gd.errors import JobError
from mpi_gd.files import write_atomically
from mpi_gd.options import SweepOptions
from mpi_gd.solvers import SOLVERS, Answer, Question
from mpi_gd.solvers.sweep import Swept, Tunable, own_step, sweep

__all__ = ["run", "sparkline"]

# The range, around what the solver would choose.
_FACTOR = 1e3
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class _Found:
    """A sweep, and what it is of."""

    kind: str
    batch_size: int
    swept: Swept
    own: float
    """What the solver would choose."""


def run(world: World, options: SweepOptions) -> int:
    """Sweep, write what was seen, and print the suggestion; collective. Return the exit code."""
    began = time.monotonic()
    pulse.start(world, ending(world, Kept()))
    path, out = Path(options.job), Path(options.out)
    job = read_shared_job(world, path, options.overrides)
    if not isinstance(job.solver, Tunable):
        kinds = ", ".join(f'"{kind}"' for kind, of in SOLVERS.items() if issubclass(of, Tunable))
        raise JobError(
            f"solver.kind: the step of {kind_of(SOLVERS, job.solver)!r} needs no sweep; expected "
            f"one of {kinds}, as in --set solver.kind=sgd"
        )
    setup = set_up(world, job, path.parent)
    found = _sweep(setup, job.solver, options)
    plot = ""
    with world.phase("writing the sweep", by_root=True):
        if world.is_root:
            write_atomically(out, _json(found) if out.suffix == ".json" else _csv(found.swept))
            plot = _plot(found, out.with_suffix(".svg"))
    if world.is_root:
        print(_told(setup, found, time.monotonic() - began))
        print(f"The sweep is {out}" + (f", its plot {plot}" if plot else ""), flush=True)
    return 0


def _sweep(setup: Setup, solver: Tunable, options: SweepOptions) -> _Found:
    """Return what is found with these rows; collective."""
    problem = setup.objective.problem

    def ask(question: Question) -> Answer:
        return setup.objective.answer(question).answer

    own = own_step(solver, problem, setup.start, ask)
    low, high = options.low or own / _FACTOR, options.high or own * _FACTOR
    if not low < high:
        raise JobError(
            f"the sweep would go from {low:g} to {high:g}, around {own:.2g}, which the solver "
            "would choose: give both --low and --high"
        )
    swept = sweep(solver, problem, setup.start, ask, low, high, options.steps)
    return _Found(kind_of(SOLVERS, solver), solver.batch_size, swept, own)


def sparkline(values: Sequence[float], low: float, high: float) -> str:
    """Return a bar for each value, the lowest at `low`, the highest at `high` and beyond."""
    top = len(_BARS) - 1
    scale = top / (high - low) if high > low else 0.0
    return "".join(_BARS[round(min(top, max(0.0, (value - low) * scale)))] for value in values)


def _told(setup: Setup, found: _Found, seconds: float) -> str:
    """Return what people want to know."""
    swept = found.swept
    n = len(swept.steps)
    lines = [setup.summary]
    ends = f"from {swept.steps[0]:.2g} to {swept.steps[-1]:.2g}" if n else "none of them finite"
    lines.append(
        f"{found.kind}, batches of {found.batch_size} rows: {n} steps, {ends}, in {seconds:.3g} s"
    )
    if swept.least is None or swept.good is None:
        lines.append(
            "No suggestion: the loss has not fallen at any step. It begins at its minimum, or "
            "--low is too long"
        )
        return "\n".join(lines)
    least = swept.smoothed[swept.least]
    lines += [
        f"  {sparkline(swept.smoothed, least, swept.first + (swept.first - least))}",
        f"Loss {swept.first:.6g} at the start, at the least {least:.6g} at step "
        f"{swept.steps[swept.least]:.2g}; good from {swept.good[0]:.2g} to {swept.good[1]:.2g}"
        + ("" if swept.has_diverged else ", and it has not diverged: try a higher --high"),
        f"Without a step the solver would choose {found.own:.2g}. Suggested:",
        f"  --set solver.step={swept.suggestion:g}",
    ]
    return "\n".join(lines)


def _csv(swept: Swept) -> bytes:
    """Return a line a step; numbers have all their digits."""
    rows = zip(swept.steps, swept.losses, swept.smoothed, strict=True)
    lines = ["step,loss,smoothed", *(",".join(map(repr, row)) for row in rows)]
    return ("\n".join(lines) + "\n").encode("utf-8")


def _json(found: _Found) -> bytes:
    """Return all that was found."""
    swept = found.swept
    content = {
        "solver": found.kind,
        "batch_size": found.batch_size,
        "suggestion": swept.suggestion,
        "good": swept.good,
        "own_step": found.own,
        "first_loss": swept.first,
        "has_diverged": swept.has_diverged,
        "steps": swept.steps,
        "losses": swept.losses,
        "smoothed": swept.smoothed,
    }
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode("utf-8")


def _plot(found: _Found, path: Path) -> str:
    """Draw losses by steps, where matplotlib is installed; return where."""
    swept = found.swept
    if not swept.steps or not importlib.util.find_spec("matplotlib"):
        return ""
    from mpi_gd.page.charts import Line, lines

    # What has exploded would hide the rest.
    top = swept.first + abs(swept.first - min(swept.losses))
    series: list[Line] = [
        (name, swept.steps, [loss if loss <= top else None for loss in losses])
        for name, losses in (("loss", swept.losses), ("smoothed", swept.smoothed))
    ]
    if swept.suggestion:
        series.append(("suggested", [swept.suggestion] * 2, [min(swept.losses), swept.first]))
    picture = lines(series, "step", "objective", is_log_x=True)
    write_atomically(path, f'<?xml version="1.0" encoding="utf-8"?>\n{picture}'.encode())
    return str(path)
