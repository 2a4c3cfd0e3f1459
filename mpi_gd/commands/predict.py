"""Write a model's predictions for the rows of a data file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.apply import load_data, load_shared_model, predictor
from mpi_gd.commands.load import Loaded
from mpi_gd.data.listing import find_shards
from mpi_gd.errors import DataError, JobError
from mpi_gd.files import discard, publish, reserve, write_at
from mpi_gd.model import Model
from mpi_gd.options import PredictOptions

__all__ = ["run"]


def run(world: World, options: PredictOptions) -> int:
    """Write a CSV file with a line a row, in the rows' order; collective. Return the exit code."""
    with world.phase("predicting", by_root=True):
        if world.is_root:
            _require_other_file(options)
    model = load_shared_model(world, options.model, options.alpha)
    data = load_data(world, model, options.data, options.overrides, purpose="predict")
    z = predictor(model, data)
    with world.phase("predicting"):
        _require_finite(z, data)
        text = _lines(model, z)
        if world.is_root:
            text = _header(model) + text
    _write_together(world, Path(options.out), text.encode("utf-8"))
    if world.is_root:
        print(f"{data.grid.n_samples:,} predictions are in {options.out}")
    return 0


def _require_other_file(options: PredictOptions) -> None:
    """Raise JobError if the predictions would replace what they are made from."""
    out = Path(options.out)
    if not out.exists():
        return
    shards = find_shards(options.data, Path()) or []
    for path in (options.model, options.data, *(str(shard.path) for shard in shards)):
        if Path(path).exists() and out.samefile(path):
            raise JobError(f"--out {out}: the predictions would replace {path}; give another file")


def _require_finite(z: NDArray[np.float64], data: Loaded) -> None:
    """Raise DataError for a row whose prediction is no number."""
    finite = np.isfinite(z)
    bad = np.flatnonzero(~(finite if z.ndim == 1 else finite.all(axis=1)))
    if bad.size:
        raise DataError(
            f"{data.source.locate(data.start + int(bad[0]))}: the prediction is not a finite "
            "number; a feature of the row is missing, infinite or far too large"
        )


def _header(model: Model) -> str:
    """Return the first line; of two labels the second's probability is there alone."""
    names = ["prediction"]
    if model.classes is not None:
        shown = model.classes if len(model.classes) > 2 else model.classes[1:]
        what = "probability of" if model.loss.has_probabilities else "decision value of"
        names += [f"{what} {label}" for label in shown]
    return ",".join(map(_quoted, names)) + "\n"


def _lines(model: Model, z: NDArray[np.float64]) -> str:
    """Return a line a row: the value; or the label and what the header says."""
    if model.classes is None:
        return "".join(f"{value!r}\n" for value in model.predict_from_decision(z).tolist())
    # The labels as they are in the file, text or number.
    chosen = z.argmax(axis=1) if z.ndim == 2 else (z > 0).astype(np.intp)
    labels = [_quoted(label) for label in model.classes]
    values = model.loss.inverse_link(z)
    # A rank may have no rows, of which a -1 would make no shape.
    columns = values if values.ndim == 2 else values[:, np.newaxis]
    return "".join(
        f"{labels[k]},{','.join(map(repr, row))}\n"
        for k, row in zip(chosen.tolist(), columns.tolist(), strict=True)
    )


def _quoted(text: str) -> str:
    """Return a cell of CSV, in quotes if it needs them."""
    if any(character in text for character in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _write_together(world: World, path: Path, content: bytes) -> None:
    """Write every rank's content into one file, by rank, whole or not at all; collective."""
    sizes = [int(size) for size in world.gather_small(str(len(content)))]
    temporary = ""
    with world.phase(f"writing {path}", by_root=True):
        if world.is_root:
            temporary = str(reserve(path, sum(sizes)))
    shared = Path(json.loads(world.bcast_text(json.dumps(temporary))))
    try:
        with world.phase(f"writing {path}"):
            write_at(shared, sum(sizes[: world.rank]), content, path)
        with world.phase(f"writing {path}", by_root=True):
            if world.is_root:
                publish(shared, path)
    except BaseException:
        if world.is_root:
            discard(shared)
        raise
