"""Faults at random: `python -m tests.faults --count 200 --seed 1`.

Each trial starts a real training under mpirun and kills, stops, signals, fills or flips something
at a random moment. Then the run must have finished by itself, or have ended with its state saved,
from which a resume on another number of ranks finishes it; the model must be, byte for byte, that
of a run which nothing happened to.
"""
