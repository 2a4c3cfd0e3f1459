"""The sections of a page, from what is to be known first to what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mpi_gd.page.charts import Line, bars, lines, require_charts, spans
from mpi_gd.page.markup import document, figures, heading, pairs, preformatted, section, table
from mpi_gd.page.path import path_of
from mpi_gd.page.run import Run

__all__ = ["make_page"]

_MOST_COEFFICIENTS = 40
_PHASES = {
    "compute_seconds": "computing",
    "communication_seconds": "communicating",
    "waiting_seconds": "waiting for the slowest rank",
}


def make_page(runs: Sequence[Run]) -> str:
    """Return a page of one run, or of several beside each other.

    Raises JobError without matplotlib.
    """
    require_charts()
    names = ", ".join(run.name for run in runs)
    parts = [
        heading(" and ".join(run.name for run in runs), 1),
        _head(runs),
        _convergence(runs),
        _time(runs),
    ]
    for run in runs:
        mark = f" of {run.name}" if len(runs) > 1 else ""
        parts += [_scores(run, mark), path_of(run, mark), _coefficients(run, mark)]
    parts += [section(f"Job {run.name}", preformatted(run.job)) for run in runs]
    return document(f"mpi_gd: {names}", "\n".join(filter(None, parts)))


def _head(runs: Sequence[Run]) -> str:
    """Return what came out, a column a run."""
    facts = [_facts(run) for run in runs]
    if len(runs) == 1:
        return pairs(facts[0])
    names = list(dict.fromkeys(name for fact in facts for name in fact))
    columns = list(zip([run.name for run in runs], facts, strict=True))
    rows = [
        {"": name, **{f"{k + 1}: {run}": fact.get(name) for k, (run, fact) in enumerate(columns)}}
        for name in names
    ]
    return table(rows)


def _facts(run: Run) -> dict[str, Any]:
    """Return what is to be known first."""
    summary, status = run.summary, run.status
    found: dict[str, Any] = {"state": status.get("state", "unknown")}
    if summary:
        certificate = summary.get("certificate") or {}
        found |= {
            "ending": summary["ending"],
            "objective": summary["objective"],
            "relative KKT residual": certificate.get("kkt_residual"),
            "above the minimum by at most": certificate.get("gap"),
            "certain digits": certificate.get("certain_digits"),
            "solver": summary["solver"],
            "iterations": summary["iteration"],
            "gradients": summary["questions"],
            "seconds": summary["seconds"],
            "seconds of reading": summary.get("reading_seconds"),
            "seconds of set-up": summary.get("setup_seconds"),
        }
    elif run.records:
        found |= {"iterations": run.records[-1]["iteration"], "message": status.get("message")}
    if run.model:
        found |= {"training rows": run.n_samples, "features": run.model.n_features}
    hosts = status.get("hosts") or [status.get("host", "")]
    found |= {
        "ranks": status.get("ranks"),
        "hosts": ", ".join(hosts[:8]) + (f" and {len(hosts) - 8} more" if len(hosts) > 8 else ""),
        "Slurm job": status.get("slurm_job") or None,
        "finished at": status.get("time"),
        "mpi_gd": summary.get("version"),
    }
    for rows, scores in (summary.get("scores") or {}).items():
        shown = {name: value for name, value in scores.items() if isinstance(value, int | float)}
        found |= {f"{rows}: {name}": value for name, value in shown.items()}
    return {name: value for name, value in found.items() if value not in (None, "")}


def _convergence(runs: Sequence[Run]) -> str:
    """Return the objective and the gradient by iterations, seconds and passes over the rows."""
    runs = [run for run in runs if len(run.records) > 1]
    if not runs:
        return ""
    # Beside each other only where they minimize the same, which the reader knows.
    least = {run.name: min(run.column("objective")) for run in runs}
    floor = min(least.values())

    def above(run: Run) -> list[float | None]:
        return [value - floor for value in run.column("objective")]

    drawn = []
    for key, x in (("iteration", "iterations"), ("elapsed_seconds", "seconds"), ("rows", "passes")):
        series: list[Line] = []
        for run in runs:
            unit = float(run.n_samples or 1) if key == "rows" else 1.0
            if key == "rows" and not run.n_samples:
                continue
            series.append((run.name, [value / unit for value in run.column(key)], above(run)))
        if series:
            caption = f"Objective above the least seen, by {x}"
            drawn.append((caption, lines(series, x, "objective - least", is_log=True)))
    gradients = [(run.name, run.column("iteration"), run.column("criterion")) for run in runs]
    drawn.append(
        (
            "Relative gradient (what stop.tol is compared with), by iterations",
            lines(gradients, "iterations", "relative gradient", is_log=True),
        )
    )
    return section("Convergence", figures(*drawn))


def _time(runs: Sequence[Run]) -> str:
    """Return where the time went, by phase and by iteration, and how even the ranks are."""
    runs = [run for run in runs if run.records]
    if not runs:
        return ""
    sums = {label: [sum(run.column(key)) for run in runs] for key, label in _PHASES.items()}
    total = [run.records[-1]["elapsed_seconds"] for run in runs]
    known = [sum(values) for values in zip(*sums.values(), strict=True)]
    sums["all else"] = [max(0.0, a - b) for a, b in zip(total, known, strict=True)]
    drawn = [
        (
            "Seconds of the iterations, mean over the ranks",
            bars([run.name for run in runs], list(sums.items()), "seconds"),
        )
    ]
    if len(runs) == 1 and len(runs[0].records) > 1:
        run = runs[0]
        each = [(label, run.column("iteration"), run.column(key)) for key, label in _PHASES.items()]
        drawn.append(
            ("Seconds of each iteration", lines(each, "iteration", "seconds", is_log=True))
        )
    rows = [
        {
            "run": run.name,
            **{name: values[k] for name, values in sums.items()},
            "slowest rank": _slow(run),
        }
        for k, run in enumerate(runs)
    ]
    balance = [
        {"run": run.name, "of a rank": name, **values}
        for run in runs
        for name, values in (run.summary.get("balance") or {}).items()
        if isinstance(values, dict)
    ]
    return section("Time", figures(*drawn), table(rows), table(balance))


def _slow(run: Run) -> str:
    """Say which rank was slowest how often."""
    ranks = [int(record["slowest_rank"]) for record in run.records]
    most = max(set(ranks), key=ranks.count)
    return f"{most} ({ranks.count(most)} of {len(ranks)} iterations)"


def _scores(run: Run, mark: str) -> str:
    """Return how good the predictions are, in tables and curves."""
    parts = []
    for rows, scores in (run.summary.get("scores") or {}).items():
        drawn = _curves(scores)
        tables = [
            heading(name.replace("_", " "), 3) + table(scores[name], 30)
            for name in ("confusion", "per_class")
            if scores.get(name)
        ]
        if drawn or tables:
            parts.append(section(f"Predictions of the {rows} rows{mark}", figures(*drawn), *tables))
    return "\n".join(parts)


def _curves(scores: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the charts that scores have tables for."""

    def column(name: str, key: str) -> list[Any]:
        return [row[key] for row in scores[name]]

    drawn = []
    if scores.get("roc_curve"):
        recall = [1.0, *column("roc_curve", "recall")]
        mistakes = [1.0, *column("roc_curve", "false_positive_rate")]
        roc = lines([("", mistakes, recall)], "false positive rate", "recall", diagonal=True)
        drawn.append((f"ROC curve, AUC {scores.get('auc', 0):.4f}", roc))
        precision = column("roc_curve", "precision")
        drawn.append(
            (
                f"Precision and recall, average precision {scores.get('average_precision', 0):.4f}",
                lines([("", recall[1:], precision)], "recall", "precision"),
            )
        )
    for name, caption in (
        ("calibration", "Calibration, in bins of equal width"),
        ("calibration_by_quantile", "Calibration, in bins of equal weight"),
    ):
        if scores.get(name):
            xs, ys = column(name, "predicted"), column(name, "observed")
            is_share = max(map(float, [*xs, *ys])) <= 1.0
            ideal: list[Line] = [] if is_share else [("ideal", xs, xs)]
            drawn.append(
                (
                    caption,
                    lines([("", xs, ys), *ideal], "predicted", "observed", diagonal=is_share),
                )
            )
    if scores.get("residuals"):
        xs = column("residuals", "predicted")
        series: list[Line] = [
            ("mean", xs, column("residuals", "mean")),
            ("root mean square", xs, column("residuals", "rms")),
        ]
        drawn.append(("Residuals by prediction", lines(series, "prediction", "residual")))
    return drawn


