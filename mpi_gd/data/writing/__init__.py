"""Rows as the bytes of files: what several ranks write together, each at its own place."""

from mpi_gd.data.writing.layout import Layout, Piece, Rows, Stream, Writer, role_file

__all__ = ["Layout", "Piece", "Rows", "Stream", "Writer", "role_file"]
