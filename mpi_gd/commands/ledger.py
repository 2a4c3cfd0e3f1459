"""The finished candidates of a search, a line each, which outlives whatever ends the search."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from mpi_gd.comm import World
from mpi_gd.errors import FileError

__all__ = ["LEDGER_NAME", "Ledger", "key_of"]

LEDGER_NAME = "candidates.jsonl"


def key_of(**what: Any) -> str:
    """Return a digest of all that a result depends on."""
    text = json.dumps(what, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Ledger:
    """Records by key, on all ranks alike; the root writes them."""

    def __init__(self, world: World, folder: Path) -> None:
        """Read what is there: a line that is cut, by what ended the last run, is none; collective.

        Raises FileError on all ranks.
        """
        self._world, self._path = world, folder / LEDGER_NAME
        self._known: dict[str, dict[str, Any]] = {}
        self._new: list[dict[str, Any]] = []
        self.failure: FileError | None = None
        """Why the last records could not be written, on the root."""
        text = ""
        with world.phase("reading the finished candidates", by_root=True):
            if world.is_root and self._path.exists():
                text = self._whole_lines()
        for line in world.bcast_text(text).splitlines():
            record = json.loads(line)
            self._known[record["key"]] = record

    def _whole_lines(self) -> str:
        """Return the lines that are whole, and cut the file after the last of them."""
        good: list[bytes] = []
        for line in self._path.read_bytes().splitlines(keepends=True):
            try:
                record = json.loads(line)
                is_whole = line.endswith(b"\n") and isinstance(record["key"], str)
            except (ValueError, KeyError, TypeError):
                is_whole = False
            if not is_whole:
                break
            good.append(line)
        size = sum(map(len, good))
        if size < self._path.stat().st_size:
            os.truncate(self._path, size)
        return b"".join(good).decode("utf-8")

    def get(self, key: str) -> dict[str, Any] | None:
        """Return a record; None if there is none."""
        return self._known.get(key)

    def note(self, records: list[dict[str, Any]]) -> None:
        """Know records; they are not written."""
        for record in records:
            self._known[record["key"]] = record

    def keep(self, records: list[dict[str, Any]]) -> None:
        """Write records, each with its key; on the root alone. A failure is kept for `share`."""
        self.note(records)
        self._new += records
        if self.failure:
            return
        try:
            append(self._path, [json.dumps(record) for record in records])
        except FileError as error:
            self.failure = error

    def share(self) -> None:
        """Let all ranks know what the root has written; collective.

        Raises FileError, on all ranks, if something could not be written.
        """
        with self._world.phase("writing the finished candidates", by_root=True):
            if self.failure:
                raise self.failure
        self.note(json.loads(self._world.bcast_text(json.dumps(self._new))))
        self._new = []


def append(path: Path, lines: list[str]) -> None:
    """Add lines to a file, and flush it to the disk; raises FileError."""
    try:
        with path.open("ab") as file:
            file.write("".join(f"{line}\n" for line in lines).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FileError(f"{path}: cannot write: {reason} (free some disk space)") from error
