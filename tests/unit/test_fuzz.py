"""Damaged and odd files and words: an error of the program's own, or the right numbers.

MPI_GD_FUZZ_EXAMPLES multiplies the number of examples: with 100 it takes some minutes.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import tracemalloc
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_gd import cli
from mpi_gd.checkpoint import Checkpoint, state_arrays, with_arrays
from mpi_gd.config import dump_job, parse_job
from mpi_gd.data import DataSpec, open_source
from mpi_gd.data.formats import csv_parse
from mpi_gd.data.source import Source
from mpi_gd.errors import MpiGdError
from mpi_gd.losses import Logistic
from mpi_gd.model import Model, load_model, save_model
from mpi_gd.solvers import Lbfgs, Problem

TIMES = int(os.environ.get("MPI_GD_FUZZ_EXAMPLES", "1"))

JOB = """\
name = "clicks"
seed = 3
[data]
path = "a.csv"
target = "late"
test_fraction = 0.2
[loss]
kind = "logistic"
[penalty]
kind = "l2"
alpha = 1e-4
[solver]
kind = "sgd"
step = 0.5
schedule = "cosine"
[stop]
max_iter = 100
[checkpoint]
keep = 3
"""
ODD = ["", "0", "-1", "1e999", "nan", "true", "[]", "{}", '"', "\\", "é", "\0", "\x1b[31m", "="]
ODD += ["#", "[data]", "[[data]]", "kind", "9" * 400, '"' + "x" * 3000 + '"', "1979-05-27", "'''"]


def fuzzed(examples: int) -> Callable[[Any], Any]:
    """Try so many examples, or a multiple of them."""
    return settings(max_examples=examples * TIMES)


@st.composite
def edited(draw: st.DrawFn, text: str) -> str:
    """Return the text with lines and words left out, doubled, swapped or replaced."""
    lines = text.split("\n")
    for _ in range(draw(st.integers(1, 4))):
        i = draw(st.integers(0, len(lines) - 1))
        j = draw(st.integers(0, len(lines) - 1))
        words = lines[i].split(" ")
        match draw(st.sampled_from(["drop", "double", "swap", "word", "insert"])):
            case "drop":
                del lines[i]
                lines = lines or [""]
            case "double":
                lines.insert(j, lines[i])
            case "swap":
                lines[i], lines[j] = lines[j], lines[i]
            case "word":
                words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(ODD))
                lines[i] = " ".join(words)
            case _:
                lines.insert(i, draw(st.one_of(st.sampled_from(ODD), st.text(max_size=20))))
    return "\n".join(lines)


@st.composite
def damaged(draw: st.DrawFn, size: int) -> Callable[[bytes], bytes]:
    """Return what damages bytes: flips, a cut, something in between, pieces in another order."""
    kind = draw(st.sampled_from(["flip", "cut", "insert", "move", "zero"]))
    places = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=3))
    piece = draw(st.binary(min_size=1, max_size=12))

    def damage(data: bytes) -> bytes:
        first, last = min(places) % len(data), max(places) % len(data) + 1
        match kind:
            case "flip":
                changed = bytearray(data)
                for place in places:
                    changed[place % len(data)] ^= piece[0] or 1
                return bytes(changed)
            case "cut":
                return data[:first]
            case "insert":
                return data[:first] + piece + data[first:]
            case "move":
                return data[last:] + data[:last]
        return data[:first] + bytes(max(0, last - first)) + data[last:]

    return damage


@fuzzed(150)
@given(edited(JOB))
def test_jobs(text: str) -> None:
    try:
        job = parse_job(text, "a.toml")
    except MpiGdError as error:
        assert "\n" not in str(error) and str(error).isprintable()
        return
    assert parse_job(dump_job(job)) == job


@fuzzed(60)
@given(st.lists(st.sampled_from([*ODD, "solver.kind=gd", "stop.tol=", "data.=1", "a.b.c=2"])))
def test_overrides(overrides: list[str]) -> None:
    try:
        job = parse_job(JOB, "a.toml", overrides)
    except MpiGdError as error:
        assert str(error).isprintable()
        return
    assert parse_job(dump_job(job)) == job


WORDS = (
    "train predict evaluate bench launch job.toml -1 -- x=1 --out --set --resume --force".split()
)
WORDS += "--check --ranks --json --keys --version --help --max-restarts --progress".split()


@fuzzed(100)
@given(st.lists(st.one_of(st.sampled_from(WORDS), st.sampled_from(ODD), st.text(max_size=9))))
def test_command_lines(words: list[str]) -> None:
    parsed = cli.parse(words)
    assert parsed is not None


@cache
def model_bytes() -> bytes:
    """Return a small model's file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.npz"
        columns = ("a", "b", "c")
        model = Model(
            np.array([1.5, -2.0, 1e-9]), 0.25, Logistic(), columns, "y", ("no", "yes"), {}
        )
        save_model(model, path)
        return path.read_bytes()


