"""Programs across virtual hosts, over a switch with delay and bandwidth, with any of the MPIs."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.machines.across import start
from tests.machines.network import Machine, Network

__all__ = ["mpirun_on", "nodes", "switched"]

_REPOSITORY = Path(__file__).parents[2]
_SWITCH = _REPOSITORY / "tests" / "machines" / "switch.py"
# A packet of the fast switch is long, for each costs it the same.
_FAST_MBIT, _FAST_MTU = 2000.0, 65000


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
        switch.wait()


def mpirun_on(
    network: Network,
    per_host: int,
    device: str,
    args: Sequence[str],
    timeout: float = 300.0,
) -> str:
    """Run this Python with `args` on `per_host` ranks of each host; return what it prints.

    The network has a head. Ranks of different hosts talk through `device` alone. Raises
    RuntimeError if it fails or takes longer than `timeout` seconds.
    """
    hosts = dict.fromkeys((machine.name for machine in nodes(network)), per_host)
    with tempfile.TemporaryDirectory() as name:
        place = {"PYTHONPATH": str(_REPOSITORY), "OPENBLAS_NUM_THREADS": "1"}
        running = start(network, hosts, args, Path(name), device=device, **place)
        try:
            code = running.wait(timeout)
        except AssertionError as error:
            raise RuntimeError(str(error)) from None
        finally:
            running.kill()
        if code:
            raise RuntimeError(f"{' '.join(args)}: {code}\n{running.text}")
        return running.text


def nodes(network: Network) -> list[Machine]:
    """Return the hosts that ranks run on."""
    return [machine for machine in network.machines if machine.name != "head"]
