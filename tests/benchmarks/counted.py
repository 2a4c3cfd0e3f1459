"""Run the program and count what it does: on all ranks, under mpirun, in place of mpi_gd itself.

    mpirun -n 2 python -m tests.benchmarks.counted OUT train JOB.toml ...

OUT.RANK.json has the collective calls by name, the rows that this rank has read, each as often as
it was read, the seconds from the end of reading to the beginning of writing, and the memory: the
peak, and what there was at the end of each phase.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mpi_gd import __main__ as program
from mpi_gd.comm import World
from mpi_gd.matrix import Block, Csr, Dense, Reader

_calls: Counter[str] = Counter()
_rows = 0
_read_until = 0.0
_phases: list[tuple[str, float, float, int]] = []


class _CountedReader(Reader):
    """A reader that counts the rows it brings."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def block(self, first: int, last: int) -> Block:
        """Count the rows, and return them."""
        global _rows
        _rows += last - first
        return self._reader.block(first, last)

    def put(self, first: int, last: int, out: Any) -> None:
        """Count the rows, and copy them."""
        global _rows
        _rows += last - first
        self._reader.put(first, last, out)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def _count_rows(matrix: Any) -> None:
    """Let a kind of matrix count the rows that are read of it."""
    plain = matrix.reader
    matrix.reader = lambda *given, **named: _CountedReader(plain(*given, **named))


def _count_calls(world: Any) -> None:
    """Let a kind of world count its collective calls."""
    for name in World.__abstractmethods__:
        plain = getattr(world, name)

        def counted(self: Any, *given: Any, _plain: Any = plain, _name: str = name) -> Any:
            _calls[_name] += 1
            return _plain(self, *given)

        setattr(world, name, counted)


def _note_phases() -> None:
    """Note when each phase of local work begins and ends."""
    plain = World.phase

    @contextmanager
    def noted(self: World, what: str, *, by_root: bool = False) -> Iterator[None]:
        began = time.perf_counter()
        try:
            with plain(self, what, by_root=by_root):
                yield
        finally:
            _phases.append((what, began, time.perf_counter(), _memory("VmHWM")))

    World.phase = noted  # type: ignore[method-assign]


def _memory(name: str) -> int:
    """Return a figure of this process's memory, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


def main(out: str, argv: list[str]) -> int:
    """Run the program; write the counts; return its exit code."""
    # It starts MPI, before mpi4py would.
    from mpi_gd.comm.mpi import MPI, MpiWorld  # type: ignore[attr-defined]

    rank = MPI.COMM_WORLD.Get_rank()
    _count_calls(MpiWorld)
    for matrix in (Dense, Csr):
        _count_rows(matrix)
    _note_phases()
    code = program.main(argv)
    reading = [end for what, _, end, _ in _phases if what.startswith(("reading", "scanning"))]
    writing = [begin for what, begin, _, _ in _phases if what == "writing the path"]
    seconds = writing[0] - reading[-1] if reading and writing else 0.0
    told = {
        "calls": _calls,
        "rows": _rows,
        "seconds": seconds,
        "peak_bytes": _memory("VmHWM"),
        "peaks": [(what, end - _phases[0][1], peak) for what, _, end, peak in _phases],
    }
    Path(f"{out}.{rank}.json").write_text(json.dumps(told))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