@cache
def checkpoint_bytes() -> bytes:
    """Return a small checkpoint."""
    state = Lbfgs(memory_length=2).start(PROBLEM, np.arange(3.0))
    return Checkpoint(state_arrays(state), {"0": np.arange(8)}, 4, 9, {"seed": 1}).to_bytes()


PROBLEM = Problem(3, 1.0, 2.0, lambda size: 1)


def resealed(data: bytes) -> bytes:
    """Return the archive with the digest that belongs to it: a hostile writer's."""
    return data[:-64] + hashlib.sha256(data[:-64]).hexdigest().encode() if len(data) > 64 else data


@pytest.mark.parametrize("reseal", [False, True])
@fuzzed(120)
@given(damage=damaged(2500))
def test_models(reseal: bool, damage: Callable[[bytes], bytes]) -> None:
    data = damage(model_bytes())
    data = resealed(data) if reseal else data
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.npz"
        path.write_bytes(data)
        tracemalloc.start()
        try:
            model = load_model(path)
        except MpiGdError as error:
            assert str(error)
        else:
            assert reseal or data == model_bytes()
            assert model.coef.shape == (len(model.columns),)
            assert np.isfinite(model.coef).all() and np.isfinite(model.intercept)
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < 5_000_000


@pytest.mark.parametrize("reseal", [False, True])
@fuzzed(120)
@given(damage=damaged(6000))
def test_checkpoints(reseal: bool, damage: Callable[[bytes], bytes]) -> None:
    data = damage(checkpoint_bytes())
    data = resealed(data) if reseal else data
    try:
        found = Checkpoint.from_bytes(data)
        state = with_arrays(Lbfgs(memory_length=2).start(PROBLEM, np.zeros(3)), found.state)
    except MpiGdError as error:
        assert str(error)
    else:
        assert reseal or data == checkpoint_bytes()
        assert state.u.shape == (3,)


def csv_file(delimiter: str, text: bool) -> bytes:
    """Return a small table with a header."""
    labels = ("late", "in time") if text else ("1", "0")
    lines = [delimiter.join(("a", "b", "label"))]
    lines += [delimiter.join((str(k / 7), f"-{k}e-3", labels[k % 3 == 0])) for k in range(40)]
    return "\n".join(lines).encode()


def npz_file(compressed: bool, kind: str) -> bytes:
    """Return a small .npz."""
    x, y = np.arange(60.0).reshape(20, 3), np.arange(20) % 2
    buffer = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(buffer, X=np.asfortranarray(x) if kind == "F" else x.astype(kind), y=y)
    return buffer.getvalue()


def npy_file(array: Any) -> bytes:
    """Return a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


FILES: dict[str, bytes] = {
    "comma.csv": csv_file(",", text=True),
    "numbers.csv": csv_file(",", text=False),
    "stored.npz": npz_file(False, "f8"),
    "packed.npz": npz_file(True, "f4"),
    "fortran.npz": npz_file(True, "F"),
    "x.npy": npy_file(np.arange(60.0).reshape(20, 3)),
}


def read_all(path: Path, parts: int) -> tuple[Any, Any]:
    """Read a file as `parts` ranks would together."""
    is_csv, is_npy = path.suffix == ".csv", path.suffix == ".npy"
    target = "label" if is_csv else "y.npy" if is_npy else ""
    spec = DataSpec(path=path.name, target=target)
    source: Source = open_source(spec, path.parent)
    source.settle(np.sum([source.survey(part, parts) for part in range(parts)], axis=0))
    n = source.n_samples
    cuts = [n * part // parts for part in range(parts + 1)]
    blocks = [source.read(cuts[part], cuts[part + 1]) for part in range(parts)]
    x = np.concatenate([np.array(block.x) for block in blocks])
    return x, np.concatenate([np.array(block.y) for block in blocks])


def outcome(path: Path, parts: int) -> Any:
    """Return the bits that are read, or that there is an error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            x, y = read_all(path, parts)
    except MpiGdError as error:
        assert str(error) and "\n" not in str(error)
        return "error"
    return x.tobytes(), y.tolist() if y.dtype.kind == "U" else y.tobytes()


@pytest.mark.parametrize("name", FILES)
@fuzzed(60)
@given(damage=damaged(2000))
def test_readers(name: str, damage: Callable[[bytes], bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(damage(FILES[name]) or b"?")
        (Path(folder) / "y.npy").write_bytes(npy_file(np.arange(20.0)))
        alone = outcome(path, 1)
        assert outcome(path, 3) == alone
        if name.endswith(".csv"):
            fast = csv_parse.fast_parser
            try:
                csv_parse.fast_parser = lambda: csv_parse._by_numpy
                assert outcome(path, 2) == alone
            finally:
                csv_parse.fast_parser = fast
