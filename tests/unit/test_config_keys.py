"""The reference of all keys is complete."""

from __future__ import annotations

import re

import pytest

from mpi_gd.config import Job, describe_keys
from mpi_gd.config.schema import Section, keys_of, sections, sentences


@pytest.mark.parametrize(
    "section", list(sections(Job)), ids=lambda s: f"{s.table} {s.kind}".strip()
)
def test_each_key_has_a_sentence(section: Section) -> None:
    about = sentences(section.cls)
    for key in section.keys:
        assert about.get(key.name, "").endswith("."), f"{section.cls.__name__}.{key.name}"
    assert section.cls.__doc__


def test_reference_has_each_key_once_per_table_and_kind() -> None:
    lines = describe_keys().splitlines()
    keys = [key.name for section in sections(Job) for key in section.keys]
    tables = [key for key in keys_of(Job).values() if key.is_table]
    shown = [found[1] for line in lines if (found := re.match(r" *(\w+) = \S+  \(", line))]
    kinds = ["kind" for key in tables if key.kinds]
    assert sorted(shown) == sorted(keys + kinds)
    assert [line.split("]")[0] for line in lines if line.startswith("[")] == [
        f"[{key.name}" for key in tables
    ]
    assert max(map(len, lines)) <= 100
