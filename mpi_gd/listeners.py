"""Outputs that may lose their reader, as in `inspect DATA | head`."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

__all__ = ["Output", "outlive_readers"]


class Output:
    """A stream to which writing never fails: whoever reads may have read enough."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream` for as long as it takes anything."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write; return the number of characters."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._fall_silent(error)
            return len(text)

    def flush(self) -> None:
        """Pass on what has been written."""
        try:
            self._stream.flush()
        except OSError as error:
            self._fall_silent(error)

    def __getattr__(self, name: str) -> object:
        """Leave all else to the stream."""
        return getattr(self._stream, name)

    def _fall_silent(self, error: OSError) -> None:
        """Send what comes, and what waits in the buffer, nowhere; say so if it is a full disk."""
        # Python would try again to write what is left when it ends.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        if not isinstance(error, BrokenPipeError):
            reason = (error.strerror or str(error)).lower()
            with contextlib.suppress(OSError):
                sys.stderr.write(
                    f"mpi_gd: warning: cannot write to the standard output: {reason}\n"
                )


def outlive_readers() -> None:
    """Let no command end, and no other rank wait, because nobody reads what one rank prints."""
    # A stream that was closed before the start is None, to which Python prints nothing.
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Output):
            setattr(sys, name, Output(stream))
