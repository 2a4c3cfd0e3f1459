"""Say what data hold, what training on them takes, and what to do about them."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import socket
from typing import Any

import numpy as np

from mpi_gd.allocation.memory import available_memory
from mpi_gd.comm import World
from mpi_gd.commands.asked import open_asked, read_asked
from mpi_gd.commands.findings import find_remarks
from mpi_gd.commands.inspected import as_text
from mpi_gd.commands.profile import ColumnProfile, find_profile
from mpi_gd.commands.sizing import size_up
from mpi_gd.costs import SOLVER_COSTS, Link, Rates, Work, forecast
from mpi_gd.data import Source
from mpi_gd.data.grid import RowGrid
from mpi_gd.options import InspectOptions

__all__ = ["run"]


def run(world: World, options: InspectOptions) -> int:
    """Print the figures; collective. Return the exit code."""
    asked = read_asked(world, options.source, options.overrides)
    source = open_asked(world, dataclasses.replace(asked, raw=True))
    columns = find_profile(world, source)
    hosts = len(set(world.gather_small(socket.gethostname())))
    text = ""
    with world.phase("estimating what training takes", by_root=True):
        if world.is_root:
            plan = _plan(source, options, world.size, hosts)
            remarks = find_remarks(columns, source.n_samples, bool(source.n_stored))
            text = (
                _json(source, columns, plan, remarks)
                if options.json
                else as_text(source, columns, plan, remarks, all_=options.all)
            )
    if world.is_root:
        print(text)
    return 0


def _plan(source: Source, options: InspectOptions, size: int, hosts: int) -> dict[str, Any]:
    """Return what training takes: on these hosts, or on hosts like this with a rank a core."""
    ranks = options.ranks or size
    nodes = math.ceil(ranks / len(os.sched_getaffinity(0))) if options.ranks else hosts
    here = math.ceil(ranks / nodes)
    grid = RowGrid(source.n_samples, source.n_features, source.dtype.itemsize, source.n_stored)
    edges = np.minimum(np.arange(grid.n_tiles + 1) * grid.tile_rows, grid.n_samples)
    rows = np.diff(edges[grid.divide(ranks)])
    sizes = size_up(source, nodes, here)
    seconds, how = sizes.pass_seconds, "by a rule, not measured"
    if options.machine:
        seconds, how = _measured(options.machine, source, nodes, here), f"by {options.machine}"
    free = available_memory(1)
    return {
        "ranks": ranks,
        "nodes": nodes,
        "tiles": grid.n_tiles,
        "tile_rows": grid.tile_rows,
        "block_rows": grid.block_rows,
        "rows_per_rank": [int(rows.min()), int(rows.max())],
        "x_bytes": int(sizes.data_bytes),
        "rank_bytes": int(sizes.node_bytes / here),
        "node_bytes": int(sizes.node_bytes),
        "free_bytes": int(free),
        "fits": sizes.node_bytes <= free,
        "pass_seconds": seconds,
        "pass_seconds_are": how,
    }


def _measured(path: str, source: Source, nodes: int, ranks: int) -> float:
    """Return the seconds of a gradient, by measured rates; raises FileError."""
    from mpi_gd.commands.forecast import read_rates

    machine = read_rates(path)
    link = Link(**machine["link"]) if machine.get("link") else Link(0.0, 0.0)
    stored = source.n_stored / max(1, source.n_samples)
    work = Work(source.n_samples, source.n_features, stored)
    rates = Rates(**machine["rates"])
    return forecast(rates, link, link, work, SOLVER_COSTS["gd"], nodes, ranks).total


def _json(
    source: Source, columns: list[ColumnProfile], plan: dict[str, Any], remarks: list[str]
) -> str:
    """Return all as JSON; what is no number is null."""
    shown = []
    for column in columns:
        figures = dataclasses.asdict(column)
        shown.append(
            {
                key: None if isinstance(value, float) and not math.isfinite(value) else value
                for key, value in figures.items()
            }
        )
    document = {
        "rows": source.n_samples,
        "columns": source.n_features,
        "dtype": str(source.dtype),
        "stored": source.n_stored or None,
        "profile": shown,
        "training": plan,
        "remarks": remarks,
    }
    return json.dumps(document)
