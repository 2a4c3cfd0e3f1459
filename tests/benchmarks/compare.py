"""Compare our fits with the peers': tune, then run all in turns, several rounds; write a report.

Every contender fits with the loosest setting of its ladder that reaches the gap to the best
objective that any has reached. A fit that takes long is run in one round alone, and marked so.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.objective import alphas_of, gap, objectives
from tests.benchmarks.peers import PEERS
from tests.benchmarks.problems import PROBLEMS, Problem, make, read, shrunk
from tests.benchmarks.report import write_report
from tests.benchmarks.run import Fit, Ours, fit_ours, fit_peer

Floats = NDArray[np.float64]

OURS = "mpi_gd"
_LADDER = tuple({"tol": tol} for tol in (1e-2, 1e-3, 1e-4, 3e-5, 1e-5, 1e-6, 1e-8))
_LIMIT_SECONDS = 120.0
# Whole fits that take longer are measured once: the tuning's last fit is it.
_SLOW_SECONDS = 15.0
_QUICK_SHARE = 20


@dataclass
class Contender:
    """One contender on one problem, and what is known of it so far."""

    name: str
    ladder: tuple[dict[str, float], ...]
    rung: int = 0
    failure: str = ""
    is_slow: bool = False
    values: Floats | None = None
    """The objectives that the setting reaches."""
    fits: list[Fit] = field(default_factory=list)
    did: dict[str, Any] = field(default_factory=dict)

    def keep(self, fit: Fit) -> None:
        """Take a fit's seconds, and forget its coefficients."""
        self.fits.append(Fit("", fit.seconds, fit.whole_seconds, version=fit.version))


class Bench:
    """A problem, its data, and its contenders."""

    def __init__(self, problem: Problem, folder: Path, ours: Ours, names: list[str]) -> None:
        """Make the data, unless they are there."""
        _say(f"{problem.name}: {problem.n_rows:,} x {problem.n_columns:,}")
        self.problem, self.folder, self._ours = problem, folder, ours
        make(problem, folder)
        self.contenders = [Contender(OURS, _LADDER)]
        self.contenders += [Contender(n, PEERS[problem.name][n].ladder) for n in names]
        self._alpha_max = 0.0
        if problem.n_alphas:
            self._alpha_max = float(alphas_of(problem, *read(problem, folder))[0])

    def fit(self, one: Contender, settings: dict[str, float], counts: bool = False) -> Fit:
        """Fit once."""
        if one.name != OURS:
            return fit_peer(self.problem, self.folder, one.name, settings, _LIMIT_SECONDS)
        result, did = fit_ours(
            self.problem,
            self.folder,
            self._ours,
            settings,
            _LIMIT_SECONDS,
            alpha_max=self._alpha_max,
            counts=counts,
        )
        one.did = did if counts or not one.did else one.did
        return result

    def tune(self) -> None:
        """Find the loosest settings that reach the gap."""
        x, y = read(self.problem, self.folder)
        tight = self.fit(self.contenders[0], self.contenders[0].ladder[-1])
        self._best: Floats | None = None
        if not tight.failure:
            self._best = self._values(x, y, tight)
        for one in self.contenders:
            self._climb(one, x, y)

    def _climb(self, one: Contender, x: Any, y: Floats) -> None:
        """Go up the ladder until the gap is reached."""
        for rung, settings in enumerate(one.ladder):
            one.rung = rung
            found = self.fit(one, settings, counts=True)
            if found.failure:
                one.failure = found.failure
                _say(f"  {one.name} {settings}: {found.failure}")
                return
            one.values = self._values(x, y, found)
            best = one.values if self._best is None else np.minimum(self._best, one.values)
            self._best = best
            here = gap(one.values, best)
            _say(f"  {one.name} {settings}: gap {here:.1e}, {found.seconds:.2f} s")
            if here <= self.problem.gap:
                one.is_slow = found.whole_seconds > _SLOW_SECONDS
                if one.is_slow:
                    one.keep(found)
                return
        one.failure = f"gap {here:.1e} at the tightest setting"

    def _values(self, x: Any, y: Floats, fit: Fit) -> Floats:
        """Return the objectives of a fit's coefficients."""
        if fit.coef is None:
            raise RuntimeError("a fit without coefficients")
        return objectives(self.problem, x, y, fit.coef, fit.intercept)

    def round(self) -> None:
        """Fit once with each that is not slow."""
        for one in self.contenders:
            if one.failure or one.is_slow:
                continue
            found = self.fit(one, one.ladder[one.rung])
            if found.failure:
                one.failure = found.failure
            else:
                one.keep(found)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row of the report for each contender."""
        return [self._row(one) for one in self.contenders]

    def _row(self, one: Contender) -> dict[str, Any]:
        """Return a contender's row."""
        here = None
        if one.values is not None and self._best is not None:
            here = gap(one.values, self._best)
            if not one.failure and here > self.problem.gap:
                one.failure = f"gap {here:.1e} to a best that was found later"
        keys = "solver", "passes", "sums", "questions", "calls", "setup_seconds", "solve_seconds"
        return {
            "problem": self.problem.name,
            "contender": one.name,
            "settings": one.ladder[one.rung],
            "gap": here,
            "wanted_gap": self.problem.gap,
            "seconds": [fit.seconds for fit in one.fits],
            "whole_seconds": [fit.whole_seconds for fit in one.fits],
            "version": one.fits[0].version if one.fits else "",
            "failure": one.failure,
            **{key: one.did[key] for key in keys if key in one.did},
        }


