"""What an import loads: 10,000 ranks that start at once read each module from one file system."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "h5py",
    "hypothesis",
    "zarr",
    "matplotlib",
    "pandas",
    "pyarrow",
    "pytest",
    "rich",
    "scipy",
    "sklearn",
}
# Modules beyond those that NumPy and mpi4py load. The package's own grow with its solvers and
# losses, and are small; each of the others is there because somebody imported something.
MOST_OWN, MOST_OTHERS = 280, 50


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh Python has after `statement`."""
    program = f"import sys\n{statement}\nprint('MODULES', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.partition("MODULES")[2].split())


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_importing_the_package_loads_nothing_else() -> None:
    before, after = loaded_by("pass"), loaded_by("import mpi_gd")
    assert after - before == {"mpi_gd"}


@pytest.mark.parametrize(
    "module", ["errors", "options", "config", "losses", "penalties", "solvers", "data", "model"]
)
def test_rooms_that_know_no_mpi_load_none(module: str) -> None:
    loaded = packages(loaded_by(f"import mpi_gd.{module}"))
    assert "mpi4py" not in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "bench"])
def test_a_command_loads_little(command: str) -> None:
    base = loaded_by("import numpy, mpi4py")
    loaded = loaded_by(f"import mpi_gd.commands.{command}") - base
    own = {name for name in loaded if packages({name}) == {"mpi_gd"}}
    assert not packages(loaded) & HEAVY
    assert len(own) <= MOST_OWN, sorted(own)
    assert len(loaded - own) <= MOST_OTHERS, sorted(loaded - own)


def test_the_launcher_loads_neither_mpi_nor_numpy() -> None:
    """It waits beside the ranks on a login node or a first host, and must start at once."""
    assert not packages(loaded_by("import mpi_gd.commands.launch")) & {"numpy", "mpi4py"}


def test_the_command_line_is_read_before_numpy_is_loaded() -> None:
    """`--help` is instant, and the number of BLAS threads can still be set."""
    assert not packages(loaded_by("import mpi_gd.cli")) & {"numpy", "mpi4py"}


def test_the_command_line_loads_the_options_of_one_command() -> None:
    loaded = loaded_by('from mpi_gd import cli; cli.parse(["predict", "m.npz", "x.csv"])')
    found = {name for name in loaded if name.startswith("mpi_gd.options.")}
    assert found == {"mpi_gd.options.fields", "mpi_gd.options.predict"}
