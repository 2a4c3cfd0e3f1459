"""The sweep of a step: what it suggests, and when it has nothing to suggest."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_gd.comm import SerialWorld
from mpi_gd.commands.sweep import run, sparkline
from mpi_gd.errors import JobError
from mpi_gd.options import SweepOptions
from mpi_gd.solvers import AdaGrad, Adam, Answer, LocalSgd, Problem, Question, Sgd, Svrg
from mpi_gd.solvers.sweep import Swept, Tunable, own_step, sweep

D = 8
FAMILY: dict[str, Tunable] = {
    "sgd": Sgd(),
    "sgd plain": Sgd(momentum=0.0),
    "adagrad": AdaGrad(),
    "adam": Adam(),
    "svrg": Svrg(),
    "local-sgd": LocalSgd(),
}


class Parabola:
    """sum_j h_j (u_j - 1)^2 / 2, h from curvature / 10 to `curvature`; counts its questions."""

    def __init__(self, curvature: float = 1.0) -> None:
        self.h = np.linspace(0.1, 1.0, D) * curvature
        self.problem = Problem(D, float(self.h.mean()), float(self.h.sum()), lambda size: 7)
        self.n_batches = 0

    def __call__(self, question: Question) -> Answer:
        u = question.u - 1.0
        self.n_batches += question.batch is not None
        gradient = self.h * u
        if question.control is not None:
            gradient = gradient - self.h * (question.control - 1.0)
        with np.errstate(all="ignore"):
            return Answer(float(0.5 * (self.h * u * u).sum()), gradient, 1.0)


def swept(
    solver: Any, curvature: float = 1.0, factor: float = 1e3, start: float = 0.0
) -> tuple[Swept, float]:
    """Return the sweep of a parabola around the solver's own step, and that step."""
    f, u = Parabola(curvature), np.full(D, start)
    own = own_step(solver, f.problem, u, f)
    return sweep(solver, f.problem, u, f, own / factor, own * factor, 100), own


@pytest.mark.parametrize("way", ["sgd plain", "svrg"])
def test_the_best_step_of_a_parabola_is_near(way: str) -> None:
    # Gradient descent is fastest with 2 / (largest + least curvature), and diverges beyond 2.
    found, _ = swept(FAMILY[way], curvature=5.0)
    assert found.has_diverged
    assert found.suggestion is not None
    best = 2.0 / 5.5
    assert best / 4 < found.suggestion < best * 1.1


@pytest.mark.parametrize("way", FAMILY)
def test_what_is_suggested_leads_down(way: str) -> None:
    solver = FAMILY[way]
    found, _ = swept(solver)
    assert found.suggestion is not None
    f = Parabola()
    if isinstance(solver, LocalSgd):
        solver = Sgd(batch_size=solver.batch_size, momentum=solver.momentum)
    used = dataclasses.replace(solver, step=found.suggestion)
    state, values = used.start(f.problem, np.zeros(D)), list[float]()
    while len(values) < 20:
        step = used.tell(state, f(used.ask(state)))
        if step is not None:
            values.append(step.value)
    assert values[-1] < 1e-3 * values[0]


@settings(max_examples=20, deadline=None)
@given(exponent=st.floats(-8.0, 8.0), way=st.sampled_from(["sgd", "sgd plain", "svrg"]))
def test_a_step_goes_with_the_inverse_of_the_curvature(exponent: float, way: str) -> None:
    reference, scaled = (swept(FAMILY[way], curvature)[0] for curvature in (1.0, 10.0**exponent))
    assert reference.suggestion is not None
    assert scaled.suggestion is not None
    # Two digits are left of each.
    ratio = scaled.suggestion * 10.0**exponent / reference.suggestion
    assert ratio == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("way", ["adagrad", "adam"])
def test_a_step_that_is_a_length_goes_not_with_the_curvature(way: str) -> None:
    reference, scaled = (swept(FAMILY[way], curvature)[0] for curvature in (1.0, 1e6))
    assert scaled.suggestion == pytest.approx(reference.suggestion, rel=0.1)


