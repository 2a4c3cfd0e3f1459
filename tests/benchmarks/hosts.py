"""Programs across virtual hosts, with any of the MPIs."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.machines.across import start
from tests.machines.network import Network, nodes

__all__ = ["mpirun_on"]

_REPOSITORY = Path(__file__).parents[2]


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
