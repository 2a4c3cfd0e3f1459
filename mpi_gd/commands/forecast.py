"""Forecast iterations on more nodes than there are: the cost model's table.

It starts no MPI, so it is no command with a world: `run(options)`.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from mpi_gd.costs import SOLVER_COSTS, Forecast, Link, Rates, Work, forecast
from mpi_gd.errors import FileError, JobError
from mpi_gd.options import ForecastOptions

__all__ = ["read_rates", "run"]

_ALL = "all"
_HEAD = "  nodes    ranks        read   hessian      wait   algebra  messages     total  efficiency"


def run(options: ForecastOptions) -> int:
    """Print seconds an iteration for each number of nodes; return the exit code."""
    if options.solver not in (*SOLVER_COSTS, _ALL):
        names = ", ".join(map(repr, (*SOLVER_COSTS, _ALL)))
        raise JobError(f"--solver: got {options.solver!r}, expected one of {names}")
    machine = read_rates(options.machine)
    rates = Rates(**machine["rates"])
    node = _link(machine) or Link(0.0, 0.0)
    network = Link(options.latency_us * 1e-6, 1e-9 / options.gigabytes)
    if options.network:
        measured = _link(read_rates(options.network))
        if measured is None:
            raise JobError(f"{options.network}: measured on one rank; use one on each of 2 nodes")
        network = measured
    ranks = options.ranks or rates.ranks_per_node
    work = Work(options.rows, options.columns, options.stored, options.outputs)
    numbers = [int(n) for n in options.nodes.split(",")]

    def of(solver: str) -> list[tuple[int, Forecast]]:
        """Return the forecast for one node, and for each number of nodes."""
        cost = SOLVER_COSTS[solver]
        return [(n, forecast(rates, node, network, work, cost, n, ranks)) for n in (1, *numbers)]

    if options.solver == _ALL:
        every = {name: of(name) for name in SOLVER_COSTS}
        told = {name: _all_figures(ranks, found) for name, found in every.items()}
        heading = _heading(options, rates, network, ranks)
        print(json.dumps(told) if options.json else _table_of_all(heading, numbers, every))
        return 0
    (_, first), *found = of(options.solver)
    if options.json:
        print(json.dumps([_figures(n, ranks, each, first) for n, each in found]))
    else:
        print(_table(_heading(options, rates, network, ranks), found, first, ranks))
    return 0


def read_rates(path: str) -> dict[str, Any]:
    """Return what `bench --out` has written; raises FileError."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        Rates(**document["rates"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FileError(
            f"{path}: no rates can be read from it ({error}); make it with bench --out"
        ) from error
    return dict(document)


def _link(document: dict[str, Any]) -> Link | None:
    """Return what messages cost; None if they were measured on one rank."""
    return Link(**document["link"]) if document.get("link") else None


def _figures(n_nodes: int, ranks: int, each: Forecast, first: Forecast) -> dict[str, float]:
    """Return one line's numbers; the efficiency is to one node with all its ranks."""
    return {
        "nodes": n_nodes,
        "ranks": n_nodes * ranks,
        **dataclasses.asdict(each),
        "total": each.total,
        "efficiency": first.total / (n_nodes * each.total),
    }


def _all_figures(ranks: int, found: list[tuple[int, Forecast]]) -> list[dict[str, float]]:
    """Return a solver's numbers; the first forecast is that for one node."""
    (_, first), *others = found
    return [_figures(n, ranks, each, first) for n, each in others]


def _heading(options: ForecastOptions, rates: Rates, network: Link, ranks: int) -> list[str]:
    """Return what is assumed."""
    width = f"{options.stored:g} numbers in each of" if options.stored else ""
    bytes_rate = "infinite" if not network.byte_seconds else f"{1e-9 / network.byte_seconds:.3g}"
    return [
        f"{options.rows:,.0f} rows, {width} {options.columns:,} columns, {options.outputs} "
        f"outputs, {options.solver}; {ranks} ranks a node",
        f"A rank alone: {1e-9 / rates.number_seconds:.3g} billion numbers/s, "
        f"{1e9 * rates.row_seconds:.2g} ns more a row; beside all of its node "
        f"{rates.slowed(ranks):.2f} times as long; jitter {rates.jitter:.1%}",
        f"Network: {1e6 * network.latency:.3g} us a step of log2(nodes), {bytes_rate} GB/s",
        "Seconds an iteration; efficiency to one node:",
    ]


def _table(
    heading: list[str], found: list[tuple[int, Forecast]], first: Forecast, ranks: int
) -> str:
    """Return the table of one solver, for people."""
    lines = [*heading, _HEAD]
    for n, each in found:
        f = _figures(n, ranks, each, first)
        parts = (each.read, each.hessian, each.wait, each.algebra, each.messages, each.total)
        numbers = " ".join(f"{part:9.3g}" for part in parts)
        lines.append(f"{n:7,} {n * ranks:8,}   {numbers}   {f['efficiency']:8.1%}")
    return "\n".join(lines)


def _table_of_all(
    heading: list[str], nodes: list[int], every: dict[str, list[tuple[int, Forecast]]]
) -> str:
    """Return the table of all solvers, for people."""
    lines = [*heading, f"{'nodes':20}" + "".join(f"{n:>18,}" for n in nodes)]
    for name, ((_, first), *found) in every.items():
        cells = [f"{each.total:9.3g} ({first.total / (n * each.total):6.1%})" for n, each in found]
        lines.append(f"{name:20}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)
