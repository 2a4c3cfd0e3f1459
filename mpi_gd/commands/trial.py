"""Candidates on trial: each is trained on the folds' training rows and judged by the others."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mpi_gd.comm import World
from mpi_gd.commands.lanes import LOT, Lanes, Points, lanes_take
from mpi_gd.commands.ledger import key_of
from mpi_gd.commands.load import Loaded
from mpi_gd.commands.score import score
from mpi_gd.commands.setup import Reading, Setup, needs_moments_of, plan, read
from mpi_gd.commands.strengths import Stopped
from mpi_gd.commands.train import rules_of
from mpi_gd.commands.trial_rows import (
    find_strengths,
    first_values,
    make_plans,
    rows_key,
    rows_of,
    search_key,
)
from mpi_gd.config import Job
from mpi_gd.config.tune import PATH_KEY, SearchJob
from mpi_gd.errors import DataError, Diverged, JobError
from mpi_gd.model import Model
from mpi_gd.objective import Gram, joined, require_finite
from mpi_gd.selection.candidates import Values
from mpi_gd.selection.folds import Plan
from mpi_gd.selection.squares import (
    SQUARES_METRICS,
    SquaresFamily,
    find_folds,
    strengths,
    takes,
    validate,
)
from mpi_gd.solvers import Auto
from mpi_gd.trainer import Ballot, Course, Ending, train

__all__ = ["Family", "Stopped", "Trials"]

# Points of more numbers than that are not kept for the next strength to begin at.
_MOST_KEPT = 20_000


@dataclass(frozen=True)
class Family:
    """Candidates that differ in the penalty's strength alone, or one candidate."""

    values: Values
    """All but the strength."""
    alphas: tuple[float, ...] | None
    """The strengths; None where there is none to choose, or the path is still to be found."""
    has_path: bool = False

    def candidates(self) -> list[Values]:
        """Return the candidates, whose strengths are known."""
        if self.alphas is None:
            return [self.values]
        return [{**self.values, PATH_KEY: alpha} for alpha in self.alphas]


