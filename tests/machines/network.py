"""Hosts on this machine: each has a network, a name, processes and mounts of its own.

What is the same for all is the files, as on a cluster with a shared file system. A host dies, with
all its processes, when its first process is killed; its cable is cut by setting its link down.
A `head` has the processes of this machine, from which those of all hosts can be reached: launchers
run there, and get to the others by a script that stands in for ssh.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

__all__ = ["Machine", "Network", "nodes", "switched", "why_no_network"]

_NUMBERS = itertools.count()
_NEEDED = ("ip", "nsenter", "unshare", "setpriv", "mount")
# What a host does at its start: a name, its own list of names, shared memory and a temporary folder
# of its own, and, among all that /sys shows, its own network devices. (/tmp, where the tests' files
# lie, is shared.)
_BOOT = """
hostname "$1" && mount --bind "$2" /etc/hosts && mount -t tmpfs shm /dev/shm &&
    mount -t tmpfs tmp /var/tmp && mount -t sysfs sys /mnt || exit 1
for part in class/net devices/virtual/net; do mount --bind /mnt/$part /sys/$part || exit 1; done
echo up; trap 'exit 0' TERM; while :; do sleep 1000 & wait; done
"""
_BOOT_SECONDS = 30.0
_HEAD = "head"
_SWITCH = Path(__file__).with_name("switch.py")
# A packet of the fast switch is long, for each costs it the same.
_FAST_MBIT, _FAST_MTU = 2000.0, 65000
# In place of ssh: AGENT [-OPTION...] HOST COMMAND... As with ssh, the command is a text for a shell
# there, and nothing of the environment goes along, but for the tests' mark.
_AGENT = """#!/bin/sh
while case $1 in -*) true ;; *) false ;; esac; do shift; done
host=$1; shift
case $host in
{cases}*) echo "no host $host" >&2; exit 255 ;;
esac
env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$HOME" USER=root SHELL=/bin/sh \\
    TMPDIR=/var/tmp MPI_GD_TEST_LAUNCH="$MPI_GD_TEST_LAUNCH" $enter -- sh -c "cd /; $*"
