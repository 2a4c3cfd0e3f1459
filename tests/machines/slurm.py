"""A real Slurm of this one machine: its daemons on virtual hosts, or all on this one.

No accounting database: what became of a job is asked of the controller, which remembers it for
five minutes. No passwords: it listens on the virtual network, or on the loopback device, alone.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from tests.machines.network import Machine, Network, why_no_network

__all__ = ["Slurm", "why_no_slurm"]

_DAEMONS = ("slurmctld", "slurmd", "sbatch")
_START_SECONDS, _STOP_SECONDS = 40.0, 10.0
_LOOK_SECONDS = 0.1
_OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY")
# cred_expire: a job that is put back waits so long, 120 s if nothing is said. slurmd reports at
# once, and a node that is silent for 10 s is down. TmpFS: nodes that share /tmp must not meet.
_CONF = """\
ClusterName=mpi_gd
SlurmctldHost={controller}({address})
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
{bound}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
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
KillWait=5
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
{nodes} CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 \
PreemptMode=REQUEUE
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def why_no_slurm() -> str:
    """Return why no Slurm can be started here; empty if it can."""
    if os.geteuid() != 0:
        return "Slurm's daemons are started by root alone"
    lacking = [name for name in _DAEMONS if shutil.which(name) is None]
    return f"{' and '.join(lacking)} missing: run tests/slurm/install.sh" if lacking else ""


class Slurm:
    """A cluster of `n` nodes, node1, node2, ...; a context manager."""

    def __init__(self, n: int, folder: Path, cpus: int = os.cpu_count() or 1) -> None:
        """Plan it; everything of it lies in `folder`."""
        self.folder, self._n, self._cpus = folder, n, cpus
        self.conf = folder / "slurm.conf"
        self._network = None if why_no_network() else Network(n, folder, more=["ctl"])
        self._daemons: list[subprocess.Popen[bytes]] = []
        self.environment = {**os.environ, "SLURM_CONF": str(self.conf)}

    def machine(self, name: str) -> Machine:
        """Return the host of a node; raises RuntimeError where all are on this one."""
        if self._network is None:
            raise RuntimeError("the nodes have no hosts of their own here")
        return self._network[name]

    @property
    def has_hosts(self) -> bool:
        """Whether each node is a host of its own, which can be killed."""
        return self._network is not None

    def __enter__(self) -> Slurm:
        """Start it; raises RuntimeError, with what the daemons say, if a node does not come."""
        try:
            if self._network:
                self._network.__enter__()
            self._write()
            self._start(["slurmctld", "-D", "-c", "-f", str(self.conf)], "ctl")
            for name in self._names():
                self._start(["slurmd", "-D", "-c", "-f", str(self.conf), "-N", name], name)
            self._wait_for_nodes()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all jobs and all daemons."""
        if self._daemons:
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                self.call("scancel", "--quiet", "--user", _user())
                self.until(lambda: not self.call("squeue", "--noheader"), _STOP_SECONDS)
        if self._network:
            self._network.__exit__(None, None, None)
        for daemon in self._daemons:
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def call(self, *words: str, timeout: float = 20.0) -> str:
        """Run a Slurm command; return what it prints, fail if it fails."""
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{done.stderr}"
        return done.stdout.strip()

    def submit(self, *words: str, folder: Path, env: dict[str, str] | None = None) -> str:
        """Submit a job from `folder`; return its number."""
        done = subprocess.run(
            ["sbatch", "--parsable", *words],
            cwd=folder,
            env={**self.environment, **(env or {})},
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().split(";")[0]

    def job(self, number: str) -> dict[str, str]:
        """Return what the controller says of a job, by its names."""
        text = self.call("scontrol", "show", "job", "--oneliner", number)
        return dict(re.findall(r"(\S+?)=(\S*)", text))

    def wait(self, number: str, seconds: float = 60.0) -> dict[str, str]:
        """Wait for a job's end; return what the controller says of it."""
        self.until(lambda: self.job(number)["JobState"] in _OVER, seconds, number)
        return self.job(number)

    def until(self, condition: Callable[[], object], seconds: float = 60.0, job: str = "") -> None:
        """Wait for something to become true; fail, with all there is to know, if it does not."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                told = self.call("scontrol", "show", "job", job) if job else ""
                raise AssertionError(f"it did not happen in {seconds} s\n{told}\n{self.log()}")
            time.sleep(_LOOK_SECONDS)

    def log(self) -> str:
        """Return the last lines of the daemons' logs."""
        logs = sorted((self.folder / "log").glob("*"))
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
            for path in logs
        )

    def _names(self) -> list[str]:
        """Return the nodes' names."""
        return [f"node{i + 1}" for i in range(self._n)]

    def _write(self) -> None:
        """Write the configuration."""
        for name in ("state", "log", "run"):
            (self.folder / name).mkdir(parents=True)
        for name in self._names():
            (self.folder / "spool" / name).mkdir(parents=True)
            (self.folder / "tmp" / name).mkdir(parents=True)
        if self._network:
            port = 6817
            net, controller = self._network.net, "ctl"
            address = self._network["ctl"].address
            nodes = f"NodeName=node[1-{self._n}] NodeAddr={net}.[1-{self._n}] Port={port + 1}"
            bound = ""
        else:
            port = _free_ports(self._n + 1)
            controller, address = socket.gethostname().partition(".")[0], "127.0.0.1"
            ports = f"{port + 1}-{port + self._n}" if self._n > 1 else f"{port + 1}"
            nodes = f"NodeName=node[1-{self._n}] NodeHostname={controller} NodeAddr=127.0.0.1"
            nodes += f" Port={ports}"
            bound = "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny"
        self.conf.write_text(
            _CONF.format(
                controller=controller,
                address=address,
                port=port,
                user=_user(),
                bound=bound,
                folder=self.folder,
                nodes=nodes,
                cpus=self._cpus,
            )
        )
        # Without its first line slurmd does not start where cgroups are not mounted.
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")

    def _start(self, words: Sequence[str], name: str) -> None:
        """Start a daemon on its host."""
        command = self._network[name].command(words) if self._network else list(words)
        with (self.folder / "log" / f"{name}.out").open("wb") as log:
            self._daemons.append(
                subprocess.Popen(
                    command,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def _wait_for_nodes(self) -> None:
        """Wait until all nodes are idle."""
        words = ["sinfo", "--noheader", "-N", "-p", "main", "-t", "idle", "-o", "%N"]

        def are_idle() -> bool:
            done = subprocess.run(
                words, env=self.environment, capture_output=True, text=True, timeout=10
            )
            return len(set(done.stdout.split())) == self._n

        self.until(are_idle, _START_SECONDS)


def _free_ports(count: int) -> int:
    """Return the first of so many ports in a row that nobody has now."""
    for first in range(17000 + os.getpid() % 500 * 20, 60000, count):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                ear = stack.enter_context(socket.socket())
                ear.bind(("127.0.0.1", port))
            return first
    raise RuntimeError("there are no free ports")


def _user() -> str:
    """Return this user's name."""
    return pwd.getpwuid(os.geteuid()).pw_name
