"""Which hosts of a run that has crashed are gone: what MPI says of it may name none."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

__all__ = ["silent_hosts"]

_PORT = 22
_SECONDS = 2.0
_MOST_AT_ONCE = 32


def silent_hosts(hosts: Sequence[str]) -> list[str]:
    """Return those hosts that do not answer; one that refuses to talk is there."""
    if not hosts:
        return []
    with ThreadPoolExecutor(min(len(hosts), _MOST_AT_ONCE)) as pool:
        answers = list(pool.map(_answers, hosts))
    return [host for host, answer in zip(hosts, answers, strict=True) if not answer]


def _answers(host: str) -> bool:
    """Whether a host answers, or is none that is known here by this name."""
    try:
        socket.create_connection((host, _PORT), _SECONDS).close()
    except (ConnectionError, socket.gaierror, UnicodeError):
        return True
    except OSError:
        return False
    return True
