"""How much more memory this process may take: its own limits, its group's, its host's."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

__all__ = ["available_memory"]

_ROOT = Path("/")
# What a group or a host without a limit states.
_NO_LIMIT = 1 << 60


def available_memory(n_here: int, *, is_mapped: bool = False, root: Path = _ROOT) -> int:
    """Return the bytes that each of `n_here` processes on this host may still take, about.

    The least that the host has free, the control groups (those of Slurm's --mem and of containers)
    and the process's own limits leave. A map of a file is no data of the process. `root` is where
    /proc and /sys are.
    """
    shared = min(_host(root), *_groups(root))
    return max(0, min(shared // max(1, n_here), _own(root, is_mapped)))


def _host(root: Path) -> int:
    """Return what is free on the host, without what can be swapped out."""
    free = _table(root / "proc/meminfo").get("MemAvailable:")
    return _NO_LIMIT if free is None else free << 10


def _own(root: Path, is_mapped: bool) -> int:
    """Return what the process's limits of address space and data leave."""
    used = _table(root / "proc/self/status")
    kinds = [(resource.RLIMIT_AS, "VmSize:")]
    if not is_mapped:
        kinds.append((resource.RLIMIT_DATA, "VmData:"))
    found = _NO_LIMIT
    for kind, name in kinds:
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            found = min(found, limit - (used.get(name, 0) << 10))
    return found


def _groups(root: Path) -> list[int]:
    """Return what each control group above this process, of either version, leaves."""
    found = [_NO_LIMIT]
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if not kinds:
                top, names = "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
            elif "memory" in kinds.split(","):
                top = "sys/fs/cgroup/memory"
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            else:
                continue
            # A container may not see the groups above its own, nor its own by its full name.
            parts = [part for part in path.split("/") if part and part != ".."]
            for n_parts in range(len(parts) + 1):
                found.append(_group(root.joinpath(top, *parts[:n_parts]), *names))
    return found


def _group(folder: Path, limit: str, usage: str, inactive: str) -> int:
    """Return what is left of a group's limit; files that nobody uses make way."""
    with contextlib.suppress(OSError, ValueError):
        most = int((folder / limit).read_text())
        used = int((folder / usage).read_text())
        idle = _table(folder / "memory.stat").get(inactive, 0)
        return min(_NO_LIMIT, max(0, most - used + min(idle, used)))
    return _NO_LIMIT


def _table(path: Path) -> dict[str, int]:
    """Return the numbers of a file of names and numbers; those that are there."""
    found = {}
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            words = line.split()
            if len(words) > 1 and words[1].isdigit():
                found[words[0]] = int(words[1])
    return found
