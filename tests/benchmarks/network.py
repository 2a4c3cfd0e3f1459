"""Ways to sum over hosts, under emulated delay and bandwidth, with the MPI of this environment.

    python -m tests.benchmarks.network [--hosts 2 4] [--per-host 2] [--delay-ms 0.1 1] [--gbit 1 10]

It needs root, and some minutes. All runs on this one machine, the switch too: with more ranks than
cores a rank that waits takes the time of one that works, at 10 Gbit/s long messages are bound by
the cores, and what has many ranks at work at once looks worse than it is. Compare the ways of one
table; of the figures themselves only those of short messages under delay are those of a network.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.hosts import mpirun_on
from tests.launch import mpi_kind
from tests.machines.network import Network, switched, why_no_network

_SIZES = (8, 1024, 65_536, 1 << 20, 1 << 24)
_FOLDER = "tests/benchmarks"


def main() -> int:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--per-host", type=int, default=2)
    parser.add_argument("--delay-ms", type=float, nargs="+", default=[0.1, 1.0])
    parser.add_argument("--gbit", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(_SIZES))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=1_000_000)
    given = parser.parse_args()
    # A timeout ends it as an error would: the hosts and the switch must not be left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    why = why_no_network()
    if why:
        print(why, file=sys.stderr)
        return 2
    for n_hosts in given.hosts:
        with (
            tempfile.TemporaryDirectory() as folder,
            Network(n_hosts, Path(folder), more=["head"]) as network,
        ):
            for delay in given.delay_ms:
                for gbit in given.gbit:
                    print(
                        f"\n{mpi_kind()}: {n_hosts} hosts x {given.per_host} ranks, "
                        f"{delay} ms one way, {gbit:g} Gbit/s; milliseconds",
                        flush=True,
                    )
                    _measure(network, given, delay, gbit)
    return 0


def _measure(network: Network, given: argparse.Namespace, delay_ms: float, gbit: float) -> None:
    """Print the tables of one network."""
    with switched(network, 1e3 * delay_ms, 1e3 * gbit) as device:
        for program, arguments in (
            ("wire", given.sizes),
            ("question", [given.rows, given.columns]),
        ):
            words = ["-m", f"{_FOLDER}.{program}".replace("/", "."), *map(str, arguments)]
            try:
                out = mpirun_on(network, given.per_host, device, words)
            except RuntimeError as error:
                print(error, flush=True)
                continue
            found = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
            print(_table(found), flush=True)


def _table(found: list[dict[str, float]]) -> str:
    """Return one line for each way."""
    names = dict.fromkeys(name for each in found for name in each if name != "bytes")
    lines = []
    if "bytes" in found[0]:
        lines.append(f"{'bytes':20}" + "".join(f"{each['bytes']:>12,}" for each in found))
    for name in names:
        cells = [f"{1e3 * each[name]:12.2f}" if name in each else " " * 12 for each in found]
        lines.append(f"{name:20}" + "".join(cells))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
