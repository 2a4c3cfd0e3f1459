"""What dump_job writes, parse_job reads back as the same job."""

from __future__ import annotations

import tomllib
from typing import Any, Literal, get_args, get_origin

from hypothesis import given, reject
from hypothesis import strategies as st

from mpi_gd.config import Job, dump_job, kind_of, parse_job
from mpi_gd.config.schema import Key, keys_of
from mpi_gd.data.spec import DataSpec
from mpi_gd.losses import LOSSES, Squared
from mpi_gd.penalties import L2, PENALTIES
from mpi_gd.prepare.dates import PARTS
from mpi_gd.solvers import SOLVERS

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_PARTS = st.sampled_from(list(PARTS))
_FILLS = st.one_of(
    st.sampled_from(["refuse", "mean", "median", "most frequent", "level"]),
    st.floats(allow_nan=False, allow_infinity=False),
)
_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(0, 2**63 - 1),
    float: st.one_of(
        st.floats(0, 1, exclude_max=True), st.floats(min_value=0, allow_infinity=False)
    ),
    float | Literal["path"]: st.one_of(st.just("path"), st.floats(0, 1)),
    str: _TEXT,
    str | int: st.one_of(_TEXT, st.integers(-(2**63) + 1, 2**63 - 1)),
    str | int | list[str]: st.one_of(
        _TEXT, st.integers(-(2**63) + 1, 2**63 - 1), st.lists(_TEXT, min_size=1, max_size=3)
    ),
    list[str]: st.lists(_TEXT, max_size=3),
    dict[str, float]: st.dictionaries(_TEXT, st.floats(0, 1), max_size=3),
    dict[str, str]: st.dictionaries(_TEXT, _TEXT, max_size=3),
    float | dict[str, float]: st.one_of(
        st.floats(0, 1), st.dictionaries(_TEXT, st.floats(0, 1), max_size=3)
    ),
    list[list[str]]: st.lists(st.lists(_TEXT, min_size=1, max_size=3), max_size=3),
}
_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "name": st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True),
    "path": st.one_of(_TEXT.filter(bool), st.lists(_TEXT, min_size=1, max_size=3)),
    "delimiter": st.sampled_from(",;\t|' "),
    "n_alphas": st.integers(2, 10_000),
    "eps": st.floats(0, 1, exclude_min=True, exclude_max=True),
    "n_features": st.integers(0, 1 << 24),
    "index_base": st.sampled_from(["auto", 0, 1]),
    "test": st.just(""),
    "test_target": st.just(""),
    "test_files": st.just({}),
    "class_weight": st.one_of(
        st.sampled_from(["", "balanced"]),
        st.dictionaries(_TEXT, st.floats(1e-100, 1e100), max_size=3),
    ),
    "test_fraction": st.floats(0, 1, exclude_max=True),
    "level": st.floats(0, 1, exclude_min=True, exclude_max=True),
    "quantile": st.floats(0, 1, exclude_min=True, exclude_max=True),
    "theta": st.floats(0, 1e300, exclude_min=True),
    "delta": st.floats(0, 1e300, exclude_min=True),
    "categorical": st.one_of(st.sampled_from(["none", "auto"]), st.lists(_TEXT, max_size=3)),
    "reference": st.one_of(
        st.sampled_from(["first", "most frequent", "none"]),
        st.dictionaries(_TEXT, _TEXT, max_size=3),
    ),
    "most_levels": st.integers(2, 2**63 - 1),
    "unseen": st.sampled_from(["refuse", "reference"]),
    "hash": st.dictionaries(_TEXT, st.integers(1, 22), max_size=3),
    "dates": st.one_of(
        st.lists(_PARTS, unique=True, max_size=3),
        st.dictionaries(_TEXT, st.lists(_PARTS, unique=True, max_size=3), max_size=3),
    ),
    "missing": st.one_of(_FILLS, st.dictionaries(_TEXT, _FILLS, max_size=3)),
    "clip": st.dictionaries(_TEXT, st.just([-1.5, 1e300]), max_size=3),
    "winsorize": st.dictionaries(_TEXT, st.floats(1e-9, 0.49), max_size=3),
    "splines": st.dictionaries(_TEXT, st.integers(3, 200), max_size=3),
    "interactions": st.lists(st.sampled_from(["a:b", "a b:é:x"]), max_size=3),
    "power": st.one_of(st.floats(-10, 0), st.floats(1, 10)),
}


def _values(key: Key) -> st.SearchStrategy[Any]:
    """Draw values of a key."""
    if key.kinds is not None:
        return st.sampled_from(list(key.kinds.values())).flatmap(_instances)
    if key.is_table:
        return _instances(key.hint)
    if get_origin(key.hint) is Literal:
        return st.sampled_from(get_args(key.hint))
    return _BY_NAME[key.name] if key.name in _BY_NAME else _BY_TYPE[key.hint]


@st.composite
def _instances(draw: st.DrawFn, cls: type[Any]) -> Any:
    """Draw instances of a dataclass that it does not refuse."""
    values = {key.name: draw(_values(key)) for key in keys_of(cls).values()}
    try:
        return cls(**values)
    except ValueError:
        reject()


@given(_instances(Job))
def test_parse_reads_what_dump_writes(job: Job) -> None:
    text = dump_job(job)
    again = parse_job(text.encode().decode())
    assert again == job
    assert repr(again) == repr(job)
    assert dump_job(again) == text


def test_every_kind_is_written() -> None:
    for solver in SOLVERS.values():
        job = Job(data=DataSpec(path="a"), loss=Squared(), solver=solver())
        assert parse_job(dump_job(job)) == job
        assert f'kind = "{kind_of(SOLVERS, job.solver)}"' in dump_job(job)
    assert {kind_of(LOSSES, loss()) for loss in LOSSES.values()} == set(LOSSES)
    assert {kind_of(PENALTIES, penalty()) for penalty in PENALTIES.values()} == set(PENALTIES)


def test_strings_and_numbers_are_escaped() -> None:
    path = 'a"b\\c\n\t\x00\x1f\x7f\x80\u2028é😀'
    job = Job(
        data=DataSpec(path=path, test_fraction=5e-324), loss=Squared(), penalty=L2(1.7976e308)
    )
    document = tomllib.loads(dump_job(job))
    assert document["data"]["path"] == path
    assert document["data"]["test_fraction"] == 5e-324
    assert document["penalty"]["alpha"] == 1.7976e308


def test_every_key_is_written() -> None:
    """The file in a run's folder stays right when a default changes."""
    document = tomllib.loads(dump_job(Job(data=DataSpec(path="a"), loss=Squared())))
    assert list(document) == list(keys_of(Job))
    assert list(document["data"]) == list(keys_of(DataSpec))
    assert list(document["solver"]) == ["kind", *keys_of(SOLVERS["auto"])]
