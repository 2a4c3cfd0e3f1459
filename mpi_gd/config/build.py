"""Make dataclasses of a TOML document, strictly: each mistake is named with its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from mpi_gd.config.lines import Path, line_numbers
from mpi_gd.config.overrides import Override
from mpi_gd.config.schema import Key, keys_of, sections
from mpi_gd.config.values import expectation, fit, one_of, show
from mpi_gd.data.names import suggest
from mpi_gd.errors import JobError

__all__ = ["Builder"]

T = TypeVar("T")

_SHOWN = 60


class Builder(Generic[T]):
    """Builds an instance of `cls` from a document that came from `text` and overrides."""

    def __init__(self, cls: type[T], text: str, name: str, overrides: Sequence[Override]) -> None:
        self._cls = cls
        self._text = text
        self._name = name
        self._overrides = {override.path: override for override in overrides}

    def build(self, document: dict[str, Any]) -> T:
        """Return the instance; raises JobError for the first mistake."""
        instance: T = self._make(self._cls, document, ())
        return instance

    def _make(self, cls: type[Any], table: dict[str, Any], path: Path, kind: str = "") -> Any:
        """Build a dataclass from the table at `path`."""
        keys = keys_of(cls)
        for name, value in table.items():
            if name not in keys:
                raise self._unknown(name, value, [*keys, *(["kind"] if kind else [])], path, kind)
        values = {
            name: self._value(key, table.get(name), (*path, name))
            for name, key in keys.items()
            if name in table or not key.is_optional
        }
        try:
            return cls(**values)
        except ValueError as error:
            raise self._refused(str(error), keys, path) from error

    def _value(self, key: Key, value: Any, path: Path) -> Any:
        """Build what stands at `path`: a plain value or a table."""
        if value is None and not key.is_table:
            expected = expectation(key.hint)
            raise self._error(path, f"{'.'.join(path)} is missing; expected {expected}")
        if not key.is_table:
            return self._plain(key.hint, value, path)
        value = {} if value is None else value
        if isinstance(value, Override):
            raise self._error(
                path, f"{key.name} is a table: set a key of it, as in --set {key.name}.KEY=VALUE"
            )
        if not isinstance(value, dict):
            raise self._error(path, f"{key.name}: got {show(value)}, expected a table [{key.name}]")
        if key.kinds is None:
            return self._make(key.hint, value, path)
        kinds = one_of(key.kinds)
        given = value.get("kind", key.kind)
        if given == "":
            raise self._error(
                path,
                f"{key.name}.kind is missing; add kind = {expectation(kinds)} under [{key.name}]",
            )
        kind = self._plain(kinds, given, (*path, "kind"))
        others = {name: item for name, item in value.items() if name != "kind"}
        return self._make(key.kinds[kind], others, path, kind)

    def _plain(self, hint: Any, value: Any, path: Path) -> Any:
        """Return a value that is not a table."""
        try:
            if isinstance(value, Override):
                return value.read(lambda candidate: fit(candidate, hint))
            return fit(value, hint)
        except ValueError as error:
            raise self._error(path, f"{'.'.join(path)}: {error}") from error

    def _unknown(
        self, name: str, value: object, known: list[str], path: Path, kind: str
    ) -> JobError:
        """Say where a key belongs that is none, or which there are."""
        homes: dict[str, list[str]] = {}
        for section in sections(self._cls):
            if any(key.name == name for key in section.keys):
                homes.setdefault(section.table, []).append(section.kind)
        advice = " or ".join(_place(table, *kinds) for table, kinds in homes.items())
        advice = f"it belongs {advice}" if homes else suggest(name, known)
        what = "table" if isinstance(value, dict) else "key"
        here = _place(".".join(path), kind)
        shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
        return self._error((*path, name), f"unknown {what} {shown!r} {here}; {advice}")

    def _refused(self, message: str, keys: dict[str, Key], path: Path) -> JobError:
        """Add the place to a dataclass's own message, which begins with a field's name."""
        named = re.split(r"[^\w.]", message, maxsplit=1)[0].split(".")
        if named[0] in keys:
            return self._error((*path, *named), ".".join((*path, message)))
        return self._error(path, message)

    def _error(self, path: Path, message: str) -> JobError:
        """Return an error that begins with the override or the line that `path` comes from."""
        return JobError(f"{self._origin(path)}: {message}")

    def _origin(self, path: Path) -> str:
        """Name the override, or the line of the key or of its table, or at least the file."""
        if path in self._overrides:
            return f"--set {self._overrides[path].item}"
        lines = line_numbers(self._text)
        for end in range(len(path), 0, -1):
            if path[:end] in lines:
                return f"{self._name}:{lines[path[:end]]}"
        for above, override in self._overrides.items():
            if above[: len(path)] == path:
                return f"--set {override.item}"
        return self._name


def _place(table: str, *kinds: str) -> str:
    """Say where a key stands: in which table, of which kinds."""
    kind = " or ".join(repr(kind) for kind in kinds if kind)
    where = f"in [{table}]" if table else "at the top level"
    return f"{where} (kind {kind})" if kind else where
