"""Rows for Spark: written once as a Parquet file, read into its memory before the clock starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["prepare"]

_PART = 50_000


def prepare(folder: Path, threads: int) -> Any:
    """Return a data frame of the columns features and label that is cached, all of it."""
    from pyspark import StorageLevel
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import col

    file = folder / "rows.parquet"
    if not file.exists():
        _write(folder, file)
    session = (
        SparkSession.builder.master(f"local[{threads}]")
        .config("spark.driver.memory", "6g")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    frame = session.read.parquet(str(file))
    rows = frame.select(array_to_vector(col("features")).alias("features"), col("label"))
    cached = rows.repartition(threads).persist(StorageLevel.MEMORY_ONLY)
    cached.count()
    return cached


def _write(folder: Path, file: Path) -> None:
    """Write the rows, part by part."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    x, y = np.load(folder / "x.npy", mmap_mode="r"), np.load(folder / "y.npy")
    schema = pa.schema([("features", pa.list_(pa.float64())), ("label", pa.float64())])
    begun = file.with_suffix(".begun")
    with pq.ParquetWriter(begun, schema, compression="none", use_dictionary=False) as writer:
        for first in range(0, len(y), _PART):
            part = np.array(x[first : first + _PART])
            bounds = np.arange(len(part) + 1, dtype=np.int32) * part.shape[1]
            lists = pa.ListArray.from_arrays(pa.array(bounds), pa.array(part.ravel()))
            labels = pa.array(y[first : first + _PART])
            writer.write_table(pa.table([lists, labels], schema=schema))
    begun.rename(file)
