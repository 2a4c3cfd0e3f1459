"""Whether the cost model's forecasts come true: on this machine, and on virtual hosts with delay.

    python -m tests.benchmarks.forecasts [--ranks 1 2 4 8] [--hosts 2 4] [--delay-us 500]

The rates are measured on as many ranks as there are cores, the network on the first number of
hosts with one rank each. Every other figure is forecast from these, and set beside what trainings
by gradient descent take for a question. More ranks than cores take turns, and wait for each other's
turn in every message, which no model of a cluster says: those lines are marked. Virtual hosts
share this machine's cores. Needs root for the hosts, and some minutes; nothing else may run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpi_gd.costs import SOLVER_COSTS, Link, Rates, Work, forecast
from tests.benchmarks.hosts import mpirun_on
from tests.benchmarks.problems import Problem, make
from tests.launch import environment, mpirun_command
from tests.machines.network import Network, switched, why_no_network

_ROOT = Path(__file__).parents[2]
# One that the rows decide, one that the messages do, one whose messages are long.
_SHAPES = ((400_000, 100), (4_000, 20), (4_000, 4_000))
_LIMIT_SECONDS = 300.0
_RATE_MBIT = 1000.0
_BENCH = ["bench", "--rows", "100000", "--columns", "20"]

Launch = Callable[[list[str]], object]


def main() -> int:
    """Measure, forecast, and print both."""
    given = _arguments()
    folder = given.out.resolve()
    problems = [Problem(f"forecast-{n}-{d}", "logistic", n, d, 1e-4, 1e-6, "") for n, d in _SHAPES]
    for problem in problems:
        make(problem, folder / problem.name)
    n_cores = len(os.sched_getaffinity(0))
    node = _measured_rates(_local(n_cores), folder / "node.json")
    print("rows x columns       where                    measured us   forecast us   ratio")
    for ranks in given.ranks:
        note = " (more than cores)" if ranks > n_cores else ""
        _compare(problems, folder, _local(ranks), node, Link(0.0, 0.0), 1, ranks, n_cores, note)
    why = why_no_network()
    if why:
        print(f"no hosts: {why}")
        return 0
    network: Link | None = None
    for n_hosts in given.hosts:
        with (
            tempfile.TemporaryDirectory() as place,
            Network(n_hosts, Path(place), more=["head"]) as hosts,
            switched(hosts, given.delay_us, _RATE_MBIT) as device,
        ):

            def launch(words: list[str], hosts: Network = hosts, device: str = device) -> str:
                return mpirun_on(hosts, 1, device, words, timeout=_LIMIT_SECONDS)

            if network is None:
                network = Link(**_measured_rates(launch, folder / "network.json")["link"])
                print(
                    f"network of {n_hosts} hosts: {1e6 * network.latency:.0f} us a step, "
                    f"{1e-9 / max(network.byte_seconds, 1e-15):.3g} GB/s"
                )
            note = f" ({given.delay_us:g} us one way)"
            _compare(problems, folder, launch, node, network, n_hosts, 1, n_cores, note)
    return 0


def _compare(
    problems: list[Problem],
    folder: Path,
    launch: Launch,
    node: dict[str, Any],
    network: Link,
    n_hosts: int,
    ranks: int,
    n_cores: int,
    note: str,
) -> None:
    """Print a line for each problem."""
    rates, link = Rates(**node["rates"]), Link(**node["link"])
    for problem in problems:
        measured = _question_seconds(launch, folder / problem.name)
        work = Work(problem.n_rows, problem.n_columns)
        each = forecast(rates, link, network, work, SOLVER_COSTS["gd"], n_hosts, ranks)
        # All hosts are on this machine: what they compute, they compute in turns.
        turns = max(1.0, n_hosts / n_cores) * rates.slowed(min(n_hosts, n_cores))
        computed = (each.read + each.wait) * (turns if n_hosts > 1 else 1.0)
        expected = computed + each.algebra + each.messages
        where = f"{n_hosts} hosts" if n_hosts > 1 else f"{ranks} ranks"
        print(
            f"{problem.n_rows:9,} x {problem.n_columns:5,}   {where + note:24} "
            f"{1e6 * measured:11.0f} {1e6 * expected:13.0f} {expected / measured:7.2f}",
            flush=True,
        )


def _question_seconds(launch: Launch, folder: Path) -> float:
    """Return the seconds of a question of a training by gradient descent."""
    job, run = folder / "job.toml", folder / "run"
    job.write_text(
        '[data]\npath = "x.npy"\ntarget = "y.npy"\n[loss]\nkind = "logistic"\n[penalty]\n'
        'kind = "l2"\nalpha = 1e-4\n[solver]\nkind = "gd"\n[stop]\ntol = 0.0\nmax_iter = 60\n'
    )
    words = ["-m", "mpi_gd", "train", str(job), "--out", str(run), "--force", "--progress", "none"]
    launch(words)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    spent = sorted(
        (after["elapsed_seconds"] - before["elapsed_seconds"])
        / (after["questions"] - before["questions"])
        for before, after in itertools.pairwise(lines)
    )
    return float(spent[len(spent) // 2])


def _measured_rates(launch: Launch, file: Path) -> dict[str, Any]:
    """Return what `bench --out` writes."""
    launch(["-m", "mpi_gd", *_BENCH, "--out", str(file)])
    return dict(json.loads(file.read_text()))


def _local(ranks: int) -> Launch:
    """Return what runs words on so many ranks of this machine."""

    def launch(words: list[str]) -> None:
        command = [*mpirun_command(ranks), sys.executable, *words]
        done = subprocess.run(
            command,
            cwd=_ROOT,
            env=environment("forecasts", {}, command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
        )
        if done.returncode:
            raise RuntimeError(
                f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
            )

    return launch


def _arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.forecasts")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--hosts", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--delay-us", type=float, default=500.0)
    parser.add_argument("--out", type=Path, default=Path("runs/forecasts"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
