"""The line of a key is found however the key is written."""

from __future__ import annotations

from mpi_gd.config.lines import line_numbers


def test_tables_keys_and_comments() -> None:
    text = "# name = 1\nname = 'x'\n\n[data] # first\n  path = 'a'\n[solver.more]\nstep = 1\n"
    assert line_numbers(text) == {
        ("name",): 2,
        ("data",): 4,
        ("data", "path"): 5,
        ("solver",): 6,
        ("solver", "more"): 6,
        ("solver", "more", "step"): 7,
    }


def test_values_over_several_lines() -> None:
    text = 'a = """\nb = 1\n[c]\n"""\nd = [\n  1,\n  [2],\n]\n"e" = 1\n\'f\'.g = {h = 1, i = 2}\n'
    assert line_numbers(text) == {
        ("a",): 1,
        ("d",): 5,
        ("e",): 9,
        ("f",): 10,
        ("f", "g"): 10,
        ("f", "g", "h"): 10,
        ("f", "g", "i"): 10,
    }


def test_line_ends() -> None:
    """Only what TOML takes for the end of a line counts as one."""
    assert line_numbers("a = '\u2028\x85'\r\nb = 1\r\n[[c]]\r\nd = 1") == {
        ("a",): 1,
        ("b",): 2,
        ("c",): 3,
        ("c", "d"): 4,
    }
    assert line_numbers("") == {}