def main() -> int:
    """Compare as the arguments say."""
    given = _arguments()
    solvers = dict(pair.split("=", 1) for pair in given.solver)
    missing = _not_installed(given.failed)
    share = _QUICK_SHARE if given.quick else 1
    benches, absent = [], []
    for name in given.problems.split(","):
        problem = shrunk(PROBLEMS[name], share)
        names = []
        for peer, entry in PEERS[name].items():
            if given.peers and entry.package not in given.peers.split(","):
                continue
            if entry.package in missing:
                absent.append({"problem": name, "contender": peer, "failure": "not installed"})
            else:
                names.append(peer)
        ours = Ours(Path(given.ours), solvers.get(name, "auto"))
        folder = given.out / "data" / (f"{name}-quick" if given.quick else name)
        benches.append(Bench(problem, folder.resolve(), ours, names))
        benches[-1].tune()
    for number in range(1 if given.quick else given.rounds):
        _say(f"round {number + 1}")
        for bench in benches:
            bench.round()
    rows = [row for bench in benches for row in bench.rows()] + absent
    problems = [bench.problem for bench in benches]
    print(write_report(given.out, problems, rows, missing))
    return 0


def _not_installed(file: Path | None) -> dict[str, str]:
    """Return the packages that are not there, and why."""
    missing = {}
    if file is not None and file.exists():
        missing = dict(line.split(": ", 1) for line in file.read_text().splitlines())
    if shutil.which("java") is None:
        missing.setdefault("pyspark", "there is no Java")
    return missing


def _arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bash tests/benchmarks/compare.sh", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--problems", default=",".join(PROBLEMS), help="names, by commas")
    parser.add_argument("--peers", default="", help="packages, by commas (default: all)")
    parser.add_argument(
        "--solver",
        action="append",
        default=[],
        metavar="PROBLEM=KIND",
        help="our solver for a problem (default: auto); may come several times",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/compare"))
    parser.add_argument("--quick", action="store_true", help="1/20 of the rows, one round")
    parser.add_argument("--ours", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--failed", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    unknown = set(given.problems.split(",")) - set(PROBLEMS)
    if unknown:
        parser.error(f"--problems: got {min(unknown)}, expected some of {', '.join(PROBLEMS)}")
    return given


def _say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
