"""Shards: any cut of rows into files, and of work into parts, gives the rows of one file."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpi_gd.data import Block, DataSpec, Source, open_source
from mpi_gd.data.listing import find_shards
from mpi_gd.data.shares import cut_shares
from mpi_gd.errors import DataError, FileError, JobError, MpiGdError, NoRowsError
from mpi_gd.matrix import Csr

N = 60
RNG = np.random.default_rng(8)
X = RNG.normal(size=(N, 3))
Y = RNG.integers(0, 2, N).astype(np.float64)
W = RNG.uniform(1, 2, N)
SPARSE = scipy.sparse.csr_array(np.where(RNG.random((N, 3)) < 0.5, X, 0.0))

many_folders = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def settled(spec: DataSpec, base: Path, parts: int = 1, **keys: Any) -> Source:
    """Open a source as `parts` ranks do together."""
    source = open_source(spec, base, **keys)
    surveys = [source.survey(part, parts) for part in range(parts)]
    assert len({len(survey) for survey in surveys}) == 1
    source.settle(np.sum(surveys, axis=0))
    return source


def dense(block: Block) -> Any:
    return block.x.rows.toarray() if isinstance(block.x, Csr) else block.x


def csv(a: int, b: int, header: str = "a,b,c,y,w\n") -> str:
    rows = np.column_stack([X, Y, W])[a:b].tolist()
    return header + "".join(",".join(map(repr, row)) + "\n" for row in rows)


def write(folder: Path, kind: str, edges: list[int]) -> DataSpec:
    """Write the rows between the edges, a file for each run of them; return how to read them."""
    for old in folder.glob("*"):
        old.unlink()
    runs = list(itertools.pairwise(edges))
    for number, (a, b) in enumerate(runs):
        name = f"{number:03}"
        if kind == "csv":
            (folder / f"p-{name}.csv").write_text(csv(a, b))
        elif kind == "npy":
            np.save(folder / f"x-{name}.npy", X[a:b])
            np.save(folder / f"y-{name}.npy", Y[a:b])
            np.save(folder / f"w-{name}.npy", W[a:b])
        elif kind == "npz":
            np.savez_compressed(folder / f"p-{name}.npz", X=X[a:b], y=Y[a:b], w=W[a:b])
        else:
            part = SPARSE[a:b]
            parts = {"format": b"csr", "shape": part.shape, "data": part.data}
            np.savez(
                folder / f"p-{name}.npz", indices=part.indices, indptr=part.indptr,
                y=Y[a:b], w=W[a:b], **parts,
            )  # fmt: skip
    if kind == "npy":
        names = [f"x-{number:03}.npy" for number in range(len(runs))]
        return DataSpec(path=names, target="y-*.npy", weight="w-*.npy")
    return DataSpec(path="p-*", target="" if kind == "npz" else "y", weight="w")


@pytest.mark.parametrize("kind", ["csv", "npy", "npz", "sparse"])
@given(cuts=st.lists(st.integers(0, N), max_size=6), parts=st.integers(1, 9), data=st.data())
@many_folders
def test_any_cut_gives_the_rows_of_one_file(
    tmp_path: Path, kind: str, cuts: list[int], parts: int, data: st.DataObject
) -> None:
    source = settled(write(tmp_path, kind, [0, *sorted(cuts), N]), tmp_path, parts)
    assert source.n_samples == N
    assert source.n_stored == (SPARSE.nnz if kind == "sparse" else 0)
    start = data.draw(st.integers(0, N))
    stop = data.draw(st.integers(start, N))
    block = source.read(start, stop)
    expected = SPARSE.toarray() if kind == "sparse" else X
    np.testing.assert_array_equal(dense(block), expected[start:stop])
    np.testing.assert_array_equal(block.y, Y[start:stop])
    np.testing.assert_array_equal(block.extras["weight"], W[start:stop])
    if kind != "sparse" and start < stop:
        # Blocks of rows begin where those of one file would.
        assert block.x.ctypes.data % 64 == 0
    elif start < stop:
        bounds = np.unique([start, (start + stop) // 2, stop])
        counts = np.diff(SPARSE.indptr[bounds])
        if kind == "sparse":
            np.testing.assert_array_equal(source.count_stored(bounds), counts)


def test_an_alignment_that_a_shard_spoils_is_mended(tmp_path: Path) -> None:
    spec = write(tmp_path, "npy", [0, 7, N])
    block = settled(spec, tmp_path).read(8, 20)
    assert block.x.ctypes.data % 64 == 0
    np.testing.assert_array_equal(block.x, X[8:20])


def test_a_large_text_file_is_counted_by_several_parts_at_once() -> None:
    sizes = [1 << 20] * 50 + [1 << 30]
    room = np.array([1] * 50 + [256])
    work = np.zeros(8)
    seen = []
    for part in range(8):
        for share in cut_shares(sizes, room, [False] * 51, part, 8):
            seen.append((share.shard, share.part))
            work[part] += sizes[share.shard] / share.parts
    assert len(seen) == len(set(seen)) == 50 + 8
    assert work.max() < 1.5 * work.mean()


def test_each_part_opens_a_share_of_the_files_and_reads_those_of_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = write(tmp_path, "npz", list(range(0, N + 1, 3)))
    source = open_source(spec, tmp_path)
    opened: list[int] = []
    inner = source._open_one  # type: ignore[attr-defined]

    def open_one(number: int) -> Source:
        opened.append(number)
        return inner(number)  # type: ignore[no-any-return]

    monkeypatch.setattr(source, "_open_one", open_one)
    source.survey(1, 4)
    assert len(opened) == 5
    source.settle(np.sum([source.survey(part, 4) for part in range(4)], axis=0))
    opened.clear()
    source.read(30, 39)
    assert opened == [10, 11, 12]


def names(given: str | list[str], base: Path) -> list[str]:
    found = find_shards(given, base)
    assert found is not None
    return [str(shard.path.relative_to(base)) for shard in found]


def test_a_folder_a_pattern_and_a_list_have_their_orders(tmp_path: Path) -> None:
    for name in ["b.csv", "a-10.csv", "a-9.csv", "sub/c.csv", "_SUCCESS", ".b.csv.crc", "x.crc"]:
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_text("1\n")
    (tmp_path / "d/_temporary").mkdir()
    (tmp_path / "d/_temporary/z.csv").write_text("1\n")
    every = ["d/a-10.csv", "d/a-9.csv", "d/b.csv", "d/sub/c.csv"]
    assert names("d", tmp_path) == every
    assert names("d/**/*.csv", tmp_path) == every
    assert names("d/*.csv", tmp_path) == every[:3]
    assert names("*/sub", tmp_path) == every[3:]
    assert names(["d/b.csv", "d/a-9.csv"], tmp_path) == ["d/b.csv", "d/a-9.csv"]
    assert names(["d/sub", "d/a-*"], tmp_path) == ["d/sub/c.csv", *every[:2]]
    assert find_shards("d/b.csv", tmp_path) is None
    # What is there is no pattern.
    (tmp_path / "d/[1].csv").write_text("1\n")
    assert find_shards("d/[1].csv", tmp_path) is None


def test_a_data_set_is_recognised_wherever_it_lies(tmp_path: Path) -> None:
    prints = set()
    for name in ["here", "there"]:
        (tmp_path / name).mkdir()
        write(tmp_path / name, "csv", [0, 20, 40, N])
        prints.add(open_source(DataSpec(path=name, target="y"), tmp_path).fingerprint())
    assert len(prints) == 1
    (tmp_path / "there/p-003.csv").write_text(csv(0, 2))
    assert open_source(DataSpec(path="there", target="y"), tmp_path).fingerprint() not in prints


def test_rows_are_located_in_their_files(tmp_path: Path) -> None:
    source = settled(write(tmp_path, "csv", [0, 20, 20, N]), tmp_path)
    assert source.locate(19).endswith("p-000.csv: line 21")
    assert source.locate(20).endswith("p-002.csv: line 2")
    assert source.locate_target(N - 1).endswith("p-002.csv: line 41")


BAD: dict[str, tuple[dict[str, str | bytes], str]] = {
    "other columns": (
        {"p-001.csv": csv(0, 5, "a,b,d,y,w\n")},
        r"p-001.csv: .*p-000.csv: it lacks 'c' and it has 'd' besides",
    ),
    "another order": (
        {"p-001.csv": csv(0, 5, "b,a,c,y,w\n")},
        r"p-001.csv: got the column 'b' where .*p-000.csv has 'a'",
    ),
    "no header": ({"p-001.csv": csv(0, 5, "")}, r"p-001.csv: no column is called 'y'"),
    "no bytes": ({"p-001.csv": b""}, r"p-001.csv: the file is empty"),
    "text as target": (
        {"p-001.csv": "a,b,c,y,w\n1,2,3,yes,1\n"},
        r"p-001.csv: target: got text, expected numbers as in .*p-000.csv",
    ),
    "another format by name": ({"p-001.npy": b"x"}, r"p-001.npy: the name is of another format"),
    "another format by content": (
        {"p-001.csv": b"\x93NUMPY\x01\x00"},
        r"p-001.csv: .*(expected CSV|one format)",
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("part", [0, 1])
def test_a_bad_shard_is_named(tmp_path: Path, case: str, part: int) -> None:
    write(tmp_path, "csv", [0, 20])
    files, message = BAD[case]
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    # Whoever has it to count finds it: here the second of two parts.
    with pytest.raises(DataError, match=message):
        source = open_source(DataSpec(path="p-*", target="y", weight="w"), tmp_path)
        source.survey(0, 1) if part == 0 else source.survey(1, 2)


def test_a_header_on_one_shard_only(tmp_path: Path) -> None:
    (tmp_path / "p-0.csv").write_text(csv(0, 5))
    (tmp_path / "p-1.csv").write_text(csv(5, 9, ""))
    source = open_source(DataSpec(path="p-*", target=3), tmp_path)
    with pytest.raises(DataError, match=r"p-1.csv: got no names of columns.*p-0.csv; give all"):
        source.survey(0, 1)


def test_dtypes_that_differ(tmp_path: Path) -> None:
    spec = write(tmp_path, "npy", [0, 20, N])
    np.save(tmp_path / "x-001.npy", X[20:].astype(np.float32))
    with pytest.raises(DataError, match=r"x-001.npy: got numbers of float32, expected float64"):
        open_source(spec, tmp_path).survey(0, 1)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("none-*.csv", FileError, "no file in .* matches the pattern"),
        ("no/*.csv", FileError, "there is no folder"),
        ("empty", FileError, "got a folder without data files"),
        (["p.csv", "q.csv"], FileError, r"q.csv: cannot read: no such file.*the file is not"),
        (["p.csv", "p.csv"], JobError, "listed twice"),
    ],
)
def test_what_names_no_files(
    tmp_path: Path, given: str | list[str], error: type[MpiGdError], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/_SUCCESS").write_text("1")
    (tmp_path / "p.csv").write_text(csv(0, 3))
    with pytest.raises(error, match=message):
        open_source(DataSpec(path=given, target="y"), tmp_path)


def test_files_of_y_are_as_many_as_those_of_x(tmp_path: Path) -> None:
    spec = write(tmp_path, "npy", [0, 20, N])
    (tmp_path / "y-001.npy").unlink()
    with pytest.raises(JobError, match=r"data.target: got 1 files, expected 2"):
        open_source(spec, tmp_path)
    with pytest.raises(JobError, match=r"data.target is a list of files, but data.path is one"):
        open_source(DataSpec(path="x-000.npy", target=["y-000.npy"]), tmp_path)


def test_no_rows_at_all(tmp_path: Path) -> None:
    write(tmp_path, "csv", [0, 0, 0])
    with pytest.raises(NoRowsError, match="no rows"):
        open_source(DataSpec(path="p-*", target="y"), tmp_path)


def test_a_shard_that_changes_or_goes_is_an_error(tmp_path: Path) -> None:
    source = settled(write(tmp_path, "csv", [0, 20, 40, N]), tmp_path)
    with (tmp_path / "p-001.csv").open("a") as file:
        file.write("1,2,3,1,1\n")
    with pytest.raises(DataError, match=r"p-001.csv: the file changed since it was listed"):
        source.read(15, 25)
    os.remove(tmp_path / "p-002.csv")
    with pytest.raises(FileError, match=r"p-002.csv: cannot read"):
        source.read(45, 50)


def test_ranks_that_see_other_files_under_one_name(tmp_path: Path) -> None:
    """Of the same size: what the counting rank found is not what the reading one has."""
    source = settled(write(tmp_path, "csv", [0, 20, N]), tmp_path)
    source._starts[1:] += 1  # type: ignore[attr-defined]
    source.n_samples += 1
    with pytest.raises(DataError, match=r"p-000.csv: got 20 rows, expected 21 .*same files"):
        source.read(0, 5)
