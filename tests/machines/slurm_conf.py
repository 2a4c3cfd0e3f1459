"""The configuration of a Slurm of this one machine."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["ACCOUNTS_PORT", "Layout", "slurm_conf", "user_name"]

# On the controller's host; on this one, where there are no hosts, it would be any free one.
ACCOUNTS_PORT = 6819
# cred_expire: a job that is put back waits so long, 120 s if nothing is said. slurmd reports at
# once, and a node that is silent for 10 s is down. TmpFS: nodes that share /tmp must not meet.
_CONF = """\
ClusterName=mpi_gd
SlurmctldHost={layout.controller}({layout.address})
SlurmctldPort={layout.port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
{layout.bound}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
{accounts}
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
MpiDefault=none
ReturnToService=2
KillWait={kill_wait}
OverTimeLimit=0
SlurmdTimeout=10
SlurmctldTimeout=10
MessageTimeout=5
InactiveLimit=0
MinJobAge=300
SwitchType=switch/none
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
TmpFS={folder}/tmp/%n
{layout.nodes} CPUs={cpus} RealMemory=16000 TmpDisk=40000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 \
PreemptMode=REQUEUE
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
_NO_ACCOUNTS = """\
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none"""
_ACCOUNTS = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={address}
AccountingStoragePort={port}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1"""


@dataclass(frozen=True)
class Layout:
    """Where the daemons are: on hosts of their own, or on this one."""

    controller: str
    address: str
    nodes: str
    """The line that says where the nodes are."""
    port: int = 6817
    accounts_port: int = ACCOUNTS_PORT
    bound: str = field(default="", kw_only=True)

    @classmethod
    def on_hosts(cls, n: int, net: str, address: str) -> Layout:
        """Return that of `n` hosts with the addresses NET.1, NET.2, ..., and one named ctl."""
        return cls("ctl", address, f"NodeName=node[1-{n}] NodeAddr={net}.[1-{n}] Port=6818")

    @classmethod
    def on_this_host(cls, n: int) -> Layout:
        """Return that of `n` daemons on the loopback device alone."""
        first = _free_ports(n + 2)
        name = socket.gethostname().partition(".")[0]
        nodes = f"NodeName=node[1-{n}] NodeHostname={name} NodeAddr=127.0.0.1"
        ports = f"{first + 2}-{first + n + 1}" if n > 1 else f"{first + 2}"
        bound = "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny"
        return cls(name, "127.0.0.1", f"{nodes} Port={ports}", first, first + 1, bound=bound)


def slurm_conf(
    layout: Layout, folder: Path, cpus: int, *, has_accounts: bool, kill_wait: int
) -> str:
    """Return slurm.conf; all that the daemons write lies in `folder`."""
    accounts = _NO_ACCOUNTS
    if has_accounts:
        accounts = _ACCOUNTS.format(address=layout.address, port=layout.accounts_port)
    return _CONF.format(
        layout=layout,
        folder=folder,
        cpus=cpus,
        accounts=accounts,
        user=user_name(),
        kill_wait=kill_wait,
    )


def user_name() -> str:
    """Return this user's name."""
    return pwd.getpwuid(os.geteuid()).pw_name


def _free_ports(count: int) -> int:
    """Return the first of so many ports in a row that nobody has now."""
    for first in range(17000 + os.getpid() % 500 * 20, 60000, count):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                ear = stack.enter_context(socket.socket())
                ear.bind(("127.0.0.1", port))
            return first
    raise RuntimeError("there are no free ports")