class Trials:
    """Tries families on a group of ranks, whose rows are read once."""

    def __init__(
        self,
        group: World,
        search: SearchJob,
        base: Path,
        reading: Reading,
        ballot: Ballot,
        known: Callable[[str], Mapping[str, Any] | None],
    ) -> None:
        """Take the rows that have been read; `known` returns the record of a key, if there is."""
        self.group, self._search, self._base = group, search, base
        self._ballot, self._known = ballot, known
        self._first = search.job(first_values(search))
        self._readings = {rows_key(self._first): reading}
        self._shared = search_key(search, self._first, reading.data.fingerprint)
        self._share = 1.0
        self._plans: dict[str, list[Plan]] = {}
        self._grams: dict[str, list[list[Gram]]] = {}

    @property
    def data(self) -> Loaded:
        """Return the rows."""
        return self._readings[rows_key(self._first)].data

    def use(self, share: float) -> None:
        """Train on a share of the rows from now on."""
        if share != self._share:
            self._share = share
            self._plans.clear()
            self._grams.clear()

    def gram(self, values: Values) -> Gram | None:
        """Return the second moments of all rows that are trained on; collective.

        None where they do not say all that is asked of a candidate.
        """
        self.use(1.0)
        job = self._search.job(values)
        return joined(self._folds(job)[0]) if self.has_moments(values) else None

    def key(self, values: Values) -> str:
        """Return the key of a candidate's record."""
        return self._key(values=values)

    def _key(self, **what: Any) -> str:
        """Return a key of what is tried on these rows in this way."""
        return key_of(search=self._shared, share=self._share, **what)

    def run(self, family: Family) -> Iterator[list[dict[str, Any]]]:
        """Yield the records of a family's candidates as they are finished; collective.

        Those that have been finished before are not run again. Raises Stopped.
        """
        family = self._with_alphas(family)
        left = [values for values in family.candidates() if not self._known(self.key(values))]
        if not left:
            return
        if family.has_path:
            key = self._key(family=family.values)
            if not self._known(key):
                yield [{"key": key, "family": family.values, "alphas": list(family.alphas or ())}]
        if self.has_moments(family.values):
            yield self._squares(left)
        elif self._has_lanes(family.values):
            yield from self._by_lanes(family.candidates())
        else:
            yield from self._by_training(family.candidates())

    def candidates(self, family: Family) -> list[Values]:
        """Return the candidates of a family that has been run."""
        if family.has_path:
            record = self._known(self._key(family=family.values))
            alphas = tuple(record["alphas"]) if record else ()
            family = dataclasses.replace(family, alphas=alphas)
        return family.candidates()

    def _record(
        self, values: Values, scores: dict[str, list[float]], failed: str, seconds: float
    ) -> dict[str, Any]:
        """Return what is kept of a candidate."""
        return {
            "key": self.key(values),
            "values": values,
            "scores": scores,
            "failed": failed,
            "share": self._share,
            "seconds": round(seconds, 6),
        }

    def _with_alphas(self, family: Family) -> Family:
        """Return the family with the strengths of its path; collective."""
        if not family.has_path:
            return family
        record = self._known(self._key(family=family.values))
        if record:
            return dataclasses.replace(family, alphas=tuple(record["alphas"]))
        tune, job = self._search.tune, self._search.job(family.values)
        if self.has_moments(family.values):
            grams = self._folds(job)[0]
            alphas = strengths(joined(grams), self._squares_family(job), tune.n_alphas, tune.eps)
        else:
            setup = plan(self.group, job, self.reading(job))
            alphas = find_strengths(self.group, setup, tune.n_alphas, tune.eps)
        if not alphas[0] > 0:
            raise JobError(
                "no coefficient is penalized, or none would differ from 0: there is no path; give "
                f"values of {PATH_KEY} in [space]"
            )
        return dataclasses.replace(family, alphas=tuple(alphas.tolist()))

    def reading(self, job: Job) -> Reading:
        """Return the rows as a job reads them; collective. They are kept."""
        key = rows_key(job)
        if key not in self._readings:
            self._readings[key] = read(self.group, job, self._base, self.data)
        return self._readings[key]

    def _plans_of(self, job: Job) -> list[Plan]:
        """Return the divisions of a job's rows; collective."""
        key = rows_key(job)
        if key not in self._plans:
            self._plans[key] = make_plans(
                self.group, self.reading(job), self._search.tune, job, self._share
            )
        return self._plans[key]

    def has_moments(self, values: Values) -> bool:
        """Whether second moments say all that is asked of a candidate; collective."""
        job = self._search.job(values)
        reading = self.reading(job)
        return (
            self._search.tune.metric in SQUARES_METRICS
            and job.precondition
            and isinstance(job.solver, Auto)
            and takes(job.penalty)
            and needs_moments_of(job, reading.data.columns)
        )

    def _squares_family(self, job: Job) -> SquaresFamily:
        """Return what least squares needs to know of a job."""
        return SquaresFamily(
            job.penalty, self.data.source.columns, job.data.standardize, job.intercept
        )

    def _folds(self, job: Job) -> list[list[Gram]]:
        """Return the second moments of each part of each division; collective. They are kept."""
        key = rows_key(job)
        if key not in self._grams:
            reading = self.reading(job)
            rows = rows_of(self.group, job, reading)
            plans = self._plans_of(job)
            self._grams[key] = [find_folds(self.group, rows, p, job.reduction) for p in plans]
            first = joined(self._grams[key][0])
            if not (np.isfinite(first.second).all() and np.isfinite(first.cross).all()):
                with self.group.phase("looking for what is not a finite number"):
                    require_finite(rows, reading.data.columns, reading.data.source.locate)
                raise DataError("the columns' squares are too large to add; divide the columns")
        return self._grams[key]

    def _squares(self, candidates: list[Values]) -> list[dict[str, Any]]:
        """Return the records of least squares' candidates, all at once; collective."""
        began, tune = time.monotonic(), self._search.tune
        self._vote()
        job = self._search.job(candidates[0])
        grams, plans = self._folds(job), self._plans_of(job)
        alphas = np.array(
            [getattr(self._search.job(values).penalty, "alpha", 0.0) for values in candidates]
        )
        family = [(self._squares_family(job), alphas)]
        found = np.concatenate(
            [
                validate(self.group, parts, each, family)[0]
                for parts, each in zip(grams, plans, strict=True)
            ],
            axis=1,
        )
        seconds = (time.monotonic() - began) / len(candidates)
        records = []
        for values, scores in zip(candidates, found, strict=True):
            named = {name: scores[:, k].tolist() for k, name in enumerate(SQUARES_METRICS)}
            named = {name: each for name, each in named.items() if np.isfinite(each).all()}
            failed = "" if tune.metric in named else f"{tune.metric} has no value on all parts"
            records.append(self._record(values, named, failed, seconds))
        return records

    def _vote(self) -> None:
        """Stop, on all ranks alike, if one wants to; collective."""
        votes = self._ballot.cast().copy()
        self.group.allreduce_sum(votes)
        if votes[0]:
            raise Stopped

    def _by_training(self, candidates: list[Values]) -> Iterator[list[dict[str, Any]]]:
        """Yield a record for each candidate, trained fold by fold; collective.

        From the strongest penalty on: each begins at the coefficients of the last one, which are
        kept for that, so that who goes on here begins where this would have.
        """
        if len(candidates) > 1:
            candidates = sorted(candidates, key=lambda values: -float(values[PATH_KEY]))
        points: Points = []
        for values in candidates:
            record = self._known(self.key(values))
            if record is None:
                record = self._tried(values, points, is_one=len(candidates) == 1)
                yield [record]
            points = record.get("points", [])

    def _has_lanes(self, values: Values) -> bool:
        """Whether the fits of all splits can share their reads of the rows; collective."""
        job = self._search.job(values)
        return lanes_take(job, self.reading(job))

    def _by_lanes(self, candidates: list[Values]) -> Iterator[list[dict[str, Any]]]:
        """Yield the records of some strengths at a time, from the strongest on; collective.

        Each lot begins at the coefficients of the last one, which are kept, and with nothing else:
        who goes on here comes to the same bits.
        """
        candidates = sorted(candidates, key=lambda each: -float(each.get(PATH_KEY, 0.0)))
        job = self._search.job(candidates[0])
        reading = self.reading(job)
        lanes = Lanes(self.group, job, reading, self._plans_of(job), self._vote)
        points: Points = []
        for first in range(0, len(candidates), LOT):
            lot = candidates[first : first + LOT]
            records = [self._known(self.key(values)) for values in lot]
            if not all(records):
                made = self._lot(lanes, lot, points)
                new = [each for each, old in zip(made, records, strict=True) if not old]
                yield new
                records = [old or each for each, old in zip(made, records, strict=True)]
            points = (records[-1] or {}).get("points", [])

    def _lot(self, lanes: Lanes, lot: list[Values], points: Points) -> list[dict[str, Any]]:
        """Return the records of some strengths; collective."""
        began, metric = time.monotonic(), self._search.tune.metric
        jobs = [self._search.job(values) for values in lot]
        alphas = [float(getattr(job.penalty, "alpha", 0.0)) for job in jobs]
        found, after = lanes.run(alphas, points, metric)
        seconds = (time.monotonic() - began) / len(lot)
        records = []
        for place, values in enumerate(lot):
            scores = {name: each[place] for name, each in found.items()}
            scores = {name: each for name, each in scores.items() if np.isfinite(each).all()}
            failed = "" if metric in scores else f"{metric} has no value on all parts"
            record = self._record(values, scores, failed, seconds)
            records.append({**record, "points": after} if place == len(lot) - 1 else record)
        return records

    def _tried(self, values: Values, points: Points, is_one: bool) -> dict[str, Any]:
        """Return the record of a candidate that begins at these points; collective."""
        began = time.monotonic()
        metric = self._search.tune.metric
        try:
            found, after = self._trained(self._search.job(values), points)
        except (Diverged, JobError, DataError) as error:
            return self._record(values, {}, str(error), time.monotonic() - began)
        names = [name for name in found[0] if all(name in each for each in found)]
        scores = {name: [each[name] for each in found] for name in names}
        failed = "" if metric in scores else f"{metric} has no value on all parts"
        record = self._record(values, scores, failed, time.monotonic() - began)
        return record if is_one else {**record, "points": after}

    def _trained(self, job: Job, points: Points) -> tuple[list[dict[str, float]], Points]:
        """Return the scores of each split, and the coefficients; collective."""
        reading, number = self.reading(job), 0
        found: list[dict[str, float]] = []
        after: Points = []
        for each in self._plans_of(job):
            for split in each.splits:
                fold = reading.only(self.group, each.trained(split))
                setup = plan(self.group, job, fold)
                point = points[number] if number < len(points) else None
                model = self._fit(setup, point)
                scores = score(self.group, model, reading.data, reading.y, each.tested(split))
                numbers = {n: float(v) for n, v in scores.items() if not isinstance(v, list)}
                if "mean_loss" in numbers:
                    numbers["loss"] = numbers["mean_loss"]
                found.append(numbers)
                is_kept = model.coef.ndim == 1 and model.coef.size <= _MOST_KEPT
                after.append([*model.coef.tolist(), float(model.intercept)] if is_kept else None)
                number += 1
        return found, after

    def _fit(self, setup: Setup, point: list[float] | None) -> Model:
        """Train on a fold, from a point if there is one; collective."""
        job = setup.job
        start = setup.start
        if point is not None:
            there = setup.scaling.to_solver(np.array(point[:-1]), point[-1])
            start = np.where(setup.free, there, 0.0)
        outcome = train(
            setup.objective,
            setup.solver,
            Course(setup.solver.start(setup.objective.problem, start)),
            tol=max(job.stop.tol, setup.objective.rounding),
            max_iter=job.stop.max_iter,
            ballot=self._ballot,
            on_step=lambda record: None,
            on_save=lambda: None,
            rules=rules_of(setup, setup.certifier(self.group) if job.stop.gap_tol else None),
        )
        if outcome.ending is Ending.STOPPED:
            raise Stopped
        if outcome.step is None:
            raise RuntimeError("the training ended without an iterate")
        coef, intercept = setup.scaling.to_original(outcome.step.u)
        return Model(coef, intercept, job.loss, setup.data.source.columns, classes=setup.classes)
