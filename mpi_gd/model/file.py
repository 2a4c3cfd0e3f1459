"""A model's file.

It is an archive (mpi_gd.archive) of the arrays `coef` (d,) or (d, K) and `intercept` () or (K,),
and a JSON document with the loss, the column names (of very many without names: their number), the
labels and what the training run recorded.
It holds nothing that depends on the number of ranks, the host, the time or a folder, so the same
training gives the same bytes anywhere.

Of a penalty whose strength was chosen along a path it has the whole path too: the arrays
`path_alphas`, `path_explained`, `path_criterion`, `path_n_nonzero` (K,), `path_coef`,
`path_intercept`, and of scores `path_score`, `path_error` (K,); `load_model(...).path` gives them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.archive import ArchiveError, pack, unpack
from mpi_gd.errors import ModelError
from mpi_gd.files import write_atomically
from mpi_gd.losses import LOSSES, Loss
from mpi_gd.model.model import Model
from mpi_gd.model.path import ModelPath
from mpi_gd.numbered import MANY, NumberedNames

__all__ = ["FORMAT_VERSION", "load_model", "save_model"]

FORMAT_VERSION = 1
_FORMAT = "mpi_gd model"


def save_model(model: Model, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path`, whole or not at all; the same model gives the same bytes.

    Raises FileError when it cannot be written, ModelError when its metadata are not JSON.
    """
    document = {
        "format": _FORMAT,
        "format_version": FORMAT_VERSION,
        "loss": {"kind": _kind_of(model.loss), **dataclasses.asdict(model.loss)},
        "columns": _told(model.columns),
        "target_name": model.target_name,
        "classes": None if model.classes is None else list(model.classes),
        "metadata": model.metadata,
    }
    try:
        intercept = np.array(model.intercept, dtype=np.float64)
        arrays = {"coef": model.coef, "intercept": intercept}
        if model.path:
            arrays |= model.path.arrays()
            document["path"] = model.path.document()
        data = pack(arrays, document)
    except ArchiveError as error:
        raise ModelError(f"{Path(path)}: cannot write the model: {error}") from error
    write_atomically(path, data)


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model that `save_model` wrote.

    Raises FileError when the file cannot be read; ModelError when it is cut, changed, of another
    format version, or no model.
    """
    try:
        arrays, document = unpack(path)
        return _from_parts(arrays, document)
    except (ArchiveError, ModelError) as error:
        raise ModelError(
            f"{Path(path)}: not a usable model: {error} (copy it again, or train it again)"
        ) from error


def _from_parts(arrays: dict[str, NDArray[Any]], document: dict[str, Any]) -> Model:
    """Build the model from an archive's content. Raises ModelError."""
    if document.get("format") != _FORMAT:
        raise ModelError(f"it says {document.get('format')!r:.60}, expected {_FORMAT!r}")
    version = document.get("format_version")
    if version != FORMAT_VERSION:
        raise ModelError(
            f"its format version is {version!r:.60}, this mpi_gd reads {FORMAT_VERSION}; "
            "use the mpi_gd that wrote it, or a newer one"
        )
    coef, intercept = arrays.get("coef"), arrays.get("intercept")
    if coef is None or intercept is None or intercept.dtype != np.float64:
        raise ModelError("the arrays coef and intercept of float64 are not both there")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        raise ModelError(f"metadata: got {metadata!r:.60}, expected an object")
    return Model(
        coef=coef,
        intercept=intercept if intercept.ndim else float(intercept),
        loss=_loss_from(document.get("loss")),
        columns=_columns(document.get("columns")),
        target_name=_texts("target_name", [document.get("target_name")])[0],
        classes=_labels(document.get("classes")),
        metadata=metadata,
        path=ModelPath.of(arrays, document.get("path")),
    )


def _told(columns: Sequence[str]) -> list[str] | int | dict[str, int]:
    """Return the names, or how many numbered ones there are, and the first unless it is 0."""
    if not isinstance(columns, NumberedNames):
        return list(columns)
    return {"first": columns.first, "n": len(columns)} if columns.first else len(columns)


def _columns(told: object) -> Sequence[str]:
    """Return the names that `_told` wrote. Raises ModelError."""
    if isinstance(told, int) and told > MANY:
        return NumberedNames(told)
    if isinstance(told, dict) and set(told) == {"first", "n"}:
        first, n = told["first"], told["n"]
        if isinstance(first, int) and isinstance(n, int) and first >= 0 and n > MANY:
            return NumberedNames(n, first)
    return _texts("columns", told)


def _kind_of(loss: Loss) -> str:
    """Return the registry's name of the loss. Raises ModelError when it has none."""
    for kind, cls in LOSSES.items():
        if type(loss) is cls:
            return kind
    raise ModelError(f"loss {type(loss).__name__} is not in LOSSES; register it to save models")


def _loss_from(document: object) -> Loss:
    """Rebuild the loss from its kind and its fields. Raises ModelError."""
    fields = dict(document) if isinstance(document, dict) else {}
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in LOSSES:
        raise ModelError(f"its loss is {kind!r:.60}, this mpi_gd knows {', '.join(LOSSES)}")
    try:
        return LOSSES[kind](**fields)
    except (TypeError, ValueError) as error:
        raise ModelError(f"its loss {kind!r} cannot be built: {error}") from error


def _texts(name: str, value: object) -> tuple[str, ...]:
    """Return a list of texts, which can be written, as a tuple. Raises ModelError."""
    if not isinstance(value, list) or not all(map(_is_text, value)):
        raise ModelError(f"{name}: got {value!r:.60}, expected text")
    return tuple(value)


def _is_text(value: object) -> bool:
    """Tell whether a value is a text without halves of characters, which UTF-8 does not have."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def _labels(value: object) -> tuple[str, ...] | None:
    """Return the labels, or None. Raises ModelError."""
    return None if value is None else _texts("classes", value)
