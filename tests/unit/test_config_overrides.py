"""--set changes a job as an edit of its file would, and mistakes name the argument."""

from __future__ import annotations

import pytest

from mpi_gd.config import change_data, parse_job
from mpi_gd.data.spec import DataSpec
from mpi_gd.errors import JobError
from mpi_gd.solvers import GradientDescent, Lbfgs, Nesterov, Sgd

_JOB = """\
[data]
path = "a.csv"
[loss]
kind = "logistic"
[solver]
kind = "sgd"
momentum = 0.5
step = 0.25
"""


def _message(*overrides: str, text: str = _JOB) -> str:
    with pytest.raises(JobError) as caught:
        parse_job(text, overrides=overrides)
    return str(caught.value)


def test_values() -> None:
    job = parse_job(
        _JOB,
        overrides=[
            "solver.step=0.1",
            "solver.averaging = false",
            "name=foo",
            "data.path=/x/y=z.csv",
            'data.delimiter="\\t"',
            "data.target=-1",
            "stop.max_iter=1_000",
            "checkpoint.every_seconds=5",
        ],
    )
    assert job.solver == Sgd(momentum=0.5, step=0.1, averaging=False)
    assert (job.name, job.stop.max_iter, job.checkpoint.every_seconds) == ("foo", 1000, 5.0)
    assert job.data == DataSpec(path="/x/y=z.csv", delimiter="\t", target=-1)


def test_text_that_looks_like_another_type_needs_no_quotes() -> None:
    for text in ("2024", "1e3", "true", "2024-01-01", "inf"):
        assert parse_job(_JOB, overrides=[f"name={text}"]).name == text
    assert parse_job(_JOB, overrides=['data.target="3"']).data.target == "3"
    assert parse_job(_JOB, overrides=["data.delimiter=;"]).data.delimiter == ";"


def test_the_last_one_stands_and_the_file_need_not_be_right() -> None:
    wrong = _JOB.replace("0.25", '"a quarter"')
    assert parse_job(wrong, overrides=["solver.step=1", "solver.step=2"]).solver == Sgd(
        momentum=0.5, step=2.0
    )


def test_another_kind_keeps_the_keys_that_it_has() -> None:
    assert parse_job(_JOB, overrides=["solver.kind=gd"]).solver == GradientDescent(step=0.25)
    assert parse_job(_JOB, overrides=['solver.kind="lbfgs"']).solver == Lbfgs()
    assert parse_job(_JOB, overrides=["solver.restart=false", "solver.kind=nesterov"]).solver == (
        Nesterov(step=0.25, restart=False)
    )
    no_kind = _JOB.replace(
        'kind = "sgd"\nmomentum = 0.5\nstep = 0.25', 'kind = "lbfgs"\nmemory_length = 3'
    )
    assert parse_job(no_kind, overrides=["solver.kind=gd"]).solver == GradientDescent()


def test_another_kind_hides_no_mistake() -> None:
    assert _message("solver.kind=gd", text=_JOB + "foo = 1\n").startswith(
        "job.toml:9: unknown key 'foo' in [solver] (kind 'gd')"
    )
    for overrides in (
        ["solver.kind=gd", "solver.momentum=0.1"],
        ["solver.momentum=0.1", "solver.kind=gd"],
    ):
        assert _message(*overrides).startswith("--set solver.momentum=0.1: unknown key 'momentum'")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("solver.step", "expected KEY=VALUE"),
        ("=1", "expected KEY=VALUE"),
        ("a.b.c=1", "expected KEY=VALUE"),
        ("", "expected KEY=VALUE"),
        ("solver.stepp=1", "unknown key 'stepp' in [solver] (kind 'sgd'); did you mean 'step'?"),
        ("solver.kind=gdd", "solver.kind: got 'gdd' (text), expected "),
        ("solvr.step=1", "unknown table 'solvr' at the top level; did you mean 'solver'?"),
        ("step=1", "unknown key 'step' at the top level; it belongs in [solver]"),
        ("solver=gd", "solver is a table: set a key of it, as in --set solver.KEY=VALUE"),
        ("solver.step=ten", "solver.step: got 'ten' (text), expected a number"),
        ("solver.step=nan", "solver.step: got nan, expected a finite number"),
        ("solver.step=-1", "solver.step must be "),
        ("solver.step=1\nseed=2", "solver.step: got "),
        ("data.path=", "data.path is missing; "),
        ("data.path=\udcff", "data.path: got '\\udcff' (text), expected text in UTF-8"),
        ("seed=" + "[" * 9999, "seed: got "),
    ],
)
def test_mistakes(override: str, expected: str) -> None:
    # On one line, whatever was given.
    shown = override.replace("\n", "\\n").replace("\udcff", "\\udcff")
    assert _message(override).startswith(f"--set {shown}: {expected}")


def test_a_table_that_is_none_in_the_file() -> None:
    text = "solver = 3\n[loss]\nkind = 'squared'\n"
    assert _message("solver.step=1", text=text).startswith("job.toml:1: solver: got 3")


def test_data_alone() -> None:
    spec = DataSpec(path="a.csv", header="yes", test_fraction=0.25)
    assert change_data(spec, []) == spec
    changed = DataSpec(path="a.csv", header="no", test_fraction=0.25, target=3)
    assert change_data(spec, ["header=no", "data.target=3"]) == changed
    for override, expected in [
        ("heador=no", "unknown key 'heador' in [data]; did you mean 'header'?"),
        ("solver.step=1", "unknown table 'solver' at the top level"),
        ("test=b.csv", "data.test is 'b.csv' and test_fraction is 0.25"),
    ]:
        with pytest.raises(JobError) as caught:
            change_data(spec, [override])
        assert str(caught.value).startswith(f"--set {override}: {expected}")
