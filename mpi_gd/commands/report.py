"""Write a page about one run, or about several beside each other."""

from __future__ import annotations

from pathlib import Path

from mpi_gd.files import write_atomically
from mpi_gd.options import ReportOptions
from mpi_gd.page import make_page, read_run

__all__ = ["run"]


def run(options: ReportOptions) -> int:
    """Write the page; return the exit code. Raises FileError, JobError."""
    folders = [Path(folder) for folder in options.folders]
    page = make_page([read_run(folder) for folder in folders])
    out = Path(options.out) if options.out else folders[0] / "report.html"
    write_atomically(out, page.encode("utf-8"))
    print(f"The report is {out}")
    return 0
