"""Signals: the first is noted, the same one passed on by a launcher is no second, a second ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

PROGRAM = """
import sys, time
from mpi_gd import signals

signals._SAME_SECONDS = float(sys.argv[1])
signals.install()
print("ready", flush=True)
for n_noted in (1, 2):
    while len(signals._received) < n_noted:
        time.sleep(0.01)
    print("noted", signals.stop_requested(), flush=True)
# Where the second one is to end it, it must not end by itself before.
time.sleep(0 if signals._SAME_SECONDS > 0 else 100)
"""


@pytest.fixture(params=["1e9", "-1"])
def started(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], bool]]:
    """Return a program, and whether a second signal is the same request to it."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", PROGRAM, request.param]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process, request.param == "1e9"
        finally:
            process.kill()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_second_signal_of_any_kind(
    second: signal.Signals, started: tuple[subprocess.Popen[str], bool]
) -> None:
    process, is_same = started
    assert process.stdout and process.stderr
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "noted True\n"
    process.send_signal(second)
    assert process.wait(60) == (0 if is_same else -signal.SIGKILL)
    said = "" if is_same else "mpi_gd: a second signal to stop: ending at once\n"
    assert process.stderr.read() == said
