"""Read off a dataclass which keys a table may have."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, get_type_hints

__all__ = ["Key", "Section", "keys_of", "kind_of", "sections", "sentences"]

# Stands for the default of a key that has none.
REQUIRED = object()


@dataclass(frozen=True)
class Key:
    """A field of a dataclass as a key: of a plain value, or of a table."""

    name: str
    hint: Any
    """Its type."""
    default: Any
    kinds: Mapping[str, type[Any]] | None
    """The registry that the table's `kind` chooses from; None for any other key."""

    @property
    def kind(self) -> str:
        """The kind taken when none is given; empty if one must be."""
        return kind_of(self.kinds, self.default) if self.kinds and self.is_optional else ""

    @property
    def is_optional(self) -> bool:
        """Whether there is a default."""
        return self.default is not REQUIRED

    @property
    def is_table(self) -> bool:
        """Whether the key is the name of a table."""
        return self.kinds is not None or is_dataclass(self.hint)


@dataclass(frozen=True)
class Section:
    """The plain keys of a table: of one of its kinds, if it has kinds."""

    table: str
    """Empty at the top level."""
    kind: str
    keys: tuple[Key, ...]
    cls: type[Any]


def kind_of(kinds: Mapping[str, type[Any]], entry: object) -> str:
    """Return the name under which the class of `entry` stands in a registry."""
    return next(kind for kind, cls in kinds.items() if cls is type(entry))


def keys_of(cls: type[Any]) -> dict[str, Key]:
    """Return the keys of a dataclass by name, in order."""
    # To the type checker a class is not hashable.
    return dict(_keys_of(cls))  # type: ignore[arg-type]


@functools.cache
def _keys_of(cls: type[Any]) -> dict[str, Key]:
    """Return the same, once for each class: a search builds a job for every candidate."""
    hints = get_type_hints(cls)
    return {item.name: _key(item, hints[item.name]) for item in fields(cls) if item.init}


def _key(item: Field[Any], hint: Any) -> Key:
    """Describe one field."""
    default = item.default
    if item.default_factory is not MISSING:
        default = item.default_factory()
    return Key(
        name=item.name,
        hint=hint,
        default=REQUIRED if default is MISSING else default,
        kinds=item.metadata.get("kinds"),
    )


def sections(cls: type[Any]) -> Iterator[Section]:
    """Yield the top level, then each table, kind by kind."""
    keys = keys_of(cls).values()
    yield Section("", "", tuple(key for key in keys if not key.is_table), cls)
    for key in keys:
        kinds = {"": key.hint} if key.kinds is None else key.kinds
        for kind, entry in kinds.items() if key.is_table else ():
            yield Section(key.name, kind, tuple(keys_of(entry).values()), entry)


def sentences(cls: type[Any]) -> dict[str, str]:
    """Return the text under each field of a class, which Python itself does not keep."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not is_dataclass(base):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assigned = ""
        for statement in body.body if isinstance(body, ast.ClassDef) else ():
            match statement:
                case ast.AnnAssign(target=ast.Name(id=name)):
                    assigned = name
                case ast.Expr(value=ast.Constant(value=str(text))) if assigned:
                    found[assigned] = " ".join(text.split())
                    assigned = ""
                case _:
                    assigned = ""
    return found
