"""Load TOML, and tell in which line a key stands, which the standard parser does not."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from mpi_gd.errors import JobError

__all__ = ["Path", "line_numbers", "load"]

Path = tuple[str, ...]
"""A key with the tables it stands in: ("solver", "step")."""

_POSITION = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)")
_REMEDIES = {
    "Invalid value": 'write text in "quotes", numbers as 0.5, and true or false in small letters',
    "Invalid statement": "write key = value, or [table]",
    "Expected '=' after a key": "write key = value",
    "Cannot overwrite a value": "this key comes twice; remove one",
    "Cannot declare": "this table comes twice; join them",
    "Cannot mutate immutable namespace": "this table comes twice; join them",
    "Unterminated string": "close the quotes",
    "Unescaped '\\'": "write \\\\ for a backslash, or put the text in 'single quotes'",
    "Expected newline": 'write one key = value a line, text in "quotes"',
}
_SHOWN = 60
_MOST_DOTS = 200
# Keys stand two deep in a job.
_MOST_KEYS = 4
# Characters that are parsed at most to find the line of a mistake.
_MOST_PARSED = 1 << 20


def load(text: str, name: str) -> dict[str, Any]:
    """Parse a TOML document; raises JobError that begins with the name and the line."""
    for number, line in enumerate(_split(text), start=1):
        # The time that the standard parser takes grows with their square.
        if line.count(".") > _MOST_DOTS:
            raise JobError(
                f"{name}:{number}: got {line.count('.')} dots in a line, expected a key as in "
                "solver.step"
            )
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise JobError(_explain(str(error), text, name)) from None
    except RecursionError:
        raise JobError(f"{name}: brackets are nested too deeply; a job needs none") from None
    except ValueError:
        # Python refuses to convert an integer of so many digits, and does not say where.
        raise JobError(f"{name}: got an integer of thousands of digits, expected 19") from None


def _explain(message: str, text: str, name: str) -> str:
    """Turn a message of tomllib into one of ours, with the line and what to do."""
    lines = _split(text.rstrip())
    found = _POSITION.fullmatch(message)
    what = found["what"] if found else message
    number = int(found["line"]) if found and found["line"] else len(lines)
    line = lines[min(number, len(lines)) - 1].strip()[:_SHOWN]
    remedy = next((advice for start, advice in _REMEDIES.items() if what.startswith(start)), "")
    advice = f"; {remedy}" if remedy else ""
    return f"{name}:{number}: not TOML: {what[:1].lower()}{what[1:]} in {line!r}{advice}"


def line_numbers(text: str) -> dict[Path, int]:
    """Return the line, counted from 1, in which each key and table of a TOML document begins.

    The document is parsed again statement by statement: a statement is the fewest lines that are
    TOML by themselves, for a string or list that goes on is not. After one of very many lines no
    more are found.
    """
    found: dict[Path, int] = {}
    table: Path = ()
    for number, statement, parsed in _statements(text):
        paths = list(_paths(parsed))
        if statement.lstrip().startswith("["):
            table = paths[-1]
        else:
            paths = [table + path for path in paths]
        for path in paths:
            found.setdefault(path, number)
    return found


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield each statement of a TOML document: its first line's number, its text, parsed."""
    first = 1
    pending = ""
    left = _MOST_PARSED
    for number, line in enumerate(_split(text), start=1):
        pending += line + "\n"
        left -= len(pending)
        if left < 0:
            return
        try:
            parsed = tomllib.loads(pending)
        except (ValueError, RecursionError):
            continue
        yield first, pending, parsed
        first = number + 1
        pending = ""


def _split(text: str) -> list[str]:
    """Return lines as TOML counts them: `splitlines` also ends them elsewhere."""
    return text.replace("\r\n", "\n").split("\n")


def _paths(statement: Any, above: Path = ()) -> Iterator[Path]:
    """Yield the path of each key in nested tables, outer ones first, of no more than a few keys."""
    if len(above) == _MOST_KEYS:
        return
    if isinstance(statement, list):
        statement = statement[-1] if statement else None
    if isinstance(statement, dict):
        for key, value in statement.items():
            yield (*above, key)
            yield from _paths(value, (*above, key))
