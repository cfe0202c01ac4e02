"""The table of predictions: the one record that metrics, figures and reports are made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from epitaxy.core.checksums import verified
from epitaxy.core.errors import InputError, unknown
from epitaxy.core.files import atomic_file

TEXT_COLUMNS = ("id", "property", "split", "unit")
NUMBER_COLUMNS = ("y_true", "y_pred", "y_lower", "y_upper")
COLUMNS = ("id", "property", "split", "y_true", "y_pred", "y_lower", "y_upper", "unit")
"""Columns of ``predictions.parquet``; all numbers are in the physical unit of their row."""

SPLITS = ("train", "val", "test", "other", "new")
"""Names a row's split may have; ``other`` is held out like ``test``, but a crystal of another kind
than those to be predicted; ``new`` is a crystal that no split contains."""

USER_COLUMNS = ("id", "property", "y_pred", "y_lower", "y_upper", "unit")
"""Columns of the file that a user gets for new crystals."""
FURTHER_COLUMNS = ("domain", "unseen_elements", "domain_percentile", "nearest")
"""Further columns of that file, where the frame has them: how like the training a crystal is."""


def make_predictions(
    *,
    ids: Sequence[str] | np.ndarray,
    property_name: str,
    split: str | Sequence[str] | np.ndarray,
    y_pred: Sequence[float] | np.ndarray,
    y_true: Sequence[float] | np.ndarray | None = None,
    y_lower: Sequence[float] | np.ndarray | None = None,
    y_upper: Sequence[float] | np.ndarray | None = None,
    unit: str = "",
) -> pd.DataFrame:
    """Build the frame of one property; frames of several properties are joined with ``concat``.

    Args:
        ids: (B,) identifiers.
        property_name: what was predicted.
        split: one name for all rows, or (B,) names out of `SPLITS`.
        y_pred: (B,) predictions in ``unit``, finite.
        y_true: (B,) known values in ``unit``, NaN where not known; None when none is known.
        y_lower: (B,) lower bounds in ``unit``, NaN where there is none.
        y_upper: (B,) upper bounds in ``unit``, NaN where there is none.
        unit: physical unit as text, empty for a pure number.

    Raises:
        InputError: lengths differ, a split is unknown, a row is repeated or a prediction is not
            finite.

    >>> frame = make_predictions(ids=["a", "b"], property_name="gap", split="test",
    ...                          y_true=[1.0, 2.0], y_pred=[1.5, 2.0], unit="eV")
    >>> list(frame.columns) == list(COLUMNS), len(frame)
    (True, 2)
    """
    n = len(ids)
    numbers = {"y_true": y_true, "y_pred": y_pred, "y_lower": y_lower, "y_upper": y_upper}
    data: dict[str, Any] = {
        "id": [str(i) for i in ids],
        "property": [property_name] * n,
        "split": [split] * n if isinstance(split, str) else [str(s) for s in split],
        "unit": [unit] * n,
    }
    for name, values in numbers.items():
        data[name] = np.full(n, np.nan) if values is None else np.asarray(values, dtype=np.float64)
    for name, column in data.items():
        if np.shape(column) != (n,):
            raise InputError(
                f"The column {name!r} has shape {np.shape(column)} but there are {n} ids; "
                "give one number (or name) per id."
            )
    return validate_predictions(pd.DataFrame({name: data[name] for name in COLUMNS}))


def validate_predictions(frame: pd.DataFrame, origin: str = "the predictions") -> pd.DataFrame:
    """Return ``frame`` with exactly the columns of the schema, or say what is wrong with it.

    Args:
        frame: candidate table, one row per crystal and property.
        origin: how the messages call it (a path, say).

    Raises:
        InputError: a column is missing or not a number, a split is unknown, a row is repeated or
            a prediction is not finite.
    """
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise InputError(
            f"The column {missing[0]!r} is missing in {origin}; needed are {', '.join(COLUMNS)}: "
            "write the file with epitaxy, or add the column."
        )
    frame = frame[list(COLUMNS)].reset_index(drop=True)
    for name in NUMBER_COLUMNS:
        frame[name] = _as_float(frame[name], origin)
    for name in TEXT_COLUMNS:
        frame[name] = frame[name].fillna("").astype(str)
    for split in frame["split"].unique():
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
    repeated = frame.duplicated(["id", "property", "split"])
    if repeated.any():
        row = frame[repeated].iloc[0]
        raise InputError(
            f"The id {row['id']!r} stands twice in split {row['split']!r} of {origin} for "
            f"{row['property']!r}; keep one row per id, property and split."
        )
    wrong = frame[~np.isfinite(frame["y_pred"].to_numpy())]
    if len(wrong):
        raise InputError(
            f"{len(wrong)} of {len(frame)} predictions in {origin} are not finite (first: id "
            f"{wrong.iloc[0]['id']!r}); train again with a smaller learning rate, or remove them."
        )
    return frame


def _as_float(column: pd.Series[Any], origin: str) -> np.ndarray:
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The column {column.name!r} of {origin} holds something that is not a number; "
            "give plain numbers, empty where not known."
        ) from error


def write_predictions(frame: pd.DataFrame, path: str | Path) -> None:
    """Write the validated frame as Parquet, all or nothing; NaN becomes null.

    Raises:
        InputError: the frame breaks the schema, or the place cannot be written.
    """
    checked = validate_predictions(frame)
    with atomic_file(path) as temporary:
        checked.to_parquet(temporary, index=False)


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read and validate ``predictions.parquet``.

    Raises:
        InputError: the file is absent, damaged, not Parquet, or breaks the schema.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"There is no file {str(path)!r}; give the predictions.parquet of a run folder."
        )
    verified(path)
    try:
        # An open file, because pandas takes a relative path with a colon for an address.
        with path.open("rb") as file:
            table = pq.read_table(file)
        table.validate(full=True)  # also that texts are texts
        frame = table.to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"The file {str(path)!r} is not a readable Parquet table; "
            "write it again with `epitaxy evaluate`."
        ) from error
    return validate_predictions(frame, repr(str(path)))


def user_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what a user wants to know of new crystals.

    Columns: ``id``, ``property``, ``y_pred``, ``y_lower``, ``y_upper``, ``unit``, and
    `FURTHER_COLUMNS` where the frame has them; a bound that is not known is NaN.

    Raises:
        InputError: the frame breaks the schema.
    """
    shown = validate_predictions(frame)[list(USER_COLUMNS)]
    further = [name for name in FURTHER_COLUMNS if name in frame]
    return shown.assign(**{name: frame[name].to_numpy() for name in further})


def select_property(predictions: pd.DataFrame, property_name: str | None = None) -> pd.DataFrame:
    """Return the rows of one property; None stands for the only one there is.

    Raises:
        InputError: the property is not in the frame, or None is not enough to choose.
    """
    names = list(predictions["property"].unique())
    if property_name is None:
        if len(names) != 1:
            listed = ", ".join(sorted(names)) or "none"
            raise InputError(
                f"The predictions hold {len(names)} properties ({listed}); name the one you mean."
            )
        property_name = names[0]
    elif property_name not in names:
        raise unknown("property", property_name, names)
    return predictions[predictions["property"] == property_name].reset_index(drop=True)


def known_rows(
    predictions: pd.DataFrame, split: str, property_name: str | None = None
) -> pd.DataFrame:
    """Return the rows of one property and split whose true value is known (may be none)."""
    chosen = select_property(predictions, property_name)
    keep = (chosen["split"] == split) & chosen["y_true"].notna()
    return chosen[keep].reset_index(drop=True)
