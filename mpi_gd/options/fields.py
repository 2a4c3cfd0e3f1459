"""Metadata of arguments that several commands have."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["DATA", "FORCE", "JSON", "MODEL", "SET_DATA"]

# Of which the `group` is what an argument is listed in, and the `flag` stands in place of --NAME.
Metadata = dict[str, Any]

MODEL: Final[Metadata] = {
    "flag": "",
    "metavar": "MODEL",
    "group": "input",
    "help": "a model.npz of a run's folder",
}
DATA: Final[Metadata] = {
    "flag": "",
    "metavar": "DATA",
    "group": "input",
    "help": "a file of a format that is read; or a folder of them, or a pattern in quotes",
}
SET_DATA: Final[Metadata] = {
    "flag": "--set",
    "metavar": "KEY=VALUE",
    "group": "input",
    "help": "how to read the data, as in header=no: a key of a job's table [data]; may come "
    "several times",
}
FORCE: Final[Metadata] = {"group": "output", "help": "replace the files that are there"}
JSON: Final[Metadata] = {"group": "output", "help": "print JSON instead of a table"}
