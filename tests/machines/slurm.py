"""A real Slurm of this one machine: its daemons on virtual hosts, or all on this one.

What became of a job is asked of the controller, which remembers it for five minutes, or of the
accounts, where it has any. No passwords: it listens on the virtual network, or on the loopback
device, alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.launch import OF_A_RUN
from tests.machines.network import Machine, Network, why_no_network
from tests.machines.slurm_conf import Layout, slurm_conf, user_name

__all__ = ["Slurm", "why_no_slurm"]

_DAEMONS = ("slurmctld", "slurmd", "sbatch")
_OF_ACCOUNTS = ("slurmdbd", "mariadbd", "mariadb-install-db")
_START_SECONDS, _STOP_SECONDS = 60.0, 10.0
_LOOK_SECONDS = 0.25
_OVER = (
    *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY"),
    *("DEADLINE", "BOOT_FAIL"),
)
# A Slurm inside a job of another one, or a rank of an MPI, is not to take itself for part of it.
_OF_A_RUN = ("SLURM_", "SBATCH_", *OF_A_RUN)
# A daemon dies with what has started it, even if that is killed.
_MORTAL = ("setpriv", "--pdeathsig", "KILL")
_DBD_CONF = """\
AuthType=auth/none
DbdHost={host}
DbdAddr={address}
DbdPort={port}
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={user}
StorageLoc=slurm
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
"""


def why_no_slurm() -> str:
    """Return why no Slurm can be started here; empty if it can."""
    if os.geteuid() != 0:
        return "Slurm's daemons are started by root alone"
    lacking = [name for name in (*_DAEMONS, *_OF_ACCOUNTS) if shutil.which(name) is None]
    return f"{' and '.join(lacking)} missing: run tests/slurm/install.sh" if lacking else ""


class Slurm:
    """A cluster of `n` nodes, node1, node2, ...; a context manager."""

    def __init__(
        self,
        n: int,
        folder: Path,
        cpus: int = os.cpu_count() or 1,
        *,
        has_accounts: bool = False,
        kill_wait: int = 5,
    ) -> None:
        """Plan it; everything of it lies in `folder`. Nodes have `cpus` cores, real or not.

        `kill_wait` is how many seconds a job that is to end has, from SIGTERM to SIGKILL.
        """
        self.folder, self._n, self._cpus = folder, n, cpus
        self._has_accounts, self._kill_wait = has_accounts, kill_wait
        self.conf = folder / "slurm.conf"
        self._network = None if why_no_network() else Network(n, folder, more=["ctl"])
        self._daemons: list[subprocess.Popen[bytes]] = []
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_OF_A_RUN)}
        self.environment = {**kept, "SLURM_CONF": str(self.conf)}

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
            layout = self._write()
            if self._has_accounts:
                self._open_accounts(layout)
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
        if self._daemons and not self._network:
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                self.call("scancel", "--quiet", "--user", user_name())
                self.until(lambda: not self.call("squeue", "--noheader"), _STOP_SECONDS)
        if self._network:
            # All that runs on the hosts ends with them.
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

    def submit(self, *words: str, folder: Path, env: Mapping[str, str] | None = None) -> str:
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

    def accounts(self, number: str) -> list[tuple[str, str]]:
        """Return the state and the exit code that sacct has for each start of a job."""
        words = ("sacct", "--noheader", "--parsable2", "--duplicates", "--allocations")
        told = self.call(*words, "--jobs", number, "--format", "state,exitcode")
        return [(line.split("|")[0], line.split("|")[1]) for line in told.splitlines()]

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

    def _write(self) -> Layout:
        """Write the configuration; return where the daemons are to be."""
        for name in ("state", "log", "run"):
            (self.folder / name).mkdir(parents=True)
        for name in self._names():
            (self.folder / "spool" / name).mkdir(parents=True)
            (self.folder / "tmp" / name).mkdir(parents=True)
        if self._network:
            address = self._network["ctl"].address
            layout = Layout.on_hosts(self._n, self._network.net, address)
        else:
            layout = Layout.on_this_host(self._n)
        text = slurm_conf(
            layout,
            self.folder,
            self._cpus,
            has_accounts=self._has_accounts,
            kill_wait=self._kill_wait,
        )
        self.conf.write_text(text)
        # Without its first line slurmd does not start where cgroups are not mounted.
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        return layout

    def _open_accounts(self, layout: Layout) -> None:
        """Start a database and what keeps the accounts in it."""
        data, socket = self.folder / "mysql", self.folder / "my.sock"
        install = ["mariadb-install-db", "--no-defaults", f"--user={user_name()}"]
        install += [f"--datadir={data}", "--skip-test-db"]
        install.append("--auth-root-authentication-method=normal")
        self.call(*install, timeout=_START_SECONDS)
        (self.folder / "init.sql").write_text("create database if not exists slurm;\n")
        options = [
            *("--no-defaults", f"--user={user_name()}", f"--datadir={data}", f"--socket={socket}"),
            *("--skip-networking", f"--init-file={self.folder}/init.sql"),
            *("--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0"),
            *("--innodb-buffer-pool-size=32M", "--performance-schema=OFF"),
            # What slurmdbd asks for at its start.
            "--innodb-lock-wait-timeout=900",
        ]
        self._start(["mariadbd", *options], "ctl", "mariadbd")
        self.until(socket.exists, _START_SECONDS)
        conf = self.folder / "slurmdbd.conf"
        conf.touch(0o600)
        text = _DBD_CONF.format(
            host=layout.controller,
            address=layout.address,
            port=layout.accounts_port,
            user=user_name(),
            folder=self.folder,
        )
        conf.write_text(text)
        self._start(["env", f"MYSQL_UNIX_PORT={socket}", "slurmdbd", "-D"], "ctl", "slurmdbd")
        self.until(lambda: "slurmdbd version" in self.log(), _START_SECONDS)

    def _start(self, words: Sequence[str], name: str, log: str = "") -> None:
        """Start a daemon on a host."""
        command = self._network[name].command(words) if self._network else list(words)
        with (self.folder / "log" / f"{log or name}.out").open("wb") as out:
            self._daemons.append(
                subprocess.Popen(
                    [*_MORTAL, *command],
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            )

    def _wait_for_nodes(self) -> None:
        """Wait until all nodes are idle."""
        words = ["sinfo", "--noheader", "-N", "-p", "main", "-t", "idle", "-o", "%N"]

        def are_idle() -> bool:
            done = subprocess.run(
                words, env=self.environment, capture_output=True, text=True, timeout=20
            )
            return len(set(done.stdout.split())) == self._n

        self.until(are_idle, _START_SECONDS)
