"""A job file is read strictly: each mistake is named with its line and what to do."""

from __future__ import annotations

import pytest

from mpi_gd.config import CheckpointSpec, Job, StopSpec, parse_job
from mpi_gd.data.spec import DataSpec
from mpi_gd.errors import JobError
from mpi_gd.losses import LOSSES, Logistic
from mpi_gd.penalties import L2, NoPenalty
from mpi_gd.solvers import SOLVERS, Auto, GradientDescent

_MINIMAL = """\
[data]
path = "a.csv"
[loss]
kind = "logistic"
"""


def _message(text: str) -> str:
    with pytest.raises(JobError) as caught:
        parse_job(text)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_minimal_job_has_the_defaults() -> None:
    assert parse_job(_MINIMAL) == Job(
        name="train",
        seed=0,
        reduction="exact",
        precondition=True,
        data=DataSpec(path="a.csv"),
        loss=Logistic(),
        penalty=NoPenalty(),
        solver=Auto(),
        stop=StopSpec(),
        checkpoint=CheckpointSpec(),
    )


def test_every_table_is_read() -> None:
    job = parse_job(
        """\
name = "flights-2"
seed = 7
reduction = "fast"
[data]
path = "train.npy"
target = "y.npy"
[loss]
kind = "logistic"
[penalty]
kind = "l2"
alpha = 1
[solver]
kind = "gd"
step = 0.5
rule = "backtracking"
[stop]
max_iter = 0
[checkpoint]
every_seconds = 2.5
"""
    )
    assert (job.name, job.seed, job.reduction) == ("flights-2", 7, "fast")
    assert job.data == DataSpec(path="train.npy", target="y.npy")
    assert job.penalty == L2(1.0)
    assert isinstance(job.penalty, L2)
    assert type(job.penalty.alpha) is float
    assert job.solver == GradientDescent(step=0.5, rule="backtracking")
    assert job.stop == StopSpec(max_iter=0)
    assert job.checkpoint == CheckpointSpec(every_seconds=2.5)


def test_other_ways_to_write_the_same() -> None:
    job = parse_job(_MINIMAL + "[stop]\nmax_iter = 3\n")
    assert job == parse_job(
        '\ufeffdata.path = "a.csv"\r\nloss = {kind = "logistic"}\r\nstop.max_iter=3'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("solver.kind = 'gd'\nsolver.stepp = 1\n", "job.toml:2: unknown key 'stepp' in [solver] "
         "(kind 'gd'); did you mean 'step'?"),
        ("[stopp]\nmax_iter = 1\n", "job.toml:1: unknown table 'stopp' at the top level; did you "
         "mean 'stop'?"),
        ("max_iter = 1\n", "job.toml:1: unknown key 'max_iter' at the top level; it belongs in "
         "[stop]"),
        ("[penalty]\nalpha = 1\n", "job.toml:2: unknown key 'alpha' in [penalty] (kind 'none'); "
         "it belongs in [penalty] (kind 'l2' or 'l1' or 'elastic-net' or 'group-lasso' or 'mcp' "
         "or 'scad')"),
        ("[solver]\nkind = 'lbgfs'\n", "job.toml:2: solver.kind: got 'lbgfs' (text), expected "
         '"auto", "gram", '),
        ("[solver]\nkind = 3\n", "job.toml:2: solver.kind: got 3 (an integer), expected "),
        ("solver = 'gd'\n", "job.toml:1: solver: got 'gd' (text), expected a table [solver]"),
        ("[[solver]]\n", "job.toml:1: solver: got a list, expected a table [solver]"),
    ],
)  # fmt: skip
def test_unknown_names(text: str, expected: str) -> None:
    place, _, rest = expected.partition(": ")
    assert _message(text + _MINIMAL).startswith(f"{place}: {rest}")


