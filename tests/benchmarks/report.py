"""What is written of a comparison: a table, the numbers, and a plot."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks.problems import Problem

__all__ = ["markdown", "write_report"]

_HEAD = "| contender | fit, s | all rounds | whole process, s | gap | passes | Allreduces |"


def write_report(
    folder: Path, problems: list[Problem], rows: list[dict[str, Any]], missing: dict[str, str]
) -> str:
    """Write compare.json, compare.md and compare.png; return the table."""
    facts = _facts()
    folder.mkdir(parents=True, exist_ok=True)
    document = {**facts, "missing": missing, "rows": rows}
    (folder / "compare.json").write_text(json.dumps(document, indent=1) + "\n")
    text = markdown(problems, rows, missing, facts)
    (folder / "compare.md").write_text(text)
    _plot(folder / "compare.png", problems, rows)
    return text


def markdown(
    problems: list[Problem],
    rows: list[dict[str, Any]],
    missing: dict[str, str],
    facts: dict[str, Any],
) -> str:
    """Return the tables, one for each problem."""
    lines = [
        f"{facts['date']}, {facts['cpu']}, {facts['cores']} cores; load at the end "
        f"{facts['load']:.1f}. Ours 2 ranks with one thread each, peers 2 threads. Medians of the "
        "rounds; a fit is from rows in memory to coefficients.",
    ]
    for problem in problems:
        size = f"{problem.n_rows:,} x {problem.n_columns:,}"
        lines += ["", f"**{problem.title}, {size}, gap {problem.gap:g}**", "", _HEAD]
        lines.append("|---" * _HEAD.count(" | ") + "|---|")
        own = [row for row in rows if row["problem"] == problem.name]
        lines += [_line(row) for row in sorted(own, key=_median)]
        lines += _ratio(own)
    lines += ["", f"Versions: {facts['versions']}."]
    lines += [f"Not installed: {name}: {why}" for name, why in missing.items()]
    return "\n".join(lines) + "\n"


def _median(row: dict[str, Any]) -> float:
    """Return the median seconds; of what has failed infinity."""
    if row["failure"] or not row.get("seconds"):
        return float("inf")
    return float(statistics.median(row["seconds"]))


def _line(row: dict[str, Any]) -> str:
    """Return a contender's line."""
    name = f"{row['contender']} ({row['solver']})" if row.get("solver") else row["contender"]
    if row["failure"]:
        return f"| {name} | {row['failure']} | | | | | |"
    each = ", ".join(f"{seconds:.3g}" for seconds in row["seconds"])
    if len(row["seconds"]) == 1:
        each += " (one round)"
    whole = statistics.median(row["whole_seconds"])
    passes = f"{row['passes']:.1f}" if "passes" in row else ""
    found = max(row["gap"], 0.0)
    return (
        f"| {name} | {_median(row):.3g} | {each} | {whole:.3g} | {found:.0e} | {passes} | "
        f"{_messages(row)} |"
    )


def _messages(row: dict[str, Any]) -> str:
    """Return the sums, and all the collective calls that a whole run makes."""
    return f"{row['sums']} ({row['calls']} calls in all)" if "sums" in row else ""


def _ratio(rows: list[dict[str, Any]]) -> list[str]:
    """Say how many times the best peer's time ours is."""
    mine = [_median(row) for row in rows if row["contender"] == "mpi_gd"]
    theirs = [_median(row) for row in rows if row["contender"] != "mpi_gd"]
    if not mine or not theirs or float("inf") in (mine[0], min(theirs)):
        return []
    return ["", f"Faster than the best peer: {min(theirs) / mine[0]:.2f} times."]


def _facts() -> dict[str, Any]:
    """Return what the figures hold for."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].split(":", 1)[1].strip() if names else cpu
    names = ["numpy", "scipy", "scikit-learn", "scikit-learn-intelex", "glum", "snapml", "pyspark"]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "versions": ", ".join(filter(None, map(_versioned, names))),
    }


def _versioned(name: str) -> str:
    """Return a package with its version; empty if it is not there."""
    try:
        return f"{name} {version(name)}"
    except ImportError:
        return ""


def _plot(path: Path, problems: list[Problem], rows: list[dict[str, Any]]) -> None:
    """Draw each problem's seconds, on a logarithmic scale, ours in another colour."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    timed = {row["problem"] for row in rows if _median(row) < float("inf")}
    problems = [problem for problem in problems if problem.name in timed]
    if not problems:
        return
    figure, axes = pyplot.subplots(len(problems), 1, figsize=(8, 1.9 * len(problems)))
    for problem, axis in zip(problems, [axes] if len(problems) == 1 else axes, strict=True):
        own = [row for row in rows if row["problem"] == problem.name]
        own = sorted((row for row in own if _median(row) < float("inf")), key=_median, reverse=True)
        seconds = [_median(row) for row in own]
        names = [row["contender"] for row in own]
        colours = ["#d95f02" if name == "mpi_gd" else "#7570b3" for name in names]
        bars = axis.barh(names, seconds, color=colours)
        axis.bar_label(bars, labels=[f" {value:.3g} s" for value in seconds], fontsize=8)
        axis.set_xscale("log")
        axis.margins(x=0.2)
        axis.tick_params(labelsize=8)
        axis.set_title(
            f"{problem.title}, {problem.n_rows:,} x {problem.n_columns:,}, gap {problem.gap:g}",
            fontsize=9,
            loc="left",
        )
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
