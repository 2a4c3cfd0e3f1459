"""The memory that a process may still take: the least of its host's, its groups' and its own."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from mpi_gd.allocation.memory import available_memory

GB = 1 << 30


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files below a folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def host(root: Path, free: int, group: str = "0::/\n") -> Path:
    """Write what every host has."""
    return write(
        root,
        {
            "proc/meminfo": f"MemTotal: 99999999 kB\nMemAvailable: {free >> 10} kB\n",
            "proc/self/cgroup": group,
            "proc/self/status": "Name: python\nVmSize: 1000 kB\nVmData: 500 kB\n",
        },
    )


@pytest.fixture(autouse=True)
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process have no limits of its own."""
    endless = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: endless)


def test_the_ranks_of_a_host_share_what_is_free(tmp_path: Path) -> None:
    root = host(tmp_path, 8 * GB)
    assert available_memory(1, root=root) == 8 * GB
    assert available_memory(4, root=root) == 2 * GB


def test_a_group_of_version_two_and_those_above_it(tmp_path: Path) -> None:
    root = host(tmp_path, 100 * GB, "0::/job/step\n")
    top = "sys/fs/cgroup/job"
    files = {
        f"{top}/memory.max": f"{6 * GB}\n",
        f"{top}/memory.current": f"{4 * GB}\n",
        f"{top}/memory.stat": f"anon {GB}\ninactive_file {GB}\n",
        f"{top}/step/memory.max": "max\n",
        f"{top}/step/memory.current": f"{4 * GB}\n",
    }
    assert available_memory(1, root=write(root, files)) == 3 * GB


def test_a_group_of_version_one(tmp_path: Path) -> None:
    root = host(tmp_path, 100 * GB, "5:cpu:/a\n4:memory:/slurm/job\n0::/\n")
    top = "sys/fs/cgroup/memory"
    files = {
        f"{top}/memory.limit_in_bytes": f"{1 << 63}\n",
        f"{top}/memory.usage_in_bytes": f"{GB}\n",
        f"{top}/slurm/job/memory.limit_in_bytes": f"{2 * GB}\n",
        f"{top}/slurm/job/memory.usage_in_bytes": f"{GB}\n",
        f"{top}/slurm/job/memory.stat": "total_inactive_file 1024\n",
    }
    assert available_memory(2, root=write(root, files)) == (GB + 1024) // 2


def test_own_limits_of_data_and_address_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = host(tmp_path, 100 * GB)
    limits = {resource.RLIMIT_DATA: GB, resource.RLIMIT_AS: 4 * GB}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits[kind], limits[kind]))
    assert available_memory(1, root=root) == GB - (500 << 10)
    # A map of a file is none of its data, but has its addresses.
    assert available_memory(1, is_mapped=True, root=root) == 4 * GB - (1000 << 10)


def test_a_host_that_tells_nothing_sets_no_limit(tmp_path: Path) -> None:
    assert available_memory(1, root=tmp_path) >= 1 << 50
