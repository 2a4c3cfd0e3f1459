"""A switch with delay and bandwidth, for kernels that cannot emulate them.

    python switch.py --delay-us 250 --rate-mbit 1000 10.78.1 PID PID ...

gives each network namespace, named by a process in it, a device sim0 with the address NET.1, NET.2
and so on; a packet is held for the delay, one way, and takes its time on the sender's way up and
on the receiver's way down. It prints "ready", and runs until it is killed; the devices go with it.
It takes a third of a core at 1 Gbit/s.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import heapq
import os
import select
import struct
import subprocess
import time

_PR_SET_TIMERSLACK = 29
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_BURST = 16
_EARLY = 5e-6


def main() -> None:
    """Carry packets for ever."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay-us", type=float, default=250.0)
    parser.add_argument("--rate-mbit", type=float, default=1000.0)
    parser.add_argument("--mtu", type=int, default=9000)
    parser.add_argument("net")
    parser.add_argument("pids", nargs="+")
    given = parser.parse_args()
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    ports = {
        number: _plug(number, pid, given.net, given.mtu)
        for number, pid in enumerate(given.pids, start=1)
    }
    print("ready", flush=True)
    _carry(ports, given.delay_us * 1e-6, 8 / (given.rate_mbit * 1e6))


def _plug(number: int, pid: str, net: str, mtu: int) -> int:
    """Make a device, and move it into the namespace; return its descriptor."""
    port = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    name = f"sw{os.getpid() % 100000}p{number}"
    request = struct.pack("16sH14x", name.encode(), _IFF_TUN | _IFF_NO_PI)
    fcntl.ioctl(port, _TUNSETIFF, request)
    subprocess.run(["ip", "link", "set", name, "netns", pid], check=True)
    inside = f"link set {name} name sim0\nlink set sim0 mtu {mtu} txqueuelen 10000\n"
    inside += f"addr add {net}.{number}/24 dev sim0\nlink set sim0 up\n"
    words = ["nsenter", "--target", pid, "--net", "ip", "-batch", "-"]
    subprocess.run(words, input=inside.encode(), check=True)
    return port


def _carry(ports: dict[int, int], delay: float, seconds_per_byte: float) -> None:
    """Take packets in, hold them, give them out."""
    now = time.monotonic
    up, down = dict.fromkeys(ports, 0.0), dict.fromkeys(ports, 0.0)
    number_of = {port: number for number, port in ports.items()}
    held: list[tuple[float, int, int, bytes]] = []
    serial, listening = 0, list(ports.values())
    while True:
        wait = max(held[0][0] - now(), 0.0) if held else None
        for port in select.select(listening, [], [], wait)[0]:
            for _ in range(_BURST):
                try:
                    packet = os.read(port, 65535)
                except BlockingIOError:
                    break
                # IPv4 alone; the last byte of the receiver's address is its port.
                if packet[0] >> 4 != 4 or packet[19] not in ports:
                    continue
                sender, receiver = number_of[port], packet[19]
                takes = len(packet) * seconds_per_byte
                up[sender] = max(up[sender], now()) + takes
                down[receiver] = max(up[sender] + delay, down[receiver] + takes)
                heapq.heappush(held, (down[receiver], serial, receiver, packet))
                serial += 1
        moment = now()
        while held and held[0][0] <= moment + _EARLY:
            _, _, receiver, packet = heapq.heappop(held)
            with contextlib.suppress(OSError):
                os.write(ports[receiver], packet)


if __name__ == "__main__":
    main()
