"""A run as one page of HTML that needs nothing else: no network, no script, no file beside it."""

from mpi_gd.page.page import make_page
from mpi_gd.page.run import Run, read_run

__all__ = ["Run", "make_page", "read_run"]
