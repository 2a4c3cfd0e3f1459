"""A search on its way: the candidates are tried in groups of ranks, and the best is trained."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mpi_gd import __version__
from mpi_gd.checkpoint import Checkpoint
from mpi_gd.comm import World
from mpi_gd.commands.folder import RunFolder
from mpi_gd.commands.inference import check_inference
from mpi_gd.commands.jobs import resolved
from mpi_gd.commands.kept import Kept
from mpi_gd.commands.ledger import Ledger
from mpi_gd.commands.results import finish
from mpi_gd.commands.saving import find_saved
from mpi_gd.commands.setup import Reading, Setup, plan, read
from mpi_gd.commands.strengths import Stopped
from mpi_gd.commands.surroundings import stop_requested
from mpi_gd.commands.tables import format_table
from mpi_gd.commands.train import open_account, train_setup
from mpi_gd.commands.train_path import begin_at, check_path, fit_path, remark_on
from mpi_gd.commands.trial import Family, Trials
from mpi_gd.commands.trial_rows import first_values
from mpi_gd.config.tune import PATH_KEY, SearchJob
from mpi_gd.errors import JobError, MpiGdError
from mpi_gd.files import write_atomically
from mpi_gd.model import ModelPath
from mpi_gd.options import TuneOptions
from mpi_gd.selection.candidates import Values, draw, grid, rounds
from mpi_gd.selection.desk import Desk, divide
from mpi_gd.selection.ranking import Result, alike, choose, ranked
from mpi_gd.selection.table import as_csv, as_parquet, lines
from mpi_gd.trainer import Ballot, Ending

__all__ = ["EXIT_STOPPED", "Search", "told"]

EXIT_STOPPED = 75


def told(search: SearchJob, reading: Reading) -> str:
    """Say what is to be done."""
    tune, grid_ = search.tune, reading.data.grid
    judged = {
        "fixed": f"judged by {tune.fraction:.0%} of the rows",
        "time": f"in {tune.folds} splits by time",
    }.get(tune.split, f"in {tune.folds} folds ({tune.split})")
    times = f", {tune.repeats} times" if tune.repeats > 1 else ""
    return (
        f"{grid_.n_samples:,} rows x {grid_.n_features} features, {judged}{times}; "
        f"{', '.join(search.space)} by {tune.search} search"
    )


class _Tending(Ballot):
    """Votes; and rank 0 looks after the desk whenever it does."""

    desk: Desk | None = None

    def cast(self) -> Any:
        """Return the votes."""
        if self.desk:
            self.desk.tend()
        return super().cast()


@dataclass(eq=False)
class Search:
    """A search in a run's folder."""

    world: World
    tuned: SearchJob
    base: Path
    reading: Reading
    options: TuneOptions
    kept: Kept
    folder: RunFolder

    def __post_init__(self) -> None:
        """Take up what has been finished before; collective."""
        job = self.tuned.job(first_values(self.tuned))
        self._job, limit = job, job.stop.max_seconds
        self._is_quiet = self.options.progress == "none"
        self._ledger = Ledger(self.world, self.folder.path)
        self.ballot = _Tending(
            self.world.is_root,
            stop_requested(self.world, job.stop.before_time_limit),
            limit and max(1e-9, limit - (time.monotonic() - self.kept.began)),
        )
        self._began, self._seconds = time.monotonic(), 0.0
        self._trials = self._whole = self._trials_on(self.world, self.reading)
        self._groups: dict[int, World] = {}
        self._say(
            f"mpi_gd {__version__} on {_ranks(self.world.size)}: {told(self.tuned, self.reading)}"
        )

    def _say(self, text: str) -> None:
        """Print a line."""
        if self.world.is_root and not self._is_quiet:
            print(text, flush=True)

    def search(self) -> tuple[Result, list[Result]]:
        """Try all candidates; return the chosen one, and all; collective. Raises Stopped."""
        tune = self.tuned.tune
        space: dict[str, Any] = {k: v for k, v in self.tuned.space.items() if v != "path"}
        has_path = len(space) < len(self.tuned.space)
        if tune.search == "grid":
            values = grid(space)
        else:
            values = draw(space, tune.candidates, self._job.seed)
        if tune.search == "halving":
            results = self._halve(_families(values, has_path))
        else:
            results = self._try(_families(values, has_path), 1.0)
        results = ranked(results, tune.metric)
        best = choose(results, tune.metric, tune.choose)
        if best is None:
            raise JobError(
                f"all {len(results)} candidates have failed; the first: {results[0].failed}"
            )
        self._seconds = time.monotonic() - self._began
        self._write(results)
        for line in format_table(lines(results, tune.metric)):
            self._say(line)
        chosen = ", ".join(f"{key} = {value}" for key, value in best.values.items())
        self._say(f"Of {len(results)} candidates the {tune.choose} one: {chosen}")
        return best, results

    def _halve(self, families: list[Family]) -> list[Result]:
        """Try all on few rows, then the best on more; return all, each on its most rows."""
        tune = self.tuned.tune
        values = [each for family in families for each in family.candidates()]
        if any(family.has_path for family in families):
            raise JobError(
                'tune.search = "halving" compares candidates one by one: give values or a range '
                f"of {PATH_KEY}, not a path"
            )
        last: dict[str, Result] = {}
        for count, share in rounds(len(values), tune.factor):
            kept = values[:count]
            found = self._try(_families(kept, False), share)
            for result in found:
                last[repr(result.values)] = result
            values = [result.values for result in ranked(found, tune.metric) if not result.failed]
            if not values:
                break
        return list(last.values())

    def _try(self, families: list[Family], share: float) -> list[Result]:
        """Try families on a share of the rows, in groups of ranks; collective. Raises Stopped."""
        by_moments = all(self._whole.has_moments(family.values) for family in families)
        group = self.world if by_moments else self._group(len(families))
        desk = Desk(self.world, group, len(families), self._ledger.keep)
        self.ballot.desk = desk
        failure: MpiGdError | None = None
        trials, stopped = self._whole, False
        try:
            # A group that cannot read the rows must not leave the others waiting.
            trials = self._trials_of(group)
            trials.use(share)
            while (number := desk.take()) is not None:
                for records in trials.run(families[number]):
                    self._ledger.note(records)
                    desk.give(records)
                    if self._ledger.failure:
                        desk.end()
        except Stopped:
            stopped = True
        except MpiGdError as error:
            failure = error
        if stopped or failure:
            desk.end()
        desk.close()
        self.ballot.desk = None
        with self.world.phase("trying the candidates"):
            if failure:
                raise failure
        self._ledger.share()
        votes = self.ballot.cast().copy()
        votes[0] += stopped
        self.world.allreduce_sum(votes)
        if votes[0]:
            raise Stopped
        return self._results(trials, families)

    def _group(self, n_units: int) -> World:
        """Return this rank's group; collective."""
        data = self.reading.data
        n_bytes = data.grid.n_samples * data.grid.n_features * data.source.dtype.itemsize
        if data.grid.n_stored:
            n_bytes = 12 * data.grid.n_stored
        n = divide(self.world, n_bytes, n_units, self.tuned.tune.groups)
        if n == 1:
            return self.world
        if n not in self._groups:
            self._groups[n] = self.world.split(self.world.rank * n // self.world.size)
            self._say(f"{n} groups of ranks work on {n_units} units side by side.")
        return self._groups[n]

    def _trials_of(self, group: World) -> Trials:
        """Return what tries candidates on a group, whose rows are read once; collective."""
        if group is self.world:
            return self._whole
        if self._trials.group is not group:
            reading = read(group, self._job, self.base, self.reading.data)
            self._trials = self._trials_on(group, reading)
        return self._trials

    def _trials_on(self, group: World, reading: Reading) -> Trials:
        """Return what tries candidates on rows that have been read."""
        return Trials(group, self.tuned, self.base, reading, self.ballot, self._ledger.get)

    def _results(self, trials: Trials, families: Sequence[Family]) -> list[Result]:
        """Return the results of families that have been tried."""
        found: list[Result] = []
        for family in families:
            for values in trials.candidates(family):
                record = self._ledger.get(trials.key(values))
                if record is None:
                    raise RuntimeError("a candidate has no record")
                scores = record["scores"].get(self.tuned.tune.metric, [])
                failed, share = record["failed"], record["share"]
                found.append(Result(len(found), values, tuple(scores), failed, share))
        return found

    def _write(self, results: list[Result]) -> None:
        """Write the table; collective."""
        is_csv = self.tuned.tune.results == "csv"
        with self.world.phase("writing the results", by_root=True):
            if self.world.is_root:
                data = as_csv(results) if is_csv else as_parquet(results)
                write_atomically(self.folder.path / f"results.{self.tuned.tune.results}", data)

    def refit(self, best: Result, results: Sequence[Result]) -> int:
        """Train the chosen job on all rows, as `train` does; collective. Return the exit code.

        Raises Stopped, before that training has begun.
        """
        world, kept, folder = self.world, self.kept, self.folder
        job = self.tuned.job(best.values)
        gram, reading = self._whole.gram(best.values), self._whole.reading(job)
        with world.phase("writing the job", by_root=True):
            if world.is_root:
                folder.write_text("job.toml", resolved(job, self.base))
        while True:
            setup = plan(world, job, reading, known=gram)
            kept.data = reading.data
            check_inference(world, setup)
            kept.path = path = kept.path or self._path(best, results, setup)
            setup = begin_at(setup, path) if path else setup
            found = self._saved(setup)
            account = open_account(world, setup, folder, self.options.progress, found, kept)
            if path:
                account.say(remark_on(path, job.stop.tol))
            kept.outcome = train_setup(world, setup, folder, found, account, kept)
            if kept.outcome.ending is Ending.STOPPED:
                return EXIT_STOPPED
            if kept.outcome.ending is not Ending.UNEVEN:
                more = {"tune": self._chosen(best, results)}
                return finish(world, setup, kept.outcome, folder, account, self.base, more, path)
            # The rows are to be divided anew.
            kept.hold()
            reading = read(world, job, self.base, kept.data, shares=kept.shares)

    def _saved(self, setup: Setup) -> Checkpoint | None:
        """Return where the last training is to go on from, None for its start; collective."""
        if self.kept.state:
            return Checkpoint.from_bytes(self.kept.state)
        is_root = self.world.is_root
        has_state = any(self.folder.checkpoints.glob("*.npz")) if is_root else False
        return find_saved(self.world, self.folder, setup) if self._agree(has_state) else None

    def _chosen(self, best: Result, results: Sequence[Result]) -> dict[str, Any]:
        """Return what the summary says of the search."""
        chosen = {
            "values": best.values,
            "metric": self.tuned.tune.metric,
            "score": best.mean,
            "standard_error": best.error if best.error == best.error else None,
            "candidates": len(results),
            "seconds": round(self._seconds, 6),
        }
        simplest = choose(results, self.tuned.tune.metric, "1se")
        if simplest:
            chosen["within_one_standard_error"] = simplest.values
        return chosen

    def _path(self, best: Result, results: Sequence[Result], setup: Setup) -> ModelPath | None:
        """Return all strengths' models of all rows, with their scores; collective.

        None where the strength was not sought along a path. It has no early stop, as the folds have
        none: there is a model for each strength that has been judged. Raises Stopped.
        """
        metric = self.tuned.tune.metric
        like = alike(results, best)
        if self.tuned.space.get(PATH_KEY) != "path" or not setup.job.loss.is_smooth:
            return None
        alphas = np.array([result.values[PATH_KEY] for result in like])
        check_path(setup)
        path = fit_path(self.world, setup, self.ballot, alphas)
        least, simplest = choose(like, metric, "best"), choose(like, metric, "1se")
        errors = np.array([result.error for result in like])
        has_errors = bool(np.isfinite(errors).all())
        return dataclasses.replace(
            path,
            chosen=like.index(best),
            score=np.array([result.mean for result in like]),
            error=errors if has_errors else None,
            metric=f"cross-validated {metric}",
            alpha_min=float(least.values[PATH_KEY]) if least else None,
            alpha_1se=float(simplest.values[PATH_KEY]) if simplest and has_errors else None,
        )

    def _agree(self, mine: bool) -> bool:
        """Return what the root says; collective."""
        return bool(json.loads(self.world.bcast_text(json.dumps(mine))))


def _families(values: list[Values], has_path: bool) -> list[Family]:
    """Put candidates together that differ in the penalty's strength alone, in their order."""
    if has_path:
        return [Family(each, None, has_path=True) for each in values]
    found: dict[str, Family] = {}
    for each in values:
        if PATH_KEY not in each:
            found[repr(each)] = Family(each, None)
            continue
        others = {key: value for key, value in each.items() if key != PATH_KEY}
        family = found.setdefault(repr(others), Family(others, ()))
        alphas = (*(family.alphas or ()), float(each[PATH_KEY]))
        found[repr(others)] = dataclasses.replace(family, alphas=alphas)
    return list(found.values())


def _ranks(size: int) -> str:
    """Return a number of ranks."""
    return "1 rank" if size == 1 else f"{size} ranks"
