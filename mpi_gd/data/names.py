"""Names of columns: found, checked, compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from mpi_gd.errors import DataError
from mpi_gd.numbered import MANY, NumberedNames

__all__ = [
    "check_names",
    "default_names",
    "describe_roles",
    "digest_of_names",
    "list_some",
    "suggest",
]

_SHOWN = 12
_LISTED = 8
# More is no name, and would be in the model and in each message.
_MOST_CHARACTERS = 1000


def default_names(n_features: int, first: int = 0) -> Sequence[str]:
    """Return x0, x1, ... for columns without names, from number `first` on."""
    if n_features > MANY:
        return NumberedNames(n_features, first)
    return tuple(f"x{j}" for j in range(first, first + n_features))


def list_some(names: Sequence[str]) -> str:
    """Return the first names in quotes, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more


def check_names(names: Sequence[str], where: str, remedy: str) -> None:
    """Raise DataError, beginning with `where`, if a name is blank, endless, or comes twice."""
    seen: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name:
            raise DataError(
                f"{where}: column {number} of {len(names)} has no name, expected one; {remedy}"
            )
        if len(name) > _MOST_CHARACTERS:
            raise DataError(
                f"{where}: column {number} of {len(names)} has a name of {len(name)} characters, "
                f"expected at most {_MOST_CHARACTERS}; {remedy}"
            )
        if name in seen:
            raise DataError(
                f"{where}: columns {seen[name]} and {number} are both called {name!r}, expected "
                f"different names; {remedy}"
            )
        seen[name] = number


def suggest(wanted: str, names: Sequence[str]) -> str:
    """List the names there are, after the one nearest in spelling to `wanted`."""
    # Ranks whose names are right need not load it.
    import difflib

    folded = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(wanted.casefold(), folded, n=1)
    guess = f"did you mean {folded[near[0]]!r}? " if near else ""
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    more = f", ... ({len(names)} in all)" if len(names) > _SHOWN else ""
    return f"{guess}there are {shown}{more}" if names else "there are none"


def digest_of_names(names: Sequence[str]) -> str:
    """Describe names in few characters that tell lists apart."""
    if isinstance(names, NumberedNames):
        return f"{len(names)} columns ({names[0]}, {names[1]}, ...)"
    digest = hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{len(names)} columns ({digest[:12]})"


def describe_roles(names: Mapping[str, str]) -> str:
    """Describe the further columns, by role, for a fingerprint; empty if there are none."""
    return "".join(f", {role} {name!r}" for role, name in names.items())
