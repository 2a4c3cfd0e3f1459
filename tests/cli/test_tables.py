"""One table in several formats: the same coefficients, bit for bit, on any number of ranks."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq


def table_job(path: str) -> str:
    return (
        f'[data]\npath = "{path}"\ntarget = "y"\nexclude = ["note"]\n'
        '[loss]\nkind = "logistic"\n[penalty]\nkind = "l2"\nalpha = 1e-3\n'
    )


@pytest.mark.one_mpi
def test_tables_train_to_the_bits_of_arrays(workplace: Any, program: Any) -> None:
    """Protects from numbers that are rounded or ordered differently by a reader."""
    names = [f"c{j}" for j in range(workplace.x.shape[1])]
    rows = zip(workplace.x.tolist(), workplace.label.tolist(), strict=True)
    lines = [",".join(["note", *names, "y"])]
    lines += [f"no number,{','.join(map(repr, x))},{y!r}" for x, y in rows]
    packed = gzip.compress("\n".join(lines).encode())
    (workplace.folder / "t.csv.gz").write_bytes(packed)
    columns = dict(zip(names, workplace.x.T, strict=True)) | {"y": workplace.label}
    columns |= {"note": ["text"] * len(workplace.label)}
    pq.write_table(pa.table(columns), workplace.folder / "t.parquet", row_group_size=1000)

    assert program(1, "train", workplace.job(), "--out", "array").rc == 0
    wanted = np.load(workplace.folder / "array" / "model.npz")
    for n, kind in ((2, "csv.gz"), (3, "parquet")):
        (workplace.folder / f"{kind}.toml").write_text(table_job(f"t.{kind}"))
        done = program(n, "train", f"{kind}.toml", "--out", kind)
        assert done.rc == 0, done.text
        found = np.load(workplace.folder / kind / "model.npz")
        for name in ("coef", "intercept"):
            assert found[name].tobytes() == wanted[name].tobytes()
