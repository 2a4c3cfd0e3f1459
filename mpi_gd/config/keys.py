"""The reference of all keys, made from the dataclasses: `python -m mpi_gd train --keys`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from mpi_gd.config.dump import literal
from mpi_gd.config.job import Job
from mpi_gd.config.schema import Key, Section, keys_of, sections, sentences
from mpi_gd.config.values import expectation

__all__ = ["describe_keys"]

_WIDTH = 88
_INDENT = "    "
_HEAD = """\
The keys of a job file (TOML), each with its default and what it may be.
Any of them can be changed on the command line: --set solver.kind=gd --set solver.step=0.1
"""


def describe_keys(cls: type[Any] = Job, head: str = _HEAD) -> str:
    """Return a text with each key of a job file, by table and kind."""
    lines = [head]
    about = sentences(cls)
    tables = keys_of(cls)
    last = ""
    for section in sections(cls):
        if section.table != last:
            last = section.table
            lines += _table(tables[last], about[last])
        lines += _section(section)
    return "\n".join(lines).rstrip() + "\n"


def _table(key: Key, sentence: str) -> Iterator[str]:
    """Yield the lines above a table's keys."""
    yield f"[{key.name}]  {sentence}"
    yield ""
    if key.kinds is not None:
        default = f'"{key.kind}"' if key.kind else "..."
        yield f"kind = {default}  (one of the kinds below{'' if key.kind else '; required'})"
        yield ""


def _section(section: Section) -> Iterator[str]:
    """Yield the lines of each key of a table, under the kind that has them."""
    indent = ""
    if section.kind:
        formula = (section.cls.__doc__ or "").partition("\n")[0]
        yield _fill(f'with kind = "{section.kind}": {formula}', _INDENT)
        yield ""
        indent = _INDENT
    about = sentences(section.cls)
    for key in section.keys:
        value = literal(key.default) if key.is_optional else "..."
        yield _fill(
            f"{key.name} = {value}  ({expectation(key.hint)})", indent, indent + 2 * _INDENT
        )
        yield _fill(about.get(key.name, ""), indent + _INDENT)
        yield ""


def _fill(text: str, indent: str, later: str | None = None) -> str:
    """Break text into lines, those after the first with the indent `later`."""
    later = indent if later is None else later
    return textwrap.fill(text, _WIDTH, initial_indent=indent, subsequent_indent=later)
