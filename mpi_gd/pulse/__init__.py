"""Pulses: every rank tells every second that it lives and what it does, beside MPI.

A rank that hangs makes all others wait, and MPI does not say for whom. So a thread of each rank
sends a small datagram every second, and the root says which rank has fallen silent and what it
was doing; the first rank of each other host watches the root. A rank that stays silent while the
others wait for it is lost, as with a host that has no power: MPI may not notice for hours, so the
program is ended. Nothing else depends on it: where datagrams do not get through, nothing is said.
"""

from mpi_gd.pulse.activity import doing, done, waiting
from mpi_gd.pulse.beat import start, stop

__all__ = ["doing", "done", "start", "stop", "waiting"]
