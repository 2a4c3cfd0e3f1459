"""LIBSVM and SVMlight text, a file or several: sparse rows, each a line that begins with its label.

Each rank parses the bytes of its own rows. The files are cut into chunks by their sizes alone; the
ranks count a share of them each; from the sum of their counts every rank knows in which chunk a row
is, how many features there are, and whether they are counted from 0.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.formats.libsvm_chunks import COUNTS, chunks_of, count, lines_of
from mpi_gd.data.formats.libsvm_parse import Numbers, Rows, fast_numbers, parse, plain
from mpi_gd.data.names import default_names, describe_roles
from mpi_gd.data.probe import foreign_format, sample_digest, stamp
from mpi_gd.data.roles import NEEDED, Purpose, is_file
from mpi_gd.data.source import Block, Source
from mpi_gd.data.spec import MOST_FEATURES, DataSpec
from mpi_gd.data.stored import StoredArray, open_array
from mpi_gd.data.vectors import check_column, column_values
from mpi_gd.errors import DataError, JobError
from mpi_gd.matrix import Csr

__all__ = ["LibsvmSource"]


class LibsvmSource(Source):
    """Rows of LIBSVM files, in the files' order; further columns are .npy files, one for each."""

    @classmethod
    def open(
        cls, spec: DataSpec, path: Path, *, base: Path = Path(), purpose: Purpose = "train"
    ) -> LibsvmSource:
        """Look at the first lines of one file."""
        names = {role: base / str(n) for role, n in spec.roles.items() if is_file(n)}
        return cls(spec, [path], {role: [file] for role, file in names.items()}, purpose)

    def __init__(
        self,
        spec: DataSpec,
        paths: Sequence[Path],
        roles: Mapping[str, Sequence[Path]],
        purpose: Purpose,
    ) -> None:
        """Take the files, and those of each role; raises FileError, DataError, JobError."""
        self._files = [(path, stamp(path)) for path in paths]
        if importlib.util.find_spec("scipy") is None:
            raise JobError(f'{paths[0]}: sparse rows need SciPy: pip install "mpi_gd[sparse]"')
        if spec.target not in ("", 0) and purpose != "predict":
            raise JobError(
                f"data.target is {spec.target!r}, but a LIBSVM file has its label first in each "
                'line; set target = ""'
            )
        if spec.include or spec.exclude:
            raise JobError(
                f"{paths[0]}: data.include and data.exclude choose among columns that have names, "
                "and in a LIBSVM file they have none; remove the keys, or convert the data to .npz"
            )
        self._spec = spec
        self._chunks = chunks_of(self._files)
        self._has_labels = purpose != "predict"
        self._roles: dict[str, list[StoredArray]] = {
            role: [open_array(file) for file in files]
            for role, files in roles.items()
            if role in NEEDED[purpose] and role != "target"
        }
        self.target_name = "label" if self._has_labels else ""
        self.role_names = {role: arrays[0].path.stem for role, arrays in self._roles.items()}
        self.dtype = np.dtype(np.float64)
        foreign_format(paths[0], "libsvm")
        # Until all is counted, what the first lines say.
        self._counts = np.zeros((len(self._chunks), COUNTS), dtype=np.int64)
        self._first_rows = np.zeros(len(self._chunks) + 1, dtype=np.int64)
        self._first_lines = np.ones(len(self._chunks), dtype=np.int64)
        self._base = 1
        self._guess = self._guessed()
        self.n_features = spec.n_features or self._guess[2]
        self.columns = default_names(self.n_features)
        self.n_stored = self._guess[1]

    def _guessed(self) -> tuple[int, int, int]:
        """Return about how many rows, numbers and features there are."""
        piece = next(islice(lines_of(self._chunks[0]), 1), b"")
        rows, stored, most, *_ = count(piece).tolist()
        growth = sum(mark.size for _, mark in self._files) / max(1, len(piece))
        return max(1, round(rows * growth)), round(stored * growth), max(1, most)

    def survey(self, part: int, parts: int) -> NDArray[np.int64]:
        """Count this part of the chunks, (n_chunks * COUNTS,)."""
        n = len(self._chunks)
        total = np.zeros((n, COUNTS), dtype=np.int64)
        ends = np.cumsum([chunk.end - chunk.begin for chunk in self._chunks])
        owners = np.minimum((ends - 1) * parts // ends[-1], parts - 1)
        for place in np.flatnonzero(owners == part).tolist():
            chunk = self._chunks[place]
            if chunk.begin == 0:
                foreign_format(chunk.path, "libsvm")
            for piece in lines_of(chunk):
                found = count(piece)
                most = max(total[place, 2], found[2])
                total[place] += found
                total[place, 2] = most
        return total.reshape(-1)

    def settle(self, total: NDArray[np.int64]) -> None:
        """Take all chunks' counts; raises DataError, JobError for indices that cannot be."""
        self._counts = total.reshape(-1, COUNTS).copy()
        self._first_rows = np.concatenate([[0], np.cumsum(self._counts[:, 0])])
        self.n_samples, self.n_stored = int(self._first_rows[-1]), int(self._counts[:, 1].sum())
        self._first_lines = self._found_lines()
        self._base = self._found_base()
        self.n_features = self._found_features()
        self.columns = default_names(self.n_features, self._base)
        for role, arrays in self._roles.items():
            files = [chunk.file for chunk in self._chunks]
            rows = np.bincount(files, self._counts[:, 0], len(self._files)).astype(np.int64)
            for array, n, (path, _) in zip(arrays, rows.tolist(), self._files, strict=True):
                check_column(array, n, str(path), role)

    def _found_lines(self) -> NDArray[np.int64]:
        """Return the number of each chunk's first line in its file, from 1."""
        before = np.concatenate([[0], np.cumsum(self._counts[:, 4])])[:-1]
        files = np.array([chunk.file for chunk in self._chunks])
        first = np.searchsorted(files, files)
        return np.asarray(before - before[first] + 1, dtype=np.int64)

    def _found_base(self) -> int:
        """Return the index of the first feature."""
        with_zero = np.flatnonzero(self._counts[:, 3])
        if self._spec.index_base == 1 and len(with_zero):
            raise DataError(
                f"{self._chunks[int(with_zero[0])].path}: got an index 0, expected 1 or more, as "
                'data.index_base = 1 says; set index_base = "auto" or 0'
            )
        if self._spec.index_base == "auto":
            return 0 if len(with_zero) else 1
        return int(self._spec.index_base)

    def _found_features(self) -> int:
        """Return the number of features."""
        most = int(self._counts[:, 2].max(initial=0))
        found, given = most - self._base, self._spec.n_features
        path = self._chunks[int(self._counts[:, 2].argmax())].path
        wanted = given or MOST_FEATURES
        if found > wanted:
            raise DataError(
                f"{path}: got the index {most - 1}, expected at most {wanted - 1 + self._base}: "
                f"there are {'' if given else 'at most '}{wanted} features"
                f"{' (data.n_features)' if given else ''}, counted from {self._base}; correct it"
            )
        if self.n_samples and not (given or found > 0):
            raise DataError(
                f"{path}: no row has a feature, expected index:value after the label; is it a "
                "LIBSVM file? For rows that are all zeros set n_features"
            )
        return given or max(1, found)

    def guess_rows(self) -> int:
        """Return how many there are if all are as long as the first ones."""
        return self._guess[0]

    def read(self, start: int, stop: int) -> Block:
        """Parse the rows [start, stop); raises DataError, naming the line."""
        self.check_range(start, stop)
        numbers = fast_numbers()
        found: list[Rows] = []
        first = int(np.searchsorted(self._first_rows, start, side="right")) - 1
        for place in range(max(0, first), len(self._chunks)):
            row = int(self._first_rows[place])
            if row >= stop:
                break
            found += self._rows_of(place, max(0, start - row), stop - row, numbers)
        return self._block(found, start, stop)

    def _rows_of(self, place: int, low: int, high: int, numbers: Numbers) -> Iterator[Rows]:
        """Yield the rows [low, high) of a chunk; high may be beyond its last."""
        chunk, line, row = self._chunks[place], int(self._first_lines[place]), 0
        n_rows = int(self._counts[place, 0])
        for piece in lines_of(chunk):
            # What is before the rows that are wanted is not parsed.
            here = int(count(piece)[0]) if row < low else None
            if here is None or row + here > low:
                rows = parse(piece, str(chunk.path), line, numbers)
                here = len(rows.labels)
                yield rows.part(min(here, max(0, low - row)), min(here, max(0, high - row)))
            row += here
            line += piece.count(b"\n")
            if row >= high:
                return
        if row != n_rows:
            raise DataError(
                f"{chunk.path}: got {row} rows in the bytes {chunk.begin} to {chunk.end}, expected "
                f"{n_rows} as were counted; has it lines of blanks that are none, or did it change?"
            )

    def _block(self, found: list[Rows], start: int, stop: int) -> Block:
        """Return rows as a block."""
        counts = [rows.counts for rows in found]
        indptr = np.concatenate([[0], *counts]).cumsum().astype(np.int64)
        whole = np.dtype(np.int32) if self.n_features < 1 << 31 else np.dtype(np.int64)
        indices = np.empty(int(indptr[-1]), dtype=whole)
        data = np.empty(len(indices))
        place = 0
        for rows in found:
            end = place + len(rows.indices)
            np.subtract(rows.indices, self._base, out=indices[place:end], casting="unsafe")
            data[place:end] = rows.values
            place = end
        y = np.full(stop - start, np.nan)
        if self._has_labels and found:
            y = np.concatenate([rows.labels for rows in found])
        extras = {role: self._extra(arrays, start, stop) for role, arrays in self._roles.items()}
        return Block(Csr(data, indices, indptr, self.n_features), y, extras)

    def _extra(self, arrays: Sequence[StoredArray], start: int, stop: int) -> NDArray[np.float64]:
        """Return the values of a role, whose arrays follow each other as the files do."""
        found, first = [], 0
        for array in arrays:
            n = array.header.shape[0]
            low, high = max(0, start - first), min(n, stop - first)
            if low < high:
                found.append(column_values(array, low, high))
            first += n
        return np.concatenate(found) if found else column_values(arrays[0], 0, 0)

    def count_stored(self, bounds: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many numbers the rows store if each of a chunk's stores the same."""
        stored = np.concatenate([[0], np.cumsum(self._counts[:, 1])])
        return np.asarray(np.diff(np.interp(bounds, self._first_rows, stored).astype(np.int64)))

    def fingerprint(self) -> str:
        """Describe the files' sizes, and a sample of the bytes of three of them."""
        chosen = sorted({0, len(self._files) // 2, len(self._files) - 1})
        samples = ", ".join(sample_digest(*self._files[k]) for k in chosen)
        sizes = [mark.size for _, mark in self._files]
        return (
            f"{len(sizes)} files of {sum(sizes)} bytes ({samples}), LIBSVM text, target "
            f"{self.target_name!r}{describe_roles(self.role_names)}"
        )

    def locate(self, row: int) -> str:
        """Name the file and the line, counted from 1 as editors do."""
        place = int(np.searchsorted(self._first_rows[:-1], row, side="right")) - 1
        place = place if self.n_samples else 0
        own, line = row - int(self._first_rows[place]), int(self._first_lines[place])
        for piece in lines_of(self._chunks[place]):
            rows = np.flatnonzero([bool(text) for text in plain(piece).split(b"\n")])
            if own < len(rows):
                return f"{self._chunks[place].path}: line {line + int(rows[own])}"
            own -= len(rows)
            line += piece.count(b"\n")
        return f"{self._chunks[place].path}: row {row}"

    def locate_extra(self, role: str, row: int) -> str:
        """Name the role's array and the row."""
        for array in self._roles[role]:
            if row < array.header.shape[0]:
                return array.locate(row)
            row -= array.header.shape[0]
        return self.locate(row)
