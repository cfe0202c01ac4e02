"""Two models on the same crystals: how much better is one, and could it be chance?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from epitaxy.core.errors import InputError
from epitaxy.results.intervals import difference, score
from epitaxy.results.predictions import known_rows, select_property

Interval = tuple[float, float] | None
SAME_TRUTH = 1e-5
"""Share of the largest value by which true values may differ (one was single precision)."""


@dataclass(frozen=True)
class Comparison:
    """Mean absolute errors of two models on the same n crystals.

    The first is the reference (training from scratch, say), the second the candidate (the
    transferred model); changes are candidate minus reference, so that negative is better.
    """

    property: str
    unit: str
    split: str
    n: int
    mae_first: float
    """In ``unit``."""
    mae_second: float
    """In ``unit``."""
    change: float
    """``mae_second - mae_first``, in ``unit``."""
    change_percent: float | None
    """``100 * (mae_second - mae_first) / |mae_first|``; None when the first MAE is 0."""
    change_interval: tuple[float, float] | None
    """95 % paired interval of ``change`` in ``unit`` (`intervals.difference`); None when n < 2."""
    p_value: float
    """Two-sided Wilcoxon signed-rank test on the paired absolute errors."""
    intervals: tuple[Interval, Interval] = (None, None)
    """95 % intervals of both errors in ``unit``."""

    @classmethod
    def of(
        cls, pairs: pd.DataFrame, intervals: tuple[Interval, Interval] = (None, None)
    ) -> Comparison:
        """Compare the two models of a frame that `paired_rows` made.

        Args:
            pairs: the frame.
            intervals: of both errors, as their runs have them; computed where None.
        """
        from scipy.stats import wilcoxon

        errors_first, errors_second = (errors.to_numpy() for errors in _paired_errors(pairs))
        changes = errors_second - errors_first
        mae_first, mae_second = float(errors_first.mean()), float(errors_second.mean())
        change = mae_second - mae_first
        # Pairs without a difference say nothing about its sign (Wilcoxon's own treatment).
        decided = changes[changes != 0]
        return cls(
            property=str(pairs["property"].iloc[0]),
            unit=str(pairs["unit"].iloc[0]),
            split=str(pairs["split"].iloc[0]),
            n=len(pairs),
            mae_first=mae_first,
            mae_second=mae_second,
            change=change,
            change_percent=100 * change / abs(mae_first) if mae_first else None,
            intervals=(
                intervals[0] or score(errors_first).known,
                intervals[1] or score(errors_second).known,
            ),
            change_interval=difference(errors_second, errors_first).known,
            p_value=float(wilcoxon(decided).pvalue) if len(decided) else 1.0,
        )


def paired_rows(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    split: str = "test",
    property_name: str | None = None,
) -> pd.DataFrame:
    """Put the predictions of two models for the same crystals side by side.

    Returns:
        One row per crystal of ``split`` with a known value, in the order of ``first``: ``id``,
        ``property``, ``split``, ``y_true``, ``y_first``, ``y_second``, ``unit``.

    Raises:
        InputError: there is no such row, or ids, true values or units differ.
    """
    one = known_rows(first, split, property_name)
    two = known_rows(second, split, property_name)
    name = property_name or str(select_property(first)["property"].iloc[0])
    _check_same_crystals(one, two, split)
    two = two.set_index("id").loc[one["id"]].reset_index()
    for column in ("property", "unit"):
        a, b = one[column].iloc[0], two[column].iloc[0]
        if a != b:
            raise InputError(
                f"The first predictions have the {column} {a!r}, the second {b!r}; "
                "compare two models of the same property in the same unit."
            )
    y = one["y_true"].to_numpy()
    if np.abs(y - two["y_true"].to_numpy()).max() > SAME_TRUTH * np.abs(y).max():
        raise InputError(
            f"The true values of {name!r} differ between the two predictions; "
            "evaluate both models on the same table."
        )
    pairs = one[["id", "property", "split", "y_true"]].copy()
    pairs["y_first"], pairs["y_second"] = one["y_pred"], two["y_pred"]
    pairs["unit"] = one["unit"]
    return pairs


def _paired_errors(pairs: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float]]:
    """Return the absolute errors of both models of a frame that `paired_rows` made."""
    first, second = ((pairs[name] - pairs["y_true"]).abs() for name in ("y_first", "y_second"))
    return first, second


def _check_same_crystals(one: pd.DataFrame, two: pd.DataFrame, split: str) -> None:
    ids_one, ids_two = set(one["id"]), set(two["id"])
    if not ids_one and not ids_two:
        raise InputError(
            f"Neither prediction has a known value in the split {split!r}; "
            "compare on a split that both have."
        )
    if ids_one != ids_two:
        example = min(ids_one ^ ids_two)
        raise InputError(
            f"The two predictions are for different crystals in the split {split!r} "
            f"({len(ids_one - ids_two)} only in the first, {len(ids_two - ids_one)} only in the "
            f"second, for example {example!r}); train both models with the same split file."
        )


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    split: str = "test",
    property_name: str | None = None,
) -> Comparison:
    """Compare two models on the crystals of ``split`` whose true value is known.

    The change in percent is that of the papers on transfer learning,
    ``100 * (v_TL - v_scratch) / |v_scratch|`` with v the MAE, where ``first`` is the model trained
    from scratch and ``second`` the transferred one. The interval of the change draws crystals
    with replacement and takes both models' errors for each, because the errors of two models on
    the same crystal go together.

    Args:
        first: predictions of the reference.
        second: predictions of the candidate, for the same ids.
        split: which rows count.
        property_name: which property; None for the only one.

    Raises:
        InputError: the two frames are not about the same crystals, values and unit.
    """
    return Comparison.of(paired_rows(first, second, split=split, property_name=property_name))


def compare_trials(
    first: Sequence[pd.DataFrame],
    second: Sequence[pd.DataFrame],
    *,
    split: str = "test",
    property_name: str | None = None,
) -> tuple[float, tuple[float, float] | None]:
    """Compare two ways of training by pairs of models, one of each way per trial.

    Args:
        first: predictions of the reference, one frame per trial.
        second: predictions of the candidate for the same trials.
        split: which rows count.
        property_name: which property; None for the only one.

    Returns:
        Mean change of the absolute error from first to second in physical units, and its 95 %
        interval (None for fewer than two crystals). The errors of a crystal are averaged over the
        trials, and the interval draws crystals: trials that share them are not independent.

    Raises:
        InputError: two frames of a trial are not about the same crystals, values and unit.
    """
    changes = []
    for one, two in zip(first, second, strict=True):
        pairs = paired_rows(one, two, split=split, property_name=property_name)
        errors_first, errors_second = _paired_errors(pairs.set_index("id"))
        changes.append(errors_second - errors_first)
    change = pd.concat(changes, axis=1).mean(axis=1).to_numpy()
    found = difference(change, np.zeros(len(change)))
    return found.mae, found.known
