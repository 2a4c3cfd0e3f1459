"""Text tables with separated cells: each rank parses the bytes of its own rows.

The file is cut into chunks by its size alone. The ranks count the line ends of a share of the
chunks each; from the sum of their counts every rank knows in which chunk a row begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.arrays import aligned_empty, narrow, storage_type
from mpi_gd.data.formats.csv_layout import find_layout
from mpi_gd.data.formats.csv_parse import Parser, fast_parser, parse
from mpi_gd.data.names import describe_roles, digest_of_names
from mpi_gd.data.probe import foreign_format, open_same, sample_digest, stamp
from mpi_gd.data.roles import Purpose
from mpi_gd.data.source import Block, Source
from mpi_gd.data.spec import DataSpec
from mpi_gd.errors import DataError

__all__ = ["CsvSource"]

_LEAST_CHUNK = 1 << 22
_MOST_CHUNKS = 1 << 14
# Text that is read and parsed at a time.
_PIECE_BYTES = 1 << 22
# The first two lines must be within half of it.
_LONGEST_LINE = 1 << 23


class CsvSource(Source):
    """Rows of a CSV file: one a line, features and target in columns."""

    def __init__(
        self, spec: DataSpec, path: Path, *, purpose: Purpose, parser: Parser | None
    ) -> None:
        """Find the layout; raises FileError, DataError, JobError."""
        mark = stamp(path)
        foreign_format(path, "csv")
        self._layout = find_layout(spec, path, mark, purpose)
        self._parser = parser
        self.n_features = len(self._layout.columns)
        self.columns = self._layout.columns
        self.role_names = dict(self._layout.role_names)
        self.target_name = self.role_names.pop("target", "")
        self.texts = self._layout.texts
        self.dtype = storage_type(spec.dtype, np.dtype(np.float64))
        n_bytes = self._layout.end - self._layout.begin
        n_chunks = self.survey_room(n_bytes)
        self._bounds = [self._layout.begin + n_bytes * k // n_chunks for k in range(n_chunks + 1)]
        self._ends_before = np.zeros(n_chunks + 1, dtype=np.int64)

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
        """Count the line ends in this part of the chunks."""
        n_chunks = len(self._bounds) - 1
        counts = np.zeros(n_chunks, dtype=np.int64)
        with open_same(self._layout.path, self._layout.stamp) as file:
            for chunk in range(n_chunks * part // parts, n_chunks * (part + 1) // parts):
                for piece in _pieces(file, self._bounds[chunk], self._bounds[chunk + 1]):
                    counts[chunk] += piece.count(b"\n")
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
        self._ends_before = np.concatenate([[0], np.cumsum(total[: len(self._bounds) - 1])])
        # The last row's line end is beyond the last byte that counts.
        self.n_samples = int(self._ends_before[-1]) + 1

    def guess_rows(self) -> int:
        """Return how many there are if all are as long as the first ones."""
        layout = self._layout
        n_bytes = layout.end - layout.begin
        with open_same(layout.path, layout.stamp) as file:
            piece = next(_pieces(file, layout.begin, layout.end))
        n_ends = piece.count(b"\n") + (len(piece) == n_bytes)
        return max(1, round(n_bytes / len(piece) * n_ends))

    def read(self, start: int, stop: int) -> Block:
        """Parse the rows [start, stop), a few MiB at a time."""
        self.check_range(start, stop)
        others: dict[str, list[NDArray[Any]]] = {role: [] for role in self._layout.roles}
        parser = self._parser or fast_parser()
        with open_same(self._layout.path, self._layout.stamp) as file:
            begin, end = self._offset(file, start), self._offset(file, stop)
            # With fewer bytes than they need, a row is refused below: those after it need no room.
            room = min(stop - start, self._layout.most_rows(end - begin))
            x = aligned_empty((room, self.n_features), self.dtype)
            row = start
            for piece, n_rows in self._lines(file, begin, end, start):
                features, columns = parse(piece, self._layout, row, n_rows, parser)
                self._store(features, x[row - start : row - start + n_rows], row)
                for role, column in columns.items():
                    others[role].append(column)
                row += n_rows
        extras = {role: self._joined(role, pieces) for role, pieces in others.items()}
        y = extras.pop("target", None)
        return Block(x, np.full(stop - start, np.nan) if y is None else y, extras)

    def fingerprint(self) -> str:
        """Describe size, columns, type and a sample of the bytes."""
        layout = self._layout
        return (
            f"{layout.stamp.size} bytes ({sample_digest(layout.path, layout.stamp)}), "
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

    def _lines(self, file: BinaryIO, begin: int, end: int, row: int) -> Iterator[tuple[bytes, int]]:
        """Yield whole lines, several at a time, and how many, of [begin, end); `row` is there."""
        rest = b""
        for piece in _pieces(file, begin, end):
            cut = piece.rfind(b"\n") + 1
            first = len(rest) + (piece.find(b"\n") if cut else len(piece))
            if first > _LONGEST_LINE:
                raise DataError(
                    f"{self.locate(row)}: longer than {_LONGEST_LINE >> 20} MiB, expected a line "
                    "of a table; is the end of a line missing?"
                )
            if cut:
                n_rows = piece.count(b"\n")
                yield rest + piece[:cut], n_rows
                row += n_rows
                rest = piece[cut:]
            else:
                rest += piece
        if rest:
            yield rest, 1

    def _offset(self, file: BinaryIO, row: int) -> int:
        """Return the byte at which a row begins; the end of all rows for one past the last."""
        if row == 0:
            return self._layout.begin
        if row == self.n_samples:
            return self._layout.end
        # The row begins after line end number `row`, counted from 1.
        chunk = int(np.searchsorted(self._ends_before, row, side="left")) - 1
        wanted = row - int(self._ends_before[chunk])
        offset = self._bounds[chunk]
        for piece in _pieces(file, offset, self._bounds[chunk + 1]):
            ends = np.flatnonzero(np.frombuffer(piece, dtype=np.uint8) == ord("\n"))
            if wanted <= len(ends):
                return offset + int(ends[wanted - 1]) + 1
            wanted -= len(ends)
            offset += len(piece)
        raise DataError(f"{self._layout.path}: the file changed while it was being read")


def _pieces(file: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    """Yield the bytes [begin, end) of a file, some MiB at a time."""
    file.seek(begin)
    while begin < end:
        piece = file.read(min(_PIECE_BYTES, end - begin))
        if not piece:
            return
        begin += len(piece)
        yield piece