def _coefficients(run: Run, mark: str) -> str:
    """Return the coefficients: with intervals where they are known, else the largest ones."""
    inference = run.summary.get("inference")
    if inference:
        rows = inference["coefficients"]
        known = [row for row in rows if row["lower"] is not None and row["name"] != "(intercept)"]
        chart = spans(
            [row["name"] for row in known[:_MOST_COEFFICIENTS]],
            *(
                [row[key] for row in known[:_MOST_COEFFICIENTS]]
                for key in ("estimate", "lower", "upper")
            ),
        )
        caption = f"Coefficients with {inference['level']:.0%} intervals"
        drawn = figures((caption, chart)) if known else ""
        return section(f"Coefficients{mark}", drawn, table(rows, 200))
    if run.model is None or not run.model.n_features:
        return ""
    coef = run.model.coef.reshape(run.model.n_features, -1)
    order = np.argsort(-np.abs(coef).max(axis=1), kind="stable")[:_MOST_COEFFICIENTS].tolist()
    labels = (
        [f"of {label}" for label in run.model.classes or ()]
        if coef.shape[1] > 1
        else ["coefficient"]
    )
    listed = [
        {"column": run.model.columns[j], **dict(zip(labels, coef[j].tolist(), strict=True))}
        for j in order
    ]
    n = run.model.n_features
    remark = (
        f"<p>The largest {len(order)} of {n:,}, on the columns' own scales.</p>"
        if n > len(order)
        else ""
    )
    return section(f"Coefficients{mark}", remark, table(listed))
