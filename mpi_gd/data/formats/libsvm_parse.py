"""Lines of LIBSVM text made into sparse rows: many at a time, line by line where that fails.

    label index:value index:value ...   # a comment

The fast way sorts out the structure by NumPy, and has all numbers of a piece parsed at once, by
pyarrow or NumPy; both round to the nearest float64. What it cannot be certain of goes the slow way,
which takes what is unusual and names the line of what is wrong.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.errors import DataError

__all__ = ["Numbers", "Rows", "fast_numbers", "is_line", "parse", "plain", "without_notes"]

Numbers = Callable[[bytes], NDArray[np.float64]]

_MOST_INDEX = 1 << 31
_SHOWN = 40
_SAMPLE_BYTES = 1 << 13
# The classes of bytes: digits are 0, what only numbers have is 4.
_BLANK, _COLON, _END, _OTHER = 1, 2, 3, 4
_CLASSES = np.full(256, _OTHER, dtype=np.uint8)
_CLASSES[list(b"0123456789")] = 0
_CLASSES[list(b" :\n")] = _BLANK, _COLON, _END
# What may follow what, as the classes of the byte that ends a number and of the one that ended the
# number before: a label ends in a blank or the line, an index in a colon, a value as a label does.
_FOLLOWS = np.zeros((4, 4), dtype=bool)
_FOLLOWS[_END, [_BLANK, _END]] = True
_FOLLOWS[_BLANK, _COLON] = True
_FOLLOWS[_COLON, [_BLANK, _END]] = True
_TO_LINES = bytes.maketrans(b" :", b"\n\n")

_COMMENT = re.compile(rb"#[^\n]*")
_QUERY = re.compile(rb"(?<=[ \t])qid:[0-9]+(?=[ \t\r\n]|$)")
_LINE = re.compile(rb"[+-]?[0-9.]\S*([ \t]+qid:[0-9]+)?([ \t]+[0-9]+:[^ \t:]+)+[ \t\r]*(#.*)?")


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows, as they are in the text."""

    labels: NDArray[np.float64]
    """(n,)"""
    counts: NDArray[np.int64]
    """(n,): how many numbers each row stores."""
    indices: NDArray[np.int64]
    """As they are written, rising within a row."""
    values: NDArray[np.float64]

    def part(self, start: int, stop: int) -> Rows:
        """Return the rows [start, stop), as views."""
        ends = np.concatenate([[0], np.cumsum(self.counts)])
        own = slice(int(ends[start]), int(ends[stop]))
        counts = self.counts[start:stop]
        return Rows(self.labels[start:stop], counts, self.indices[own], self.values[own])


def is_line(line: bytes) -> bool:
    """Whether a line can be nothing else than one of LIBSVM's, with a feature in it."""
    return _LINE.fullmatch(line.strip()) is not None


def without_notes(piece: bytes) -> bytes:
    """Return whole lines without comments and query numbers, with one kind of blank and line end.

    There are as many lines as before.
    """
    if b"#" in piece:
        piece = _COMMENT.sub(b"", piece)
    if b"q" in piece:
        piece = _QUERY.sub(b"", piece)
    if b"\t" in piece:
        piece = piece.replace(b"\t", b" ")
    if b"\r" in piece:
        piece = piece.replace(b"\r\n", b"\n").removesuffix(b"\r")
    return piece


def plain(piece: bytes) -> bytes:
    """Return whole lines without notes, and without blanks that mean nothing.

    There are as many lines as before; those that hold no row are empty.
    """
    piece = without_notes(piece)
    while b"  " in piece:
        piece = piece.replace(b"  ", b" ")
    if b" \n" in piece:
        piece = piece.replace(b" \n", b"\n")
    if b"\n " in piece:
        piece = piece.replace(b"\n ", b"\n")
    piece = piece.strip(b" ")
    return piece if piece.endswith(b"\n") or not piece else piece + b"\n"


def fast_numbers() -> Numbers:
    """Return the fastest parser of numbers that is installed; imports it."""
    try:
        import pyarrow.csv  # noqa: F401
    except ImportError:
        return _by_numpy
    return _by_arrow


def parse(piece: bytes, where: str, first_line: int, numbers: Numbers) -> Rows:
    """Return the rows of whole lines, the first of which is number `first_line`, from 1.

    Raises DataError, naming the line, for what is none.
    """
    sample = piece[: piece.find(b"\n", _SAMPLE_BYTES) + 1] or piece
    # Most files have nothing in them that needs to be taken out, and looking for it takes long.
    ways: list[Callable[[bytes], bytes]] = [lambda text: text] if plain(sample) == sample else []
    for way in (*ways, plain):
        with contextlib.suppress(ValueError):
            return _parse_fast(way(piece), numbers)
    return _parse_slowly(piece, where, first_line)


