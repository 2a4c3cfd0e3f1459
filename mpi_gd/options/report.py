"""Arguments of `report`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

__all__ = ["ReportOptions"]


@dataclass(frozen=True)
class ReportOptions:
    """Write a page (HTML) about a run, or about several beside each other."""

    command: ClassVar[str] = "report"
    needs_world: ClassVar[bool] = False
    examples: ClassVar[str] = """\
  python -m mpi_gd report runs/first                       (writes runs/first/report.html)
  python -m mpi_gd report --out both.html runs/first runs/second

The page has convergence, where the time went, scores, curves, coefficients and the job. It needs no
network and no other file; to be made it needs matplotlib (extra report). A run that is still
running, or that was stopped, has a page too.
"""

    folders: tuple[str, ...] = field(
        metadata={
            "flag": "",
            "metavar": "RUN",
            "group": "input",
            "help": "folders of runs, after the options",
        },
    )
    out: str = field(
        default="",
        metadata={
            "metavar": "FILE",
            "group": "output",
            "help": "the page (default: report.html in the first run's folder)",
        },
    )
