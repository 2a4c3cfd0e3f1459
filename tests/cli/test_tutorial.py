"""The tutorial is true: its commands run, and print what stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launch import environment

pytestmark = pytest.mark.one_mpi

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


def steps(text: str) -> list[tuple[str, list[str]]]:
    """Return each command with the lines that it is to print."""
    found: list[tuple[str, list[str]]] = []
    is_document = False
    for line in "".join(BLOCK.findall(text)).splitlines():
        if line.startswith("$ ") and not is_document:
            found.append((line[2:], []))
            is_document = "<<'END'" in line
        elif is_document:
            found[-1] = (f"{found[-1][0]}\n{line}", [])
            is_document = line != "END"
        else:
            found[-1][1].append(line)
    return found


def matches(expected: list[str], printed: list[str]) -> bool:
    """Whether lines are those printed; `...` stands for any text in a line, or any lines."""
    parts = [
        "(?:.*\n)*" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + " *\n"
        for line in expected
    ]
    return re.fullmatch("".join(parts), "".join(f"{line}\n" for line in printed)) is not None


def test_the_tutorial_is_true(tmp_path: Path) -> None:
    commands = steps((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    assert len(commands) > 12
    env = environment("tutorial", {"PYTHONPATH": str(ROOT)}, [])
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    for command, expected in commands:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        printed = done.stdout.splitlines()
        assert matches(expected, printed), f"{command}\nprinted:\n{done.stdout}"
