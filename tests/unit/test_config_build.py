"""Any dataclass can be a table: a new loss, penalty or solver needs no change of the parser."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from mpi_gd.config.build import Builder
from mpi_gd.config.lines import load
from mpi_gd.errors import JobError


@dataclass(frozen=True)
class _Circle:
    radius: float


@dataclass(frozen=True)
class _Square:
    side: int | float = 1
    mark: Literal["a", "b"] | int = "a"
    limit: float | None = None


@dataclass(frozen=True)
class _Drawing:
    shape: _Circle | _Square = field(
        default_factory=_Square, metadata={"kinds": {"circle": _Circle, "square": _Square}}
    )


def _draw(text: str) -> Any:
    return Builder(_Drawing, text, "d.toml", ()).build(load(text, "d.toml")).shape


def test_any_dataclass_and_registry() -> None:
    assert _draw("") == _Square()
    assert _draw("[shape]\nside = 2\nmark = 3\nlimit = 4") == _Square(2, 3, 4.0)
    assert type(_draw("[shape]\nside = 2").side) is int
    assert _draw("[shape]\nkind = 'circle'\nradius = 2") == _Circle(2.0)
    for text, expected in [
        ("[shape]\nkind = 'circle'", "d.toml:1: shape.radius is missing; expected a number"),
        ("[shape]\nmark = 'c'", 'd.toml:2: shape.mark: got \'c\' (text), expected "a", "b" or an'),
        ("[shape]\nlimit = 'c'", "d.toml:2: shape.limit: got 'c' (text), expected a number"),
    ]:
        with pytest.raises(JobError) as caught:
            _draw(text)
        assert str(caught.value).startswith(expected)