def test_nearest_spelling_of_a_kind() -> None:
    for kind in SOLVERS:
        text = f'{_MINIMAL}[solver]\nkind = "{kind}x"\n'
        assert _message(text).endswith(f'did you mean "{kind}"?')


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("max_iter = 'ten'", "got 'ten' (text), expected an integer"),
        ("max_iter = '10'", "got '10' (text), expected an integer; remove the quotes"),
        ("max_iter = 1.5", "got 1.5 (a number), expected an integer"),
        ("max_iter = true", "got true (true or false), expected an integer"),
        ("max_iter = [1]", "got a list, expected an integer"),
        ("max_iter = {a = 1}", "got a table, expected an integer"),
        ("max_iter = 2024-01-01", "got 2024-01-01 (a date or time), expected an integer"),
        ("max_iter = 9223372036854775808", "got an integer of 64 bits, expected at most 63"),
        ("max_iter = 0x" + "f" * 5000, "got an integer of 20000 bits, expected at most 63"),
        ("tol = '0.1'", "got '0.1' (text), expected a number; remove the quotes"),
        ("tol = true", "got true (true or false), expected a number"),
        ("tol = nan", "got nan, expected a finite number"),
        ("tol = -inf", "got -inf, expected a finite number"),
        ("tol = 1e999", "got inf, expected a finite number"),
    ],
)
def test_wrong_types(line: str, expected: str) -> None:
    key = line.partition(" ")[0]
    assert _message(f"{_MINIMAL}[stop]\n{line}\n") == f"job.toml:6: stop.{key}: {expected}"


def test_wrong_choices_and_texts() -> None:
    assert _message("reduction = 'exakt'\n" + _MINIMAL) == (
        'job.toml:1: reduction: got \'exakt\' (text), expected "exact", "fast" or "float32"; did '
        'you mean "exact"?'
    )
    assert _message("name = 3\n" + _MINIMAL).endswith("expected text; put it in quotes")
    assert "NUL" in _message(_MINIMAL.replace("a.csv", "a\\u0000"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed = -1\n", "job.toml:1: seed must be "),
        ("name = ''\n", "job.toml:1: name must be "),
        ("name = '..'\n", "job.toml:1: name must be "),
        ("name = '-rf'\n", "job.toml:1: name must be "),
        ("name = 'a/b'\n", "job.toml:1: name must be "),
        ("name = 'a\\n'\n", "job.toml:1: name must be "),
        ("[stop]\nmax_iter = -1\n", "job.toml:2: stop.max_iter must be "),
        ("[stop]\ntol = -1e-9\n", "job.toml:2: stop.tol must be "),
        ("[checkpoint]\nkeep = 0\n", "job.toml:2: checkpoint.keep must be "),
        ("[checkpoint]\nevery_seconds = -1\n", "job.toml:2: checkpoint.every_seconds must be "),
        ("[penalty]\nkind = 'l2'\nalpha = -1\n", "job.toml:3: penalty.alpha must be "),
        ("[solver]\nkind = 'gd'\nstep = -1\n", "job.toml:3: solver.step must be "),
    ],
)
def test_out_of_range(text: str, expected: str) -> None:
    assert _message(text + _MINIMAL).startswith(expected)


def test_out_of_range_together() -> None:
    text = _MINIMAL.replace("[loss]", "test_fraction = 0.5\ntest = 'b.csv'\n[loss]")
    assert _message(text).startswith("job.toml:4: data.test is 'b.csv' and test_fraction is 0.5")


def test_what_must_be_given() -> None:
    assert _message("").startswith("job.toml: loss.kind is missing; add kind = ")
    message = _message("[data]\npath = 'a'\n[loss]\n")
    assert message.startswith("job.toml:3: loss.kind is missing")
    assert all(f'"{kind}"' in message for kind in LOSSES)
    message = _message("[loss]\nkind = 'squared'\n")
    assert message.startswith('job.toml: data.path is missing; name the file to train on: path = "')
    assert _message("[loss]\nkind = 'squared'\n[data]\n").startswith("job.toml:3: data.path")


@pytest.mark.parametrize(
    ("text", "line", "advice"),
    [
        ("a = lbfgs\n", 1, 'write text in "quotes"'),
        ("\na = True\n", 2, "true or false in small letters"),
        ("a = .5\n", 1, "numbers as 0.5"),
        ("a = 1\na = 2\n", 2, "comes twice; remove one"),
        ("[a]\n[b]\n[a]\n", 3, "comes twice; join them"),
        ("step: 0.1\n", 1, "write key = value"),
        ("\n\nstep\n", 3, "write key = value"),
        ('a = "b\n', 1, "illegal character"),
        ('a = "b', 1, "close the quotes"),
        ("a = 1 b = 2\n", 1, "one key = value a line"),
        ('path = "C:\\data"\n', 1, "'single quotes'"),
        ("a = [1,\n", 1, "not TOML"),
    ],
)
def test_not_toml(text: str, line: int, advice: str) -> None:
    message = _message(text)
    assert message.startswith(f"job.toml:{line}: not TOML: ")
    assert advice in message


def test_not_toml_and_meant_to_harm() -> None:
    assert "nested too deeply" in _message("a = " + "[" * 20_000)
    assert "thousands of digits" in _message("a = " + "9" * 20_000)
