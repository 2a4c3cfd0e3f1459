"""Be the program, and tell what the last rank has loaded.

`mpirun -n 3 python -m tests.startup train JOB.toml --out RUN` prints its modules, their bytes, the
files that were opened on the way, and the milliseconds that loading took. MPI_GD_TEST_LOADED
names a file for the same as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any


def weigh(n_opened: int, seconds: float) -> dict[str, Any]:
    """Return what this process has loaded."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    is_own = {name: name.partition(".")[0] == "mpi_gd" for name in sorted(sys.modules)}
    return {
        "own": [name for name, own in is_own.items() if own],
        "others": [name for name, own in is_own.items() if not own],
        "bytes": sum(os.path.getsize(file) for file in files if file),
        "opened": n_opened,
        "milliseconds": round(seconds * 1000),
    }


def main() -> int:
    """Run the program; return its exit code."""
    n_opened, began = 0, time.monotonic()

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal n_opened
        # Python imports a library in C without opening it, and says which file it is.
        n_opened += event == "open" or (event == "import" and bool(arguments[1]))

    sys.addaudithook(note)
    # As the program does, before NumPy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import_module("mpi_gd.commands.train")
    from mpi_gd.__main__ import main as program

    seconds = time.monotonic() - began
    code = program()
    from mpi4py import MPI

    if MPI.COMM_WORLD.rank == MPI.COMM_WORLD.size - 1:
        told = weigh(n_opened, seconds)
        if "MPI_GD_TEST_LOADED" in os.environ:
            Path(os.environ["MPI_GD_TEST_LOADED"]).write_text(json.dumps(told))
        print(
            f"rank {MPI.COMM_WORLD.rank}: {len(told['own'])} modules of mpi_gd, "
            f"{len(told['others'])} others, {told['bytes']:,} bytes, {told['opened']} files "
            f"opened, {told['milliseconds']} ms to load"
        )
    return code


if __name__ == "__main__":
    sys.exit(main())
