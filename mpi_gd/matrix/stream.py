"""Rows that are not in memory: read a few MiB at a time, ahead of the computing.

A thread reads into a few buffers what will be asked for next, while the blocks before it are worked
on; reading leaves the interpreter to the others. Memory is that of the buffers, however many rows
there are. What the rows lie in is none of this module's business: it is given what reads them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Content", "Stream"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Pieces = Sequence[tuple[int, int]]

# So much is read at a time, where rows are not wider than that, and so many buffers are filled
# while one is worked on.
_BUFFER_BYTES = 4 << 20
_AHEAD = 3
_ALIGNMENT = 64
_STACK_BYTES = 1 << 20


class Content(Protocol[T_co]):
    """Rows that can be read."""

    n_rows: int

    def room(self, first: int, last: int) -> int:
        """Return how many bytes of a buffer the rows [first, last) take at most."""

    def read(self, first: int, last: int, buffer: NDArray[np.uint8]) -> tuple[T_co, int]:
        """Read the rows into a buffer that begins at a multiple of 64 bytes.

        Return them, and how many bytes of it they take, a multiple of 64. Called by one thread at
        a time, not always the same.
        """


@dataclass(eq=False)
class _Load:
    """Rows that are read at once."""

    parts: list[tuple[int, int]]
    buffer: NDArray[np.uint8]
    rows: list[Any] = field(default_factory=list)
    error: BaseException | None = None
    is_read: threading.Event = field(default_factory=threading.Event)

    def fill(self, content: Content[Any]) -> None:
        """Read all parts."""
        try:
            place = 0
            for first, last in self.parts:
                rows, used = content.read(first, last, self.buffer[place:])
                self.rows.append(rows)
                place += used
        except BaseException as error:
            self.error = error
        self.is_read.set()

    def find(self, first: int, last: int) -> int:
        """Return which part has the rows, -1 if none has them all."""
        for number, (start, stop) in enumerate(self.parts):
            if start <= first and last <= stop:
                return number
        return -1


class Stream(Generic[T]):
    """Reads the rows that are expected, in their order; what is got is good until the next call."""

    def __init__(self, content: Content[T], buffer_bytes: int = _BUFFER_BYTES) -> None:
        """Plan to read; nothing is read yet, and no memory is taken."""
        self._content, self._buffer_bytes = content, buffer_bytes
        self.n_rows = content.n_rows
        self._plan: Iterator[list[tuple[int, int]]] = iter(())
        self._again: tuple[Pieces, int] | None = None
        self._ahead: deque[_Load] = deque()
        self._current: _Load | None = None
        self._part = 0
        self._free: list[NDArray[np.uint8]] = []
        self._orders: SimpleQueue[_Load | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def most_bytes(self) -> int:
        """Return the memory of all buffers, where no block is larger than one."""
        return (_AHEAD + 1) * self._buffer_bytes

    def expect(self, pieces: Pieces, step: int) -> None:
        """Begin to read the rows [start, stop) of the pieces, in blocks of `step` rows.

        A block begins at its piece's beginning or `step` rows after another.
        """
        n_rows = sum(stop - start for start, stop in pieces)
        # Who reads all rows is likely to read them again.
        self._again = (pieces, step) if n_rows == self.n_rows else None
        plan = self._loads(pieces, step)
        kept: deque[_Load] = deque()
        for parts in plan:
            if not self._ahead or self._ahead[0].parts != parts:
                plan = chain([parts], plan)
                break
            kept.append(self._ahead.popleft())
        while self._ahead:
            self._drop(self._ahead.popleft())
        self._plan, self._ahead = plan, kept
        self._top_up()

    def rows(self, first: int, last: int, step: int) -> tuple[int, T]:
        """Return the rows [first, last), or more, and the number of the first of them.

        Where they were not expected, what follows them is: in blocks of `step` rows.
        """
        load = self._current
        if load is not None:
            start, stop = load.parts[self._part]
            if start <= first and last <= stop:
                return start, load.rows[self._part]
            found = load.find(first, last)
            if found >= 0:
                self._part = found
                return load.parts[found][0], load.rows[found]
        if not any(each.find(first, last) >= 0 for each in self._ahead):
            self._jump(first, last, step)
        while True:
            load = self._advance()
            found = load.find(first, last)
            if found >= 0:
                self._part = found
                return load.parts[found][0], load.rows[found]

    def _jump(self, first: int, last: int, step: int) -> None:
        """Expect the rows from `first` on."""
        self.expect([(first, self.n_rows)], max(step, last - first))

    def _advance(self) -> _Load:
        """Go to what is read next; raises what went wrong with it."""
        if self._current is not None:
            self._drop(self._current)
            self._current = None
        load = self._ahead.popleft()
        load.is_read.wait()
        if load.error is not None:
            raise load.error
        self._current, self._part = load, 0
        self._top_up()
        return load

    def _top_up(self) -> None:
        """Order what comes next, as far as there are buffers for it."""
        while len(self._ahead) < _AHEAD:
            parts = next(self._plan, None)
            if parts is None and self._again:
                self._plan, self._again = self._loads(*self._again), None
                parts = next(self._plan, None)
            if parts is None:
                return
            load = _Load(parts, self._buffer(sum(self._content.room(*part) for part in parts)))
            if self._thread is None:
                self._thread = _started(self._orders, self._content)
            self._orders.put(load)
            self._ahead.append(load)

    def _loads(self, pieces: Pieces, step: int) -> Iterator[list[tuple[int, int]]]:
        """Return what is read at once, one after another."""
        return _cut(pieces, step, self._content.room, self._buffer_bytes)

    def _buffer(self, size: int) -> NDArray[np.uint8]:
        """Return a free buffer of at least `size` bytes."""
        for place, buffer in enumerate(self._free):
            if len(buffer) >= size:
                return self._free.pop(place)
        if self._free:
            self._free.pop()
        memory = np.empty(max(size, self._buffer_bytes) + _ALIGNMENT, dtype=np.uint8)
        return memory[-memory.ctypes.data % _ALIGNMENT :]

    def _drop(self, load: _Load) -> None:
        """Take the buffer back, when nothing is read into it any more."""
        load.is_read.wait()
        self._free.append(load.buffer)

    def __del__(self) -> None:
        """Let the thread end; it knows nothing of this object."""
        self._orders.put(None)


def _cut(
    pieces: Pieces, step: int, room: Callable[[int, int], int], most: int
) -> Iterator[list[tuple[int, int]]]:
    """Yield blocks of `most` bytes together, or single ones; those that follow are one part."""
    parts: list[tuple[int, int]] = []
    taken = 0
    for start, stop in pieces:
        for first in range(start, stop, step):
            last = min(first + step, stop)
            more = room(first, last)
            if parts and taken + more > most:
                yield parts
                parts, taken = [], 0
            taken += more
            if parts and parts[-1][1] == first:
                parts[-1] = parts[-1][0], last
            else:
                parts.append((first, last))
    if parts:
        yield parts


def _started(orders: SimpleQueue[_Load | None], content: Content[Any]) -> threading.Thread:
    """Start the thread, whose stack counts as memory of the process."""
    usual = threading.stack_size(_STACK_BYTES)
    try:
        thread = threading.Thread(target=_read_ahead, args=(orders, content), daemon=True)
        thread.start()
    finally:
        threading.stack_size(usual)
    return thread


def _read_ahead(orders: SimpleQueue[_Load | None], content: Content[Any]) -> None:
    """Read what is ordered, until there is no order."""
    while (load := orders.get()) is not None:
        load.fill(content)
