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

_HEAD = "  nodes    ranks        read   hessian      wait   algebra  messages     total  efficiency"


def run(options: ForecastOptions) -> int:
    """Print seconds an iteration for each number of nodes; return the exit code."""
    if options.solver not in SOLVER_COSTS:
        names = ", ".join(map(repr, SOLVER_COSTS))
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
    solver = SOLVER_COSTS[options.solver]
    found = [
        (n, forecast(rates, node, network, work, solver, n, ranks))
        for n in map(int, options.nodes.split(","))
    ]
    first = forecast(rates, node, network, work, solver, 1, ranks)
    if options.json:
        print(json.dumps([_figures(n, ranks, each, first) for n, each in found]))
    else:
        print(_table(options, rates, network, found, first, ranks))
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


def _table(
    options: ForecastOptions,
    rates: Rates,
    network: Link,
    found: list[tuple[int, Forecast]],
    first: Forecast,
    ranks: int,
) -> str:
    """Return the table for people, its assumptions first."""
    width = f"{options.stored:g} numbers in each of" if options.stored else ""
    bytes_rate = "infinite" if not network.byte_seconds else f"{1e-9 / network.byte_seconds:.3g}"
    lines = [
        f"{options.rows:,.0f} rows, {width} {options.columns:,} columns, {options.outputs} "
        f"outputs, {options.solver}; {ranks} ranks a node",
        f"A rank alone: {1e-9 / rates.number_seconds:.3g} billion numbers/s, "
        f"{1e9 * rates.row_seconds:.2g} ns more a row; beside all of its node "
        f"{rates.slowed(ranks):.2f} times as long; jitter {rates.jitter:.1%}",
        f"Network: {1e6 * network.latency:.3g} us a step of log2(nodes), {bytes_rate} GB/s",
        "Seconds an iteration; efficiency to one node:",
        _HEAD,
    ]
    for n, each in found:
        f = _figures(n, ranks, each, first)
        parts = (each.read, each.hessian, each.wait, each.algebra, each.messages, each.total)
        numbers = " ".join(f"{part:9.3g}" for part in parts)
        lines.append(f"{n:7,} {n * ranks:8,}   {numbers}   {f['efficiency']:8.1%}")
    return "\n".join(lines)