code=$?
# ssh does not die with the host.
[ $code -gt 128 ] && exec sleep 1000
exit $code
"""


def why_no_network() -> str:
    """Return why there can be no virtual hosts here; empty if there can."""
    if os.geteuid() != 0:
        return "virtual hosts need root"
    lacking = [name for name in _NEEDED if shutil.which(name) is None]
    if lacking:
        return f"virtual hosts need {' and '.join(lacking)} (apt-get install iproute2 util-linux)"
    tried = subprocess.run(
        ["unshare", "--net", "--uts", "--pid", "--fork", "--mount-proc", "ip", "link"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    return f"namespaces are not allowed here: {tried.stderr.strip()}" if tried.returncode else ""


class Machine:
    """A virtual host."""

    def __init__(self, name: str, address: str, link: str, uptime: int = 0) -> None:
        """Name it; `link` is the outer end of its cable, `uptime` seconds its clock is ahead."""
        self.name, self.address, self.link, self._uptime = name, address, link, uptime
        self._own = [] if name == _HEAD else ["--pid"]
        self._process: subprocess.Popen[str] | None = None
        self._pid = 0

    @property
    def pid(self) -> int:
        """The host's first process, as seen from outside."""
        return self._pid

    def boot(self, hosts: Path, prefix: int) -> None:
        """Start it, and plug in its cable."""
        # It dies with the tests, even if they are killed.
        words = ["setpriv", "--pdeathsig", "KILL", "unshare"]
        words += ["--net", "--uts", "--mount", "--fork", *self._own]
        words += ["--mount-proc"] if self._own else []
        if self._uptime:
            words += ["--time", f"--monotonic={self._uptime}", f"--boottime={self._uptime}"]
        self._process = subprocess.Popen(
            [*words, "--kill-child", "bash", "-c", _BOOT, "-", self.name, str(hosts)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # unshare complains when the host is killed.
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        stdout = self._process.stdout
        if stdout is None or stdout.readline() != "up\n":
            raise RuntimeError(f"the virtual host {self.name} did not start")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        self._pid = int(children.read_text().split()[0])
        inner = f"{self.link}i"
        _run(f"ip link add {self.link} type veth peer name {inner} netns {self._pid}")
        inside = f"link set {inner} name eth0\naddr add {self.address}/{prefix} dev eth0\n"
        inside += "link set lo up\nlink set eth0 up\n"
        _run(f"nsenter --target {self._pid} --net ip -batch -", inside)

    @property
    def enter(self) -> list[str]:
        """The command that, from the outside or from the head, goes to this host."""
        words = ["nsenter", "--target", str(self._pid), "--net", "--uts", "--mount", *self._own]
        return [*words, "--time"] if self._uptime else words

    def command(self, words: Sequence[str], folder: Path | None = None) -> list[str]:
        """Return the command that runs `words` on this host, in `folder`."""
        place = str(folder or Path.cwd())
        return [*self.enter, "--", "sh", "-c", 'cd "$0" && exec "$@"', place, *words]

    def run(self, *words: str) -> str:
        """Run a command there; return what it prints, fail if it fails."""
        return _run(self.command(words))

    def hide(self, folder: Path) -> None:
        """Lay an empty folder over one, on this host alone."""
        self.run("mount", "-t", "tmpfs", "nothing", str(folder))

    def cut(self) -> None:
        """Pull out the network cable."""
        _run(f"ip link set {self.link} down")

    def mend(self) -> None:
        """Put the network cable back."""
        _run(f"ip link set {self.link} up")

    def is_alive(self) -> bool:
        """Whether it has not been killed."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Let it die at once, with all its processes."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            # The kernel kills all the others of the namespace with the first one.
            os.kill(self._pid or self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


class Network:
    """Hosts node1, node2, ... on one switch; a context manager."""

    def __init__(self, n: int, folder: Path, *, more: Sequence[str] = (), uptimes: int = 0) -> None:
        """Plan `n` hosts and `more` by their names; their list of names lies in `folder`.

        The clock since the start of host i is `uptimes` times i seconds ahead.
        """
        # Two runs of the tests at once must not meet: names and addresses by the process.
        tag = f"g{os.getpid() % 46656:x}{next(_NUMBERS) % 36:x}"
        self._bridge, self._hosts = f"{tag}b", folder / "hosts"
        net = f"10.{70 + os.getpid() % 97}.{(os.getpid() // 97 + 16 * int(tag[-1], 36)) % 256}"
        self.net = net
        names = [*(f"node{i + 1}" for i in range(n)), *more]
        self.machines = [
            Machine(name, f"{net}.{i + 1}", f"{tag}v{i + 1}", uptimes * i)
            for i, name in enumerate(names)
        ]
        self.address = f"{net}.254"
        """This machine's own address on the network."""
        self.agent = folder / "agent"
        """What a launcher on the head can use in place of ssh."""

    def __enter__(self) -> Network:
        """Start them all."""
        lines = ["127.0.0.1 localhost"]
        lines += [f"{machine.address} {machine.name}" for machine in self.machines]
        self._hosts.write_text("\n".join(lines) + "\n")
        try:
            _run(f"ip link add {self._bridge} type bridge")
            _run(f"ip addr add {self.address}/24 dev {self._bridge}")
            _run(f"ip link set {self._bridge} up")
            for machine in self.machines:
                machine.boot(self._hosts, 24)
                _run(f"ip link set {machine.link} master {self._bridge} up")
            self._settle()
            self._write_agent()
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
        """End all that runs on them, and remove them."""
        for machine in self.machines:
            machine.kill()
        # Their cables went with them; a host that never started has left its own.
        for link in [*(machine.link for machine in self.machines), self._bridge]:
            subprocess.run(["ip", "link", "del", link], capture_output=True, timeout=20)

    def __getitem__(self, name: str) -> Machine:
        """Return a host by its name."""
        return next(machine for machine in self.machines if machine.name == name)

    def _write_agent(self) -> None:
        """Write the script that stands in for ssh."""
        cases = "".join(
            f"{machine.name}|{machine.address}) enter='{' '.join(machine.enter)}' ;;\n"
            for machine in self.machines
        )
        self.agent.write_text(_AGENT.format(cases=cases))
        self.agent.chmod(0o755)

    def _settle(self) -> None:
        """Wait until the switch lets everything through."""
        deadline = time.monotonic() + _BOOT_SECONDS
        ports = [Path(f"/sys/class/net/{machine.link}/brport/state") for machine in self.machines]
        # 3: forwarding.
        while any(port.read_text().strip() != "3" for port in ports):
            if time.monotonic() > deadline:
                raise RuntimeError("the virtual switch did not start")
            time.sleep(0.02)


@contextlib.contextmanager
def switched(network: Network, delay_us: float, rate_mbit: float) -> Iterator[str]:
    """Connect the hosts by one more network, of this delay and bandwidth; yield its device."""
    net = network.net.rsplit(".", 1)[0]
    number = (int(network.net.rsplit(".", 1)[1]) + 1) % 256
    mtu = _FAST_MTU if rate_mbit > _FAST_MBIT else 9000
    words = [sys.executable, str(_SWITCH), "--delay-us", str(delay_us), "--mtu", str(mtu)]
    words += ["--rate-mbit", str(rate_mbit), f"{net}.{number}"]
    words += [str(machine.pid) for machine in nodes(network)]
    switch = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        if switch.stdout is None or switch.stdout.readline() != "ready\n":
            raise RuntimeError("the switch did not start")
        yield "sim0"
    finally:
        switch.kill()
        switch.communicate()


def nodes(network: Network) -> list[Machine]:
    """Return the hosts that ranks run on."""
    return [machine for machine in network.machines if machine.name != _HEAD]


def _run(command: str | Sequence[str], text: str = "") -> str:
    """Run a command; return what it prints, fail with what it says."""
    words = command.split() if isinstance(command, str) else list(command)
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout
