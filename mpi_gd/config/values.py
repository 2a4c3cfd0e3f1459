"""Check a TOML value against the type of its key."""

from __future__ import annotations

import datetime
import math
import tomllib
import types
from collections.abc import Iterable
from typing import Any, Literal, Union, get_args, get_origin

__all__ = ["expectation", "fit", "one_of", "show", "toml_value"]

_WORDS: dict[type, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
}
_PLURALS: dict[Any, str] = {str: "texts", float: "numbers"}
_EXAMPLES: dict[Any, str] = {str: '"text"', float: "0.5", int: "18"}
# A sign and 63 bits: what TOML promises, and what the arrays can hold that numbers end in.
_INT_BITS = 63
_SHOWN = 60


def fit(value: object, hint: Any) -> Any:
    """Return the value as the type `hint`; an integer becomes a float where one is expected.

    `hint` is bool, int, float, str, a Literal, a dict[str, ...] or list[...] of them, or a union; a
    bool is no integer. Raises ValueError ("got ..., expected ...") for another type, and for a
    number that is not finite.
    """
    hints = _alternatives(hint)
    for item in hints:
        if type(value) is get_origin(item):
            return _fit_items(value, item)
    for choice in _choices(hints):
        if type(value) is type(choice) and value == choice:
            return choice
    as_float = type(value) is int and int not in hints and float in hints
    if type(value) not in hints and not as_float:
        raise ValueError(f"got {show(value)}, expected {expectation(hint)}{_remedy(value, hints)}")
    _require_plain(value)
    return float(value) if as_float else value  # type: ignore[arg-type]


def _fit_items(value: Any, hint: Any) -> Any:
    """Return a table or a list with each of its values as the type that `hint` says."""
    *_, inner = get_args(hint)
    items = value.items() if isinstance(value, dict) else enumerate(value)
    fitted = {}
    for name, item in items:
        try:
            fitted[name] = fit(item, inner)
        except ValueError as error:
            place = repr(name) if isinstance(value, dict) else f"item {name + 1}"
            raise ValueError(f"{place}: {error}") from error
        _require_plain(name)
    return fitted if isinstance(value, dict) else list(fitted.values())


def one_of(choices: Iterable[str]) -> Any:
    """Return the type of a value that is one of the choices."""
    literal: Any = Literal
    return literal[tuple(choices)]


def toml_value(text: str) -> object:
    """Return the TOML value that the text is, or the text itself if it is none."""
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return found["value"] if len(found) == 1 else text


def expectation(hint: Any) -> str:
    """Name a type in words."""
    hints = _alternatives(hint)
    words = [_quoted(choice) for choice in _choices(hints)]
    words += [_WORDS[item] for item in hints if item in _WORDS]
    words += [_described(item) for item in hints if get_origin(item) in (dict, list)]
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def show(value: object) -> str:
    """Show a TOML value and name its type."""
    match value:
        case bool():
            return f"{str(value).lower()} (true or false)"
        case str():
            short = value if len(value) <= _SHOWN else value[:_SHOWN] + "..."
            return f"{short!r} (text)"
        case int() if value.bit_length() > _INT_BITS:
            return f"an integer of {value.bit_length()} bits"
        case int():
            return f"{value} (an integer)"
        case float():
            return f"{value} (a number)"
        case list():
            return "a list"
        case dict():
            return "a table"
        case datetime.date() | datetime.time():
            return f"{value} (a date or time)"
    return repr(value)


def _described(hint: Any) -> str:
    """Name the type of a table or a list in words."""
    *_, inner = get_args(hint)
    if get_origin(hint) is list:
        return f"a list of {_PLURALS.get(inner) or 'lists of text'}"
    return f"a table as in {{NAME = {_example(inner)}}}"


def _example(hint: Any) -> str:
    """Return a value of the type, as an example."""
    first = _alternatives(hint)[0]
    if get_origin(first) is list:
        *_, inner = get_args(first)
        return f"[{_example(inner)}, ...]"
    return _EXAMPLES[first]


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type itself."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _choices(hints: Iterable[Any]) -> list[Any]:
    """Return the values of the Literals among some types."""
    return [choice for hint in hints if get_origin(hint) is Literal for choice in get_args(hint)]


def _quoted(value: object) -> str:
    """Write a choice as TOML does."""
    return f'"{value}"' if isinstance(value, str) else str(value)


def _remedy(value: object, hints: tuple[Any, ...]) -> str:
    """Say what to do about a misspelt choice, and about quotes too many or too few."""
    # Ranks whose names are right need not load it.
    import difflib

    if isinstance(value, str):
        choices = [str(choice) for choice in _choices(hints)]
        near = difflib.get_close_matches(value.casefold(), choices, n=1)
        if near:
            return f"; did you mean {_quoted(near[0])}?"
        return "; remove the quotes" if _is_quoted(value, hints) else ""
    is_number = isinstance(value, int | float)
    return "; put it in quotes" if is_number and str in hints else ""


def _is_quoted(text: str, hints: tuple[Any, ...]) -> bool:
    """Tell whether the text without its quotes would be what is expected."""
    if len(text) > _SHOWN:
        return False
    found = toml_value(text)
    return type(found) in hints or (type(found) is int and float in hints)


def _require_plain(value: object) -> None:
    """Raise ValueError for a number or a text that nothing downstream could use."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"got {value}, expected a finite number")
    if isinstance(value, int) and value.bit_length() > _INT_BITS:
        raise ValueError(f"got {show(value)}, expected at most {_INT_BITS}")
    if isinstance(value, str) and "\0" in value:
        raise ValueError(f"got {show(value)}, expected text without NUL characters")
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"got {show(value)}, expected text in UTF-8")
