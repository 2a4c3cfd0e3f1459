"""Columns of Arrow's as ours: numbers are float64, text is coded, dates are microseconds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.columns import Column, Kind
from mpi_gd.errors import DataError

__all__ = ["kind_of", "role_values", "to_column"]

# Whole numbers beyond are no float64 numbers, one each.
_WHOLE = 1 << 53
# More text is no label.
_MOST_LABEL_CHARACTERS = 200


def kind_of(form: Any) -> Kind | None:
    """Return what values of an Arrow type are, None for what is no column of ours."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(form):
        return kind_of(form.value_type)
    if types.is_boolean(form):
        return "boolean"
    if any(each(form) for each in (types.is_integer, types.is_floating, types.is_decimal)):
        return "number"
    if types.is_null(form):
        return "number"
    if types.is_string(form) or types.is_large_string(form) or types.is_string_view(form):
        return "text"
    return "date" if types.is_date(form) or types.is_timestamp(form) else None


def to_column(found: Any, kind: Kind, where: str, first_row: int) -> Column:
    """Return a chunked array as a column; NaN stands for a missing value, as a gap does.

    Raises DataError, beginning with `where`, for a whole number that float64 does not hold.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind == "text":
        return _coded(found)
    if pa.types.is_dictionary(found.type):
        found = found.cast(found.type.value_type)
    if kind == "date":
        moments = found.cast(pa.timestamp("us", tz=getattr(found.type, "tz", None)), safe=False)
        values = pc.fill_null(moments.cast(pa.int64()), 0).to_numpy()
        gaps = found.is_null().to_numpy() if found.null_count else None
        return Column(kind, np.array(values, dtype=np.int64), gaps)
    if pa.types.is_integer(found.type) and found.type.bit_width == 64:
        _require_exact(found, where, first_row)
    if pa.types.is_float16(found.type):
        numbers = np.concatenate(
            [c.to_numpy(zero_copy_only=False).astype(np.float64) for c in found.chunks]
        )
    else:
        if pa.types.is_decimal(found.type):
            # The cast from decimals is not to the nearest float64; that from their text is.
            found = found.cast(pa.string())
        numbers = np.array(found.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    missing = np.isnan(numbers)
    return Column(kind, numbers, missing if missing.any() else None)


def _coded(found: Any) -> Column:
    """Return text as codes; two chunks may have dictionaries of their own."""
    import pyarrow as pa

    if not pa.types.is_dictionary(found.type):
        found = found.dictionary_encode()
    chunks = found.unify_dictionaries().chunks
    if not chunks:
        return Column("text", np.empty(0, dtype=np.int32))
    codes = np.concatenate(
        [np.array(c.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int32) for c in chunks]
    )
    levels = chunks[0].dictionary.to_pylist()
    missing = codes < 0
    # A text that is itself null in the dictionary.
    nulls = [place for place, text in enumerate(levels) if text is None]
    if nulls:
        missing |= np.isin(codes, nulls)
        levels = ["" if text is None else text for text in levels]
    return Column("text", codes, missing if missing.any() else None, tuple(levels))


def _require_exact(found: Any, where: str, first_row: int) -> None:
    """Raise DataError for a whole number that is none in float64."""
    import pyarrow.compute as pc

    ends = pc.min_max(found).as_py()
    if ends["min"] is None or (ends["min"] >= -_WHOLE and ends["max"] <= _WHOLE):
        return
    for row, value in enumerate(found.to_pylist()):
        if value is not None and int(float(value)) != value:
            raise DataError(
                f"{where}: row {first_row + row}: got {value}, which float64 cannot hold, expected "
                "whole numbers up to 2**53; leave the column out (data.exclude), or save it as text"
            )


def role_values(column: Column, where: str, first_row: int, is_text: bool) -> NDArray[Any]:
    """Return a column in a role, (n,): float64, or text; raises DataError for a gap or a date."""
    gap = column.first_missing
    if gap is not None:
        raise DataError(
            f"{where}: row {first_row + gap}: got nothing, expected a value; remove the row"
        )
    if column.kind == "date":
        raise DataError(f"{where}: got dates, expected numbers or text; use another column")
    if column.kind != "text":
        return column.values
    if not is_text:
        raise DataError(f"{where}: got text, expected numbers; use another column")
    texts = np.array([text.strip() for text in column.levels] or [""], dtype=np.str_)
    longest = max(map(len, column.levels), default=0)
    if longest > _MOST_LABEL_CHARACTERS:
        raise DataError(
            f"{where}: got a text of {longest} characters, expected at most "
            f"{_MOST_LABEL_CHARACTERS}; is this the right column?"
        )
    return np.asarray(texts[column.values])
