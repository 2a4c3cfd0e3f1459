"""mpirun across virtual hosts, over a switch with delay and bandwidth, with either MPI."""

from __future__ import annotations

import contextlib
import secrets
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.launch import environment, kill_the_rest, mpi_kind, mpirun_command
from tests.machines.network import Network

__all__ = ["mpirun_on", "switched"]

_REPOSITORY = Path(__file__).parents[2]
_SWITCH = _REPOSITORY / "tests" / "machines" / "switch.py"
# A packet of the fast switch is long, for each costs it the same.
_FAST_MBIT, _FAST_MTU = 2000.0, 65000
# How mpirun starts its daemon on another host: here that is another name space.
_AGENT = """#!/usr/bin/env bash
while [[ $1 == -* ]]; do shift; done
pid=$(cat "{folder}/pid.$1") || exit 1
shift
exec nsenter --target "$pid" --net --uts --pid --mount -- sh -c "cd {place} && $*"
"""


@contextlib.contextmanager
def switched(network: Network, delay_us: float, rate_mbit: float) -> Iterator[str]:
    """Connect the hosts by one more network, of this delay and bandwidth; yield its device."""
    net = network.net.rsplit(".", 1)[0]
    number = (int(network.net.rsplit(".", 1)[1]) + 1) % 256
    mtu = _FAST_MTU if rate_mbit > _FAST_MBIT else 9000
    words = [sys.executable, str(_SWITCH), "--delay-us", str(delay_us), "--mtu", str(mtu)]
    words += ["--rate-mbit", str(rate_mbit), f"{net}.{number}"]
    words += [str(machine.pid) for machine in network.machines]
    switch = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        if switch.stdout is None or switch.stdout.readline() != "ready\n":
            raise RuntimeError("the switch did not start")
        yield "sim0"
    finally:
        switch.kill()
        switch.wait()


def mpirun_on(
    network: Network,
    per_host: int,
    device: str,
    args: Sequence[str],
    env: Mapping[str, str] | None = None,
    timeout: float = 300.0,
) -> str:
    """Run this Python with `args` on `per_host` ranks of each host; return what it prints.

    Ranks of different hosts talk through `device` alone. Raises RuntimeError if it fails or takes
    longer than `timeout` seconds.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for machine in network.machines:
            (folder / f"pid.{machine.address}").write_text(str(machine.pid))
        agent = folder / "agent"
        agent.write_text(_AGENT.format(folder=folder, place=_REPOSITORY))
        agent.chmod(agent.stat().st_mode | stat.S_IXUSR)
        hosts = ",".join(f"{machine.address}:{per_host}" for machine in network.machines)
        settings, options = _settings(network, hosts, device, str(agent))
        command = mpirun_command(per_host * len(network.machines), *options)
        mark = secrets.token_hex(8)
        process = subprocess.Popen(
            [*command, sys.executable, *args],
            cwd=_REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(mark, {**settings, **(env or {})}),
            start_new_session=True,
        )
        try:
            out = process.communicate(timeout=timeout)[0].decode()
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"not done after {timeout} s: {' '.join(command)}") from None
        finally:
            kill_the_rest(process, mark)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {process.returncode}\n{out}")
    return out


def _settings(
    network: Network, hosts: str, device: str, agent: str
) -> tuple[dict[str, str], list[str]]:
    """Return the environment and mpirun's options for ranks on these hosts."""
    if mpi_kind() == "openmpi":
        return {
            "PRTE_MCA_plm": "ssh",
            "PRTE_MCA_plm_ssh_agent": agent,
            "PRTE_MCA_ras": "^slurm",
            "PRTE_MCA_prte_if_include": f"{network.net}.0/24",
            "PMIX_MCA_ptl_tcp_if_include": f"{network.net}.0/24",
            "OMPI_MCA_btl_tcp_if_include": device,
            "OMPI_MCA_pml": "ob1",
            "OMPI_MCA_btl": "self,sm,tcp",
            # More ranks than cores: those that wait make room.
            "OMPI_MCA_mpi_yield_when_idle": "1",
        }, ["--host", hosts, "--map-by", "slot"]
    options = ["-launcher", "ssh", "-launcher-exec", agent, "-localhost", network.address]
    return {
        # UCX looks for devices where a virtual host has none of its own.
        "MPIR_CVAR_CH4_NETMOD": "ofi",
        "FI_PROVIDER": "tcp",
        "FI_TCP_IFACE": device,
    }, ["-hosts", hosts, *options]
