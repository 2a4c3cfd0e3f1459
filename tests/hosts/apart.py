"""Run a Python program with this host's wall clock years away from those of the other hosts.

Only what Python tells of the time is another: MPI and the file system keep that of the kernel, and
the clocks since the start, by which all waits go, are the virtual host's own.
"""

from __future__ import annotations

import datetime
import runpy
import socket
import sys
import time

_SHIFT = {"node1": 3, "node2": -3, "node3": 1}.get(socket.gethostname(), 0) * 366 * 86400
_time, _time_ns = time.time, time.time_ns


class _Shifted(datetime.datetime):
    """A datetime whose present is that of the shifted clock."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> _Shifted:
        """Return the present."""
        return cls.fromtimestamp(time.time(), tz)


time.time = lambda: _time() + _SHIFT
time.time_ns = lambda: _time_ns() + _SHIFT * 10**9
datetime.datetime = _Shifted  # type: ignore[misc]
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
