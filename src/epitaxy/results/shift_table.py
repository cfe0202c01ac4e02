"""The table of sources by their distance from a target task, and the closest of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from epitaxy.core.errors import InputError

CLOSEST = 4
"""How many sources the averages are over (Chang 2022)."""
SPACES = {"features": "feature_cmd", "labels": "label_cmd"}
"""In what crystals are compared -> column of the distance."""


class ShiftRow(NamedTuple):
    """One source against the target task; distances have no unit, NaN where there is none."""

    source: str
    model: str
    data: str = ""
    property: str = ""
    group: str = ""
    """Depth group of the model after which the features were taken."""
    source_rows: float = np.nan
    """Crystals of the source that have a label; of all that it was trained on, without a table."""
    target_rows: float = np.nan
    feature_cmd: float = np.nan
    feature_low: float = np.nan
    feature_high: float = np.nan
    label_cmd: float = np.nan
    label_low: float = np.nan
    label_high: float = np.nan
    note: str = ""
    """Why a distance is missing."""


def shift_table(rows: Sequence[ShiftRow]) -> pd.DataFrame:
    """Return the rows as a frame: nearest features first, without features nearest labels first.

    >>> rows = [ShiftRow("a", "a"), ShiftRow("b", "b", feature_cmd=0.2)]
    >>> list(shift_table(rows)["source"])
    ['b', 'a']
    """
    frame = pd.DataFrame(rows, columns=list(ShiftRow._fields))
    for column in ("source_rows", "target_rows"):
        frame[column] = frame[column].astype("Int64")
    return frame.sort_values(list(SPACES.values()), kind="stable", ignore_index=True)


def nearest_sources(table: pd.DataFrame, closest: int = CLOSEST) -> pd.DataFrame:
    """Average the smallest distances, in features and in labels (the sets are independent).

    Args:
        table: what `shift_table` returned.
        closest: how many sources are averaged, at most; ``n`` says how many there were.

    Returns:
        One row per space: ``space``, ``n``, ``mean_cmd`` (NaN without any), ``sources``.

    Raises:
        InputError: ``closest`` is below 1.

    >>> rows = [ShiftRow("a", "a", feature_cmd=0.1), ShiftRow("b", "b", feature_cmd=0.3)]
    >>> nearest_sources(shift_table(rows)).to_dict("records")[0]
    {'space': 'features', 'n': 2, 'mean_cmd': 0.2, 'sources': 'a; b'}
    """
    if closest < 1:
        raise InputError(f"closest={closest} is not allowed; average over at least 1 source.")
    rows = []
    for space, column in SPACES.items():
        best = table.dropna(subset=[column]).nsmallest(closest, column)
        mean = float(best[column].mean())
        rows.append((space, len(best), mean, "; ".join(best["source"])))
    return pd.DataFrame(rows, columns=["space", "n", "mean_cmd", "sources"])
