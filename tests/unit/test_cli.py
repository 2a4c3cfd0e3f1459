"""Arguments become options; help and mistakes become text; nothing is printed or ends here."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from mpi_gd import __version__
from mpi_gd.cli import ParsedExit, parse
from mpi_gd.listeners import Output
from mpi_gd.options import BenchOptions, EvaluateOptions, Options, PredictOptions, TrainOptions

_COMMANDS = ["train", "predict", "evaluate", "bench", "launch"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", TrainOptions()),
        ("train", TrainOptions()),
        ("train a.toml", TrainOptions(job="a.toml")),
        (
            "train --set solver.step=-1 a.toml --set 'name=x y' --out o --resume --check",
            TrainOptions(
                job="a.toml",
                overrides=("solver.step=-1", "name=x y"),
                out="o",
                resume=True,
                check=True,
            ),
        ),
        ("train --force --progress=live", TrainOptions(force=True, progress="live")),
        ("predict m.npz d.csv", PredictOptions("m.npz", "d.csv")),
        (
            "predict m.npz d.csv --out p.csv --set header=no",
            PredictOptions("m.npz", "d.csv", "p.csv", ("header=no",)),
        ),
        ("evaluate m.npz d.csv", EvaluateOptions("m.npz", "d.csv")),
        (
            "evaluate m.npz d.csv --json --set target=y",
            EvaluateOptions("m.npz", "d.csv", ("target=y",), True),
        ),
        ("bench", BenchOptions()),
        (
            "bench --rows 1_000 --columns 3 --dtype float32 --loss squared --repeat 1 --json",
            BenchOptions(1000, 3, "float32", "squared", 1, True),
        ),
    ],
)
def test_options(line: str, expected: Options) -> None:
    assert parse(shlex.split(line)) == expected


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["trian"], "unknown command 'trian'; did you mean 'train'? there are train, predict"),
        (["foo"], "unknown command 'foo'; there are train, predict, evaluate, export"),
        (["a.toml"], "unknown command 'a.toml'; did you mean: python -m mpi_gd train a.toml"),
        (["--resume"], "unknown option '--resume' before a command; did you mean: python -m"),
        (["train", "--resme"], "unknown option '--resme'; did you mean --resume?"),
        (["train", "--ou=x"], "unknown option '--ou=x'; did you mean --out?"),
        (["train", "a.toml", "b"], "unexpected argument 'b'"),
        (["train", "a.toml", "a.b=1"], "unexpected argument 'a.b=1'; did you mean --set a.b=1?"),
        (["train", ""], "argument JOB.toml: got an empty text"),
        (["train", "--out", ""], "argument --out: got an empty text"),
        (["train", "--set"], "argument --set: expected one argument"),
        (["train", "--resume", "--force"], "got --resume and --force, expected one"),
        (["train", "--progress", "loud"], "argument --progress: invalid choice: 'loud'"),
        (["predict", "m.npz"], "the following arguments are required: DATA"),
        (["bench", "--rows", "many"], "argument --rows: got 'many', expected a whole number"),
        (["bench", "--repeat", "0"], "repeat must be 1 or more, got 0"),
    ],
)
def test_mistakes(argv: list[str], expected: str) -> None:
    left = parse(argv)
    assert isinstance(left, ParsedExit)
    assert (left.code, left.to_stderr) == (2, True)
    assert left.text.startswith(f"mpi_gd: error: {expected}")
    assert left.text.endswith("--help)")
    assert "\n" not in left.text


@pytest.mark.parametrize("command", ["", *_COMMANDS])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(command: str, flag: str, capfd: pytest.CaptureFixture[str]) -> None:
    left = parse([*command.split(), flag])
    assert isinstance(left, ParsedExit)
    assert (left.code, left.to_stderr) == (0, False)
    assert capfd.readouterr() == ("", "")
    words = left.text.split()
    assert "examples:" in words
    assert "exit codes:" in left.text
    assert all(code in words for code in "0 1 2 3 75".split())
    if not command:
        assert all(name in words for name in _COMMANDS)


def test_help_asks_for_no_more() -> None:
    """--help stands before what is missing or wrong."""
    for argv in (["predict", "--help"], ["train", "--help", "--resme"], ["--help", "foo"]):
        left = parse(argv)
        assert isinstance(left, ParsedExit)
        assert left.code == 0


def test_examples_parse() -> None:
    for argv in ([], *([command] for command in _COMMANDS)):
        left = parse([*argv, "--help"])
        assert isinstance(left, ParsedExit)
        examples = left.text.partition("examples:\n")[2].partition("\n\n")[0].splitlines()
        assert len(examples) >= 2
        for example in examples:
            command = example.partition("python -m mpi_gd")[2].partition("   ")[0]
            parsed = parse(shlex.split(command))
            assert not isinstance(parsed, ParsedExit) or parsed.code == 0


def test_version() -> None:
    assert parse(["--version"]) == ParsedExit(f"mpi_gd {__version__}", 0, False)


def test_keys() -> None:
    left = parse(["train", "--keys"])
    assert isinstance(left, ParsedExit)
    assert (left.code, left.to_stderr) == (0, False)
    assert "[checkpoint]" in left.text


@pytest.mark.parametrize("argv", [["--help"], ["train", "--help"], ["trian"], ["train", "a.toml"]])
def test_is_light(argv: list[str]) -> None:
    """--help on a login node answers at once, and without MPI."""
    code = (
        "import sys; from mpi_gd.cli import parse; parse(sys.argv[1:]); "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'mpi4py')))"
    )
    subprocess.run([sys.executable, "-c", code, *argv], check=True, timeout=60)


def test_a_reader_that_has_read_enough_is_no_error() -> None:
    """As with `train --keys | head -1`, whose text is longer than a pipe holds."""
    command = f"'{sys.executable}' -m mpi_gd train --keys | head -c 10"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr, len(done.stdout)) == (0, "", 10)


def test_output_that_nobody_reads_is_passed_over() -> None:
    """Protects the other ranks, which would wait for one that ends because of it."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:
        output = Output(stream)
        for _ in range(3):
            print("x" * 100_000, file=output, flush=True)


def test_a_full_disk_under_the_output_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with open("/dev/full", "w") as stream:
        print("x", file=Output(stream), flush=True)
    said = capsys.readouterr().err
    assert said == "mpi_gd: warning: cannot write to the standard output: no space left on device\n"
