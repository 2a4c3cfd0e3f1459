"""Imports point downward: no room of the package knows the rooms above it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mpi_gd

PACKAGE = Path(mpi_gd.__file__).parent
# A room is a module or a folder beside __init__.py.
LAYERS = {
    "doubled": 0,
    "allocation": 0,
    "costs": 0,
    "errors": 0,
    "launcher": 0,
    "links": 0,
    "listeners": 0,
    "losses": 0,
    "matrix": 0,
    "numbered": 0,
    "page": 2,
    "pace": 0,
    "patient": 0,
    "penalties": 0,
    "pulse": 0,
    "solvers": 0,
    "archive": 1,
    "checkpoint": 1,
    "comm": 1,
    "config": 1,
    "data": 1,
    "evaluation": 1,
    "export": 2,
    "files": 1,
    "model": 1,
    "options": 1,
    "prepare": 1,
    "report": 1,
    "signals": 1,
    "status": 1,
    "inference": 2,
    "objective": 2,
    "selection": 2,
    "synthetic": 2,
    "trainer": 2,
    "commands": 3,
    "cli": 4,
    "api": 4,
    "__main__": 4,
}
# Within a layer a room knows its like only where stated here.
NEIGHBOURS = {
    "archive": {"files"},
    "checkpoint": {"archive", "files"},
    "cli": {"__main__"},
    "__main__": {"cli"},
    "config": {"data", "prepare"},
    "evaluation": {"comm"},
    "inference": {"objective"},
    "losses": {"links"},
    "model": {"archive", "files", "prepare"},
    "patient": {"launcher"},
    "penalties": {"errors"},
    "prepare": {"data"},
    "report": {"files"},
    "selection": {"objective"},
    "status": {"files"},
    "solvers": {"errors"},
    "trainer": {"objective"},
}
# What is not of Python's own library: NumPy everywhere, the rest in one room.
FOREIGN = {
    "api": {"sklearn", "mpi4py"},
    "comm": {"mpi4py"},
    "export": {"joblib", "onnx", "sklearn"},
    "data": {"h5py", "pyarrow", "zarr"},
    "inference": {"scipy"},
    "matrix": {"scipy"},
    "page": {"matplotlib"},
    "selection": {"pyarrow"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> Iterator[str]:
    """Yield the full name of each module that a file imports, wherever in it."""
    here = ["mpi_gd", *path.relative_to(PACKAGE).with_suffix("").parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: -node.level] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            # `from mpi_gd import errors` names a room, `from mpi_gd import __version__` does not.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rooms_known_to(path: Path) -> set[str]:
    names = [name.split(".") for name in imports_of(path)]
    known = {name[1] for name in names if name[0] == "mpi_gd" and len(name) > 1}
    return {name for name in known if not name.startswith("__version")} - {room_of(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_downward(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        # What it names for a type checker is loaded when it is asked for: see test_imports.py.
        return
    assert room in LAYERS, f"give {room} a layer in this test, and say it in the design"
    for other in rooms_known_to(path):
        assert other in LAYERS, f"{room} imports {other}, which has no layer"
        downward = LAYERS[other] < LAYERS[room]
        # The rooms of layer 0 know each other only where NEIGHBOURS says so, as all others do.
        assert downward or other in NEIGHBOURS.get(room, ()), (
            f"{room} (layer {LAYERS[room]}) imports {other} (layer {LAYERS[other]}): pass it in, "
            "or move what both need down"
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_nothing_foreign_to_its_room(path: Path) -> None:
    top = {name.partition(".")[0] for name in imports_of(path)} - {"mpi_gd"}
    foreign = top - sys.stdlib_module_names - {"numpy"} - FOREIGN.get(room_of(path), set())
    assert not foreign


def test_data_knows_neither_mpi_nor_a_communicator() -> None:
    for path in (PACKAGE / "data").rglob("*.py"):
        assert "comm" not in rooms_known_to(path)
        assert not any(name.startswith("mpi4py") for name in imports_of(path))


def test_the_table_has_no_room_that_is_gone() -> None:
    rooms = {room_of(path) for path in FILES} - {"__init__"}
    assert set(LAYERS) == rooms
    assert set(NEIGHBOURS) <= rooms