def _parse_fast(text: bytes, numbers: Numbers) -> Rows:
    """Return the rows of plain lines; raises ValueError where it is not certain of them."""
    while b"\n\n" in text:
        text = text.replace(b"\n\n", b"\n")
    text = text.lstrip(b"\n")
    if b"\n+" in text or text.startswith(b"+"):
        text = text.removeprefix(b"+").replace(b"\n+", b"\n")
    classes = _CLASSES[np.frombuffer(text, dtype=np.uint8)]
    places = np.flatnonzero(classes)
    kinds = classes[places]
    colons = np.flatnonzero(kinds == _COLON)
    # An index has digits and nothing else: what is before its colon is the blank before it.
    if not (kinds[colons - 1] == _BLANK).all() or (np.diff(places)[colons - 1] < 2).any():
        raise ValueError("an index that is no number")
    ends = kinds[kinds != _OTHER]
    before = np.concatenate([[_END], ends])[:-1].astype(np.uint8)
    if not _FOLLOWS[before, ends].all():
        raise ValueError("a line of another form")
    found = numbers(text)
    if len(found) != len(ends) or not np.isfinite(found).all():
        raise ValueError("a number that is none")
    is_index = ends == _COLON
    # Its value follows it.
    is_value = before == _COLON
    of_line = np.cumsum(is_index)[ends == _END]
    counts = np.diff(np.concatenate([[0], of_line]))
    indices = found[is_index]
    if len(indices) and indices.max() >= _MOST_INDEX:
        raise ValueError("an index that is too large")
    whole = indices.astype(np.int64)
    _require_rising(whole, of_line)
    return Rows(found[before == _END], counts, whole, found[is_value])


def _require_rising(indices: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
    """Raise ValueError unless the indices rise within each row, which ends at one of `ends`."""
    rises = np.diff(indices) > 0
    inner = ends[:-1]
    # Where a row begins.
    rises[inner[(inner > 0) & (inner < len(indices))] - 1] = True
    if not rises.all():
        raise ValueError("indices that do not rise")


def _by_arrow(text: bytes) -> NDArray[np.float64]:
    """Parse numbers between blanks, colons and line ends by pyarrow; raises ValueError."""
    import pyarrow as pa
    from pyarrow import csv

    if not text:
        return np.empty(0)
    table = csv.read_csv(
        pa.BufferReader(text.translate(_TO_LINES)),
        csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=["x"]),
        csv.ParseOptions(ignore_empty_lines=False, quote_char=False),
        csv.ConvertOptions(
            column_types={"x": pa.float64()}, null_values=[], strings_can_be_null=False
        ),
    )
    found: NDArray[np.float64] = table.column(0).to_numpy()
    return found


def _by_numpy(text: bytes) -> NDArray[np.float64]:
    """Parse numbers between blanks, colons and line ends by NumPy; raises ValueError."""
    with warnings.catch_warnings():
        # NumPy stops at what is no number, and only warns.
        warnings.simplefilter("error")
        try:
            return np.fromstring(text.replace(b":", b" "), dtype=np.float64, sep=" ")
        except DeprecationWarning as warning:
            raise ValueError(str(warning)) from warning


def _parse_slowly(piece: bytes, where: str, first_line: int) -> Rows:
    """Return the rows; raises DataError."""
    labels: list[float] = []
    counts: list[int] = []
    indices: list[int] = []
    values: list[float] = []
    for number, line in enumerate(piece.removesuffix(b"\n").split(b"\n"), start=first_line):
        try:
            words = _words(line)
            if not words:
                continue
            labels.append(_label(words[0]))
            before = -1
            for word in words[1:]:
                index, value = _pair(word)
                if index <= before:
                    what = "comes twice" if index == before else f"comes after {before}"
                    raise ValueError(f"the index {index} {what}, expected rising ones; sort them")
                indices.append(index)
                values.append(value)
                before = index
        except ValueError as error:
            raise DataError(f"{where}: line {number}: {error}") from error
        counts.append(len(words) - 1)
    return Rows(
        np.array(labels, dtype=np.float64),
        np.array(counts, dtype=np.int64),
        np.array(indices, dtype=np.int64),
        np.array(values, dtype=np.float64),
    )


def _words(line: bytes) -> list[str]:
    """Return what stands between the blanks of a line, but for a comment and a query's number."""
    line = line.partition(b"#")[0]
    if b"\0" in line:
        raise ValueError("a NUL character in it, expected text; is it a file of another format?")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not text in UTF-8 ({error}); save the file again") from error
    words = [word for word in re.split("[ \t\r]", text) if word]
    if len(words) > 1 and re.fullmatch("qid:[0-9]+", words[1]):
        del words[1]
    return words


def _label(word: str) -> float:
    """Return a row's label; raises ValueError."""
    if "," in word:
        raise ValueError(
            f"got the labels {_short(word)}, expected one; train a model for each label"
        )
    return _number(word, "label")


def _pair(word: str) -> tuple[int, float]:
    """Return index and value; raises ValueError."""
    index, colon, value = word.partition(":")
    if not colon:
        raise ValueError(f"got {_short(word)}, expected index:value; is it a LIBSVM file?")
    if not (index.isascii() and index.isdigit()):
        raise ValueError(
            f"got the index {_short(index)} in {_short(word)}, expected a whole number, 0 or more; "
            "correct it"
        )
    if len(index) > 18 or int(index) >= _MOST_INDEX:
        raise ValueError(f"got the index {_short(index)}, expected less than {_MOST_INDEX}")
    return int(index), _number(value, "value")


def _number(word: str, what: str) -> float:
    """Return a finite number; raises ValueError."""
    try:
        found = float(word)
    except ValueError:
        found = float("nan")
    if not np.isfinite(found) or "_" in word or not word.isascii():
        raise ValueError(f"got the {what} {_short(word)}, expected a finite number; correct it")
    return found


def _short(word: str) -> str:
    """Show a word, or its beginning."""
    return repr(word if len(word) <= _SHOWN else f"{word[:_SHOWN]}...")
