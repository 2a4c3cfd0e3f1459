"""Write a job as TOML, with every key, so that it can be run again as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mpi_gd.config.job import Job
from mpi_gd.config.schema import keys_of, kind_of

__all__ = ["dump_job", "literal"]


def dump_job(job: Job) -> str:
    """Return the TOML text from which `parse_job` makes an equal job."""
    keys = keys_of(Job).values()
    lines = list(_pairs(job, [key.name for key in keys if not key.is_table]))
    for key in keys:
        if key.is_table:
            entry = getattr(job, key.name)
            lines += ["", f"[{key.name}]"]
            if key.kinds is not None:
                lines.append(f"kind = {literal(kind_of(key.kinds, entry))}")
            lines += _pairs(entry, keys_of(type(entry)))
    return "\n".join(lines) + "\n"


def _pairs(entry: object, names: Any) -> Iterator[str]:
    """Yield "key = value"; a field that is None has no key."""
    for name in names:
        value = getattr(entry, name)
        if value is not None:
            yield f"{name} = {literal(value)}"


def literal(value: object) -> str:
    """Write a value that is no section of its own in TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            # JSON's escapes are TOML's too, but it leaves DEL as it is.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case int() | float():
            return repr(value)
        case dict():
            pairs = (f"{literal(name)} = {literal(item)}" for name, item in value.items())
            return "{" + ", ".join(pairs) + "}"
        case list():
            return "[" + ", ".join(literal(item) for item in value) + "]"
    raise TypeError(f"a key cannot hold {value!r}")