def test_the_sweep_ends_where_the_loss_explodes() -> None:
    found, own = swept(Sgd())
    assert found.has_diverged
    assert len(found.steps) < 100
    assert found.steps[0] == own / 1e3
    assert np.isfinite(found.losses).all()
    assert max(found.losses[:-1]) < found.losses[-1]
    # A step so long that the first numbers are not finite.
    f = Parabola()
    at_once = sweep(Sgd(), f.problem, np.zeros(D), f, 1e200, 1e300, 100)
    assert at_once.has_diverged
    assert at_once.suggestion is None


def test_a_sweep_that_is_too_short_says_so() -> None:
    f = Parabola()
    found = sweep(Sgd(), f.problem, np.zeros(D), f, 1e-3, 1e-2, 40)
    assert not found.has_diverged
    assert len(found.steps) == 40
    assert found.good is not None
    assert found.good[1] == found.steps[-1] == pytest.approx(1e-2)
    # Two questions a step: the batch, and the look at the loss; one look before.
    assert f.n_batches == 2 * 40 + 1


def test_no_step_is_suggested_at_the_minimum() -> None:
    found, _ = swept(Sgd(), start=1.0)
    assert found.suggestion is None
    assert found.good is None


def test_steps_that_shrink_by_themselves_may_begin_longer() -> None:
    found, _ = swept(AdaGrad())
    assert found.good is not None
    assert found.suggestion == pytest.approx(found.good[1], rel=0.05)
    other, _ = swept(Sgd())
    assert other.good is not None
    assert other.suggestion is not None
    assert other.suggestion < 0.5 * other.good[1]


def test_one_lucky_batch_decides_nothing() -> None:
    losses = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.9, 0.8, 0.9, 0.1, 0.9, 1.0]
    found = Swept(tuple(2.0**k for k in range(12)), tuple(losses), 1.0, has_diverged=False)
    assert found.smoothed[found.least or 0] >= 0.5
    assert found.good is not None
    assert found.good[1] < 2.0**9


def test_bars_stand_for_values() -> None:
    assert sparkline([0.0, 0.5, 1.0, 9.0, -1.0], 0.0, 1.0) == "▁▅██▁"
    assert sparkline([1.0, 1.0], 1.0, 1.0) == "▁▁"


def job(tmp_path: Path, kind: str, scale: float = 1.0) -> str:
    """Write data of noisy labels, and a job; return its path."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3000, 5)) * scale
    y = (x[:, 0] / scale + rng.logistic(size=3000) > 0).astype(float)
    np.savez(tmp_path / "d.npz", X=x, y=y)
    text = f'[data]\npath = "d.npz"\n[loss]\nkind = "logistic"\n[solver]\nkind = "{kind}"\n'
    (tmp_path / "job.toml").write_text(text)
    return str(tmp_path / "job.toml")


def test_the_suggestion_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = SweepOptions(job=job(tmp_path, "sgd"), out=str(tmp_path / "s.json"), steps=60)
    assert run(SerialWorld(), options) == 0
    written = json.loads((tmp_path / "s.json").read_text())
    assert written["has_diverged"]
    assert f"--set solver.step={written['suggestion']:g}\n" in capsys.readouterr().out
    table = dataclasses.replace(options, out=str(tmp_path / "s.csv"))
    assert run(SerialWorld(), table) == 0
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0] == "step,loss,smoothed"
    assert [float(line.split(",")[1]) for line in lines[1:]] == written["losses"]


def test_a_solver_without_such_a_step_is_refused(tmp_path: Path) -> None:
    options = SweepOptions(job=job(tmp_path, "lbfgs"), out=str(tmp_path / "s.json"))
    with pytest.raises(JobError, match="'lbfgs' needs no sweep; expected one of \"sgd\""):
        run(SerialWorld(), options)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"steps": 3}, "--steps must be 10 or more"),
        ({"low": -1.0}, "--low must be a positive number"),
        ({"high": float("nan")}, "--high must be a positive number"),
        ({"low": 2.0, "high": 1.0}, "--low must be below --high"),
        ({"out": "s.txt"}, "--out must end in .csv or .json"),
    ],
)
def test_wrong_arguments_are_refused(given: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SweepOptions(job="job.toml", **given)
