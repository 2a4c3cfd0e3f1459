"""Changes to a job from the command line: `--set solver.step=0.1`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from mpi_gd.config.lines import Path
from mpi_gd.config.schema import Key, keys_of
from mpi_gd.config.values import toml_value
from mpi_gd.errors import JobError

__all__ = ["Override", "apply_overrides", "parse_override"]

T = TypeVar("T")

_KEY = re.compile(r"[\w-]+(\.[\w-]+)?")


@dataclass(frozen=True)
class Override:
    """A value from the command line: TOML, or else the text as it stands."""

    item: str
    path: Path
    text: str

    def read(self, check: Callable[[object], T]) -> T:
        """Return the value as `check` takes it; raises the ValueError that `check` raises.

        Text that is TOML of a type that `check` refuses is tried as plain text too, so that
        `--set name=2024` needs no quotes inside quotes.
        """
        try:
            return check(self.value)
        except ValueError:
            with contextlib.suppress(ValueError):
                return check(self.text)
            raise

    @property
    def value(self) -> object:
        """The TOML value that the text is, or the text."""
        return toml_value(self.text)


def parse_override(item: str) -> Override:
    """Split "solver.step=0.1"; raises JobError."""
    key, equals, text = item.partition("=")
    if not equals or not _KEY.fullmatch(key.strip()):
        raise JobError(f"--set {item}: expected KEY=VALUE, as in --set solver.step=0.1")
    return Override(item, tuple(key.strip().split(".")), text.strip())


def apply_overrides(
    document: dict[str, Any], overrides: Iterable[Override], keys: Mapping[str, Key]
) -> None:
    """Put overrides into a document, in which the last of several for one key stands.

    A new `kind` takes out the keys that only the old one has; it comes first for that reason,
    before keys for the new kind.
    """
    for override in sorted(overrides, key=lambda override: override.path[-1] != "kind"):
        *tables, name = override.path
        table = document
        for part in tables:
            table = table.setdefault(part, {})
        # What is no table is reported when the job is built, with its line.
        if isinstance(table, dict):
            if name == "kind" and tables and (key := keys.get(tables[0])) and key.kinds:
                _change_kind(table, key, override.value)
            table[name] = override


def _change_kind(table: dict[str, Any], key: Key, kind: object) -> None:
    """Remove the keys of the table's kind that the new one does not have."""
    kinds = key.kinds or {}
    before = table.get("kind", key.kind)
    old, new = (
        kinds.get(name) if isinstance(name, str) else None
        for name in (before.value if isinstance(before, Override) else before, kind)
    )
    if old and new:
        for name in keys_of(old).keys() - keys_of(new).keys():
            table.pop(name, None)
