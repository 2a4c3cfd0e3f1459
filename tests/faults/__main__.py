"""Faults at random, counted by kind; exit code 1 if any promise was broken."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.kinds import kinds_here
from tests.faults.program import Failure
from tests.faults.trial import Stage, Trial
from tests.launch import mpi_kind


def main() -> int:
    """Run the trials, and print what became of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many faults (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="what all that is random follows from")
    parser.add_argument("--kind", action="append", help="this kind alone; may come several times")
    options = parser.parse_args()
    # A limit of the time, as tests/run.sh sets one, is to leave no training behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    kinds = {
        name: kind for name, kind in kinds_here().items() if name in (options.kind or kinds_here())
    }
    if not kinds:
        parser.error(f"got {options.kind}, expected of {', '.join(kinds_here())}")
    counts: Counter[tuple[str, str]] = Counter()
    n_broken, began = 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mpi_gd-faults-") as folder:
        stage = Stage(Path(folder))
        for number in range(options.count):
            # All kinds in turn; what is drawn in one trial does not depend on the others.
            name = list(kinds)[number % len(kinds)]
            trial = Trial(stage, number, random.Random(f"{options.seed} {number} {name}"))
            try:
                counts[name, kinds[name](trial)] += 1
            except Failure as failure:
                n_broken += 1
                counts[name, f"BROKEN: {failure}"] += 1
                print(f"trial {number}: {name}: {failure}: {'; '.join(trial.story)}")
                for program in trial.programs:
                    print(f"--- {program.mark}\n{program.text[-3000:]}", flush=True)
            finally:
                trial.end()
    print(f"{options.count} faults under {mpi_kind()} in {time.monotonic() - began:.0f} s")
    for (name, outcome), count in sorted(counts.items()):
        print(f"{name:24} {outcome:12} {count}")
    return 1 if n_broken else 0


if __name__ == "__main__":
    sys.exit(main())
