"""Text tables with separated cells: each rank parses the bytes of its own rows.

The file is cut into chunks by its size alone. The ranks count the line ends of a share of the
chunks each; from the sum of their counts every rank knows in which chunk a row begins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.arrays import aligned_empty, narrow, storage_type
from mpi_gd.data.columns import Column, Kind, empty, join
from mpi_gd.data.formats.csv_columns import parse_columns
from mpi_gd.data.formats.csv_layout import find_layout
from mpi_gd.data.formats.csv_parse import Parser, fast_parser, parse
from mpi_gd.data.names import describe_roles, digest_of_names
from mpi_gd.data.probe import foreign_format, sample_digest
from mpi_gd.data.roles import Purpose
from mpi_gd.data.source import Block, Target
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.table import TableBlock, TableSource
from mpi_gd.data.text import PIECE_BYTES, line_ends, open_text
from mpi_gd.errors import DataError

__all__ = ["CsvSource"]

_LEAST_CHUNK = 1 << 22
_MOST_CHUNKS = 1 << 14
# The first two lines must be within half of it.
_LONGEST_LINE = 1 << 23


class CsvSource(TableSource):
    """Rows of a CSV file: one a line, features and target in columns."""

    def __init__(
        self, spec: DataSpec, path: Path, *, purpose: Purpose, parser: Parser | None
    ) -> None:
        """Find the layout; raises FileError, DataError, JobError."""
        foreign_format(path, "csv")
        self._text = open_text(path)
        self._layout = find_layout(spec, self._text, purpose)
        self._parser = parser
        self.n_features = len(self._layout.columns)
        self.columns = self._layout.columns
        self.role_names = dict(self._layout.role_names)
        self.target_name = self.role_names.pop("target", "")
        self.texts = self._layout.texts
        self.kinds = self._layout.kinds
        self.dtype = storage_type(spec.dtype, np.dtype(np.float64))
        begin, end = self._layout.begin, self._layout.end
        n_chunks = self.survey_room(end - begin)
        self._bounds = [begin + (end - begin) * k // n_chunks for k in range(n_chunks + 1)]
        if self._text.line_ends is not None:
            # The pieces that were counted while the file was unpacked.
            inner = range(PIECE_BYTES * (begin // PIECE_BYTES + 1), end, PIECE_BYTES)
            self._bounds = [begin, *inner, end]
        self._ends_before = np.zeros(len(self._bounds), dtype=np.int64)
        # Where the last reading ended: the next one most often begins there.
        self._known = 0, begin

    @classmethod
    def open(
        cls,
        spec: DataSpec,
        path: Path,
        *,
        base: Path = Path(),
        purpose: Purpose = "train",
        parser: Parser | None = None,
    ) -> CsvSource:
        """Look at the first lines; `parser` is the fastest one that is installed by default."""
        return cls(spec, path, purpose=purpose, parser=parser)

    def survey(self, part: int, parts: int) -> NDArray[np.int64]:
        """Count the line ends in this part of the chunks; those of a packed file are known."""
        if self._text.line_ends is not None:
            return np.array([self._packed_counts().sum() if part == 0 else 0], dtype=np.int64)
        n_chunks = len(self._bounds) - 1
        counts = np.zeros(n_chunks, dtype=np.int64)
        for chunk in range(n_chunks * part // parts, n_chunks * (part + 1) // parts):
            counts[chunk] = self._count(self._bounds[chunk], self._bounds[chunk + 1])
        return counts

    def _count(self, begin: int, end: int) -> int:
        """Return the line ends among some bytes."""
        return sum(line_ends(piece) for piece in self._text.pieces(begin, end))

    def _packed_counts(self) -> NDArray[np.int64]:
        """Return the line ends of each chunk of a packed file, which has been looked through."""
        text, layout = self._text, self._layout
        if text.line_ends is None:
            raise RuntimeError("a plain file has not been looked through")
        # What is before the first row is in the first piece, what is behind the last in the last.
        counts = text.line_ends[layout.begin // PIECE_BYTES :][: len(self._bounds) - 1].copy()
        head, tail = text.head(layout.begin), text.tail(text.size - layout.end)
        counts[0] -= head.count(b"\n")
        behind = text.size - layout.end
        last = (layout.end - 1) // PIECE_BYTES
        counts[-1] -= tail[: max(0, min(behind, (last + 1) * PIECE_BYTES - layout.end))].count(
            b"\n"
        )
        return counts

    @classmethod
    def survey_room(cls, size: int) -> int:
        """Return the number of chunks, which grows with the size."""
        return max(1, min(_MOST_CHUNKS, -(-size // _LEAST_CHUNK)))

    def rows_counted(self, counts: NDArray[np.int64], part: int) -> int:
        """Return the line ends; the last row's is beyond the last byte that counts."""
        return int(counts.sum()) + (part == 0)

    def settle(self, total: NDArray[np.int64]) -> None:
        """Take all chunks' counts."""
        counts = total[: len(self._bounds) - 1]
        if self._text.line_ends is not None:
            counts = self._packed_counts()
        self._ends_before = np.concatenate([[0], np.cumsum(counts)])
        # The last row's line end is beyond the last byte that counts.
        self.n_samples = int(self._ends_before[-1]) + 1

    def guess_rows(self) -> int:
        """Return how many there are if all are as long as the first ones."""
        layout = self._layout
        n_bytes = layout.end - layout.begin
        piece = self._text.head(layout.begin + PIECE_BYTES)[layout.begin : layout.end]
        n_ends = piece.count(b"\n") + (len(piece) == n_bytes)
        return max(1, round(n_bytes / len(piece) * n_ends))

    def read(self, start: int, stop: int) -> Block:
        """Parse the rows [start, stop), a few MiB at a time; all cells must be numbers."""
        self.check_range(start, stop)
        others: dict[str, list[NDArray[Any]]] = {role: [] for role in self._layout.roles}
        parser = self._parser or fast_parser()
        # With fewer bytes than they need, a row is refused below: those after it need no room.
        room = min(stop - start, self._layout.most_rows(self._layout.end - self._layout.begin))
        x = aligned_empty((room, self.n_features), self.dtype)
        row = start
        for piece, n_rows in self._lines(start, stop):
            features, columns = parse(piece, self._layout, row, n_rows, parser)
            self._store(features, x[row - start : row - start + n_rows], row)
            for role, column in columns.items():
                others[role].append(column)
            row += n_rows
        y, extras = self._rest(others, stop - start)
        return Block(x, y, extras)

    def read_columns(self, start: int, stop: int, names: Sequence[str]) -> TableBlock:
        """Parse some columns of the rows [start, stop), a few MiB at a time."""
        self.check_range(start, stop)
        others: dict[str, list[NDArray[Any]]] = {role: [] for role in self._layout.roles}
        parts: dict[str, list[Column]] = {name: [] for name in names}
        row = start
        for piece, n_rows in self._lines(start, stop):
            columns, rest = parse_columns(piece, self._layout, names, row, n_rows)
            for name, column in columns.items():
                parts[name].append(column)
            for role, values in rest.items():
                others[role].append(values)
            row += n_rows
        found = {
            name: join(each) if each else empty(self.kinds[name]) for name, each in parts.items()
        }
        y, extras = self._rest(others, stop - start)
        return TableBlock(found, y, extras)

    def _rest(
        self, others: dict[str, list[NDArray[Any]]], n_rows: int
    ) -> tuple[Target, dict[str, NDArray[Any]]]:
        """Return y and the other roles of pieces that have been parsed."""
        extras = {role: self._joined(role, pieces) for role, pieces in others.items()}
        y = extras.pop("target", None)
        return np.full(n_rows, np.nan) if y is None else y, extras

    def expect(self, kinds: Mapping[str, Kind]) -> None:
        """Read columns as of these kinds: they were guessed from the first rows."""
        self.kinds = {**self.kinds, **kinds}
        self._layout = dataclasses.replace(self._layout, kinds=self.kinds)

    def locate_cell(self, row: int, name: str) -> str:
        """Name the line and the column."""
        return f"{self.locate(row)}, column {name!r}"

    def fingerprint(self) -> str:
        """Describe size, columns, type and a sample of the bytes."""
        layout = self._layout
        return (
            f"{self._text.stamp.size} bytes ({sample_digest(layout.path, self._text.stamp)}), "
            f"{digest_of_names(self.columns)}, {self.dtype}, target {self.target_name!r}"
            f"{describe_roles(self.role_names)}"
        )

    def locate(self, row: int) -> str:
        """Name the line, counted from 1 as editors do."""
        return f"{self._layout.path}: line {row + 1 + self._layout.n_lines_before}"

    def _store(self, features: NDArray[np.float64], out: NDArray[Any], row: int) -> None:
        """Convert to the type that X is kept in."""
        lost = narrow(features, out)
        if lost is not None:
            raise DataError(
                f"{self.locate(row + lost)}: a number is too large for {self.dtype}; set "
                'dtype = "float64" or rescale the column'
            )

    def _joined(self, role: str, pieces: list[NDArray[Any]]) -> NDArray[Any]:
        """Return a column's pieces as one."""
        if not pieces:
            return np.empty(0, dtype="U1" if role in self._layout.texts else np.float64)
        return np.concatenate(pieces)

    def _lines(self, start: int, stop: int) -> Iterator[tuple[bytes, int]]:
        """Yield the lines of rows [start, stop), several at a time, and how many."""
        if start == stop:
            return
        begin, row, rest = self._offset(start), start, b""
        for piece in self._text.pieces(begin, self._layout.end):
            ends = line_ends(piece)
            if row + ends >= stop:
                cut = _place_of_end(piece, stop - row)
                self._known = stop, begin + cut
                yield rest + piece[:cut], stop - row
                return
            begin += len(piece)
            cut = piece.rfind(b"\n") + 1
            first = len(rest) + (piece.find(b"\n") if cut else len(piece))
            if first > _LONGEST_LINE:
                raise DataError(
                    f"{self.locate(row)}: longer than {_LONGEST_LINE >> 20} MiB, expected a line "
                    "of a table; is the end of a line missing?"
                )
            if cut:
                yield rest + piece[:cut], ends
                row += ends
                rest = piece[cut:]
            else:
                rest += piece
        # The last row's line end is beyond the last byte that counts.
        if row < stop - 1 or not rest:
            raise DataError(f"{self._layout.path}: the file changed while it was being read")
        yield rest, 1

    def _offset(self, row: int) -> int:
        """Return the byte at which a row begins."""
        if row == self._known[0]:
            return self._known[1]
        if row == 0:
            return self._layout.begin
        # The row begins after line end number `row`, counted from 1.
        chunk = int(np.searchsorted(self._ends_before, row, side="left")) - 1
        wanted = row - int(self._ends_before[chunk])
        offset = self._bounds[chunk]
        for piece in self._text.pieces(offset, self._bounds[chunk + 1]):
            ends = line_ends(piece)
            if wanted <= ends:
                return offset + _place_of_end(piece, wanted)
            wanted -= ends
            offset += len(piece)
        raise DataError(f"{self._layout.path}: the file changed while it was being read")


def _place_of_end(piece: bytes, number: int) -> int:
    """Return the place behind line end `number`, counted from 1."""
    ends = np.flatnonzero(np.frombuffer(piece, dtype=np.uint8) == ord("\n"))
    return int(ends[number - 1]) + 1
