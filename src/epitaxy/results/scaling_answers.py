"""What lines say: rows that reach a wanted error, and rows that a transfer was worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from epitaxy.core.errors import InputError
from epitaxy.results.scaling import Interval, SizeFor
from epitaxy.results.scaling_lines import FittedLine
from epitaxy.results.scaling_pairs import Crossing, Equal, crossing, equal_size

REACH = 10.0
"""How many times the largest size a line is followed, or what fraction of the smallest."""


class Range(NamedTuple):
    """The sizes over which a line is followed."""

    low: float
    high: float
    reach: float
    largest: float

    @classmethod
    def of(cls, line: FittedLine, reach: float) -> Range:
        """Return the sizes measured, widened by the factor ``reach`` at both ends.

        Raises:
            InputError: ``reach`` is below 1.
        """
        if not reach >= 1:
            raise InputError(f"A reach of {reach:g} is not allowed; give a factor from 1 on.")
        sizes = line.line.sizes
        return cls(sizes[0] / reach, sizes[-1] * reach, reach, sizes[-1])

    def beyond(self, kind: str) -> str:
        """Return why a line is not followed further."""
        return (
            f"beyond {self.high:,.0f} {kind} rows, {self.reach:g} times the largest size measured "
            f"({self.largest:,.0f})"
        )

    def clipped(self, interval: Interval | None) -> Interval:
        """Return an interval with ends outside the range as 0 and infinity, NaN without one."""
        if interval is None:
            return np.nan, np.nan
        low, high = interval
        return (low if low >= self.low else 0.0), (high if high <= self.high else np.inf)

    def words(self, ends: Interval, unknown: str) -> str:
        """Say what `clipped` returned; ``unknown`` when neither end is known."""
        low, high = ends
        if np.isnan(low):
            return "no interval from two sizes"
        if low == 0 and not np.isfinite(high):
            return unknown
        first = f"{low:,.0f}" if low else f"fewer than {self.low:,.0f}"
        last = f"{high:,.0f}" if np.isfinite(high) else f"more than {self.high:,.0f}"
        return f"interval {first} to {last}"


def wanted_frame(
    lines: Sequence[FittedLine], error: float, *, have: float | None, reach: float, level: float
) -> pd.DataFrame:
    """Return the rows at which every line reaches an error.

    Args:
        lines: what `fit_lines` returned.
        error: in the unit of the errors.
        have: rows that exist; the largest size of each line when None.
        reach: how many times the largest size a line may be followed.
        level: coverage of the intervals.

    Returns:
        One row per line: ``line``, ``axis``, ``error``, ``unit``, ``have``, ``rows`` with
        ``rows_low`` and ``rows_high``, ``more`` (rows to add) with its ends, ``law`` (``line``, or
        ``floor`` where the errors level off), ``status`` (``reached``, ``refused``) and
        ``sentence``. Numbers outside the range are NaN, open ends infinite.

    Raises:
        InputError: ``error`` is not a number above 0.
    """
    if not (np.isfinite(error) and error > 0):
        raise InputError(f"The wanted error {error:g} is not allowed; give a number above 0.")
    return pd.DataFrame([_wanted(line, error, have, reach, level) for line in lines])


def _wanted(
    found: FittedLine, error: float, have: float | None, reach: float, level: float
) -> dict[str, Any]:
    limits = Range.of(found, reach)
    here = float(found.line.sizes[-1]) if have is None else have
    law = found.line if found.floor is None else found.floor
    text = f"{error:g} {found.unit}".rstrip()
    row: dict[str, Any] = {
        "line": found.name,
        "axis": found.axis,
        "error": error,
        "unit": found.unit,
        "have": here,
        **dict.fromkeys(("rows", "rows_low", "rows_high"), np.nan),
        **dict.fromkeys(("more", "more_low", "more_high"), np.nan),
        "law": "line" if found.floor is None else "floor",
        "status": "refused",
    }
    try:
        size = law.size_for(error, level)
    except InputError as refused:
        return {**row, "sentence": str(refused)}
    if size.size > limits.high:
        words = f"{text} lies {limits.beyond(found.axis)}, so the line is not followed there; "
        return {**row, "sentence": f"{words}measure larger sizes, or allow a larger reach."}
    if size.size < limits.low:
        words = (
            f"{text} lies below {limits.low:,.3g} {found.axis} rows, 1/{reach:g} of the smallest"
        )
        return {**row, "sentence": f"{words} size measured; it is reached already."}
    low, high = _within(size, limits)
    numbers = {"rows": size.size, "rows_low": low, "rows_high": high}
    # Ends that are not known are neither 0 nor any other number.
    more = {f"more{k[4:]}": max(0.0, v - here) if np.isfinite(v) else v for k, v in numbers.items()}
    interval = limits.words((low, high), "the slope is too uncertain for an interval")
    sentence = f"{text} takes {size.size:,.0f} {found.axis} rows ({interval}), {_more(size, here)}."
    return {**row, **numbers, **more, "status": "reached", "sentence": sentence}


def _within(size: SizeFor, limits: Range) -> Interval:
    """Return the interval within limits; any size is possible where the slope is too uncertain."""
    if size.interval is None and not np.isnan(size.g):
        return 0.0, np.inf
    return limits.clipped(size.interval)


def _more(size: SizeFor, here: float) -> str:
    more = size.size - here
    amount = f"{more:,.0f} more" if more > 0 else "no more"
    return f"{amount} than the {here:,.0f} there are"


def transfers(lines: Sequence[FittedLine]) -> list[tuple[FittedLine, FittedLine]]:
    """Pair every line of a transfer against target rows with its line from scratch.

    A condition in which the lines from scratch do not differ is no condition of the comparison.
    """
    scratch = [line for line in lines if line.baseline and line.axis == "target"]
    if not scratch:
        return []
    names = [n for n in scratch[0].conditions if len({s.conditions[n] for s in scratch}) > 1]

    def key(line: FittedLine) -> tuple[str, ...]:
        return (line.property_name, line.unit, *(line.conditions[name] for name in names))

    known = {key(line): line for line in scratch}
    others = [line for line in lines if line.axis == "target" and not line.baseline]
    return [(known[key(line)], line) for line in others if key(line) in known]


def worth_frame(
    pairs: Sequence[tuple[FittedLine, FittedLine]], *, reach: float, level: float, seed: int
) -> pd.DataFrame:
    """Return what transfers were worth, at every size that both lines measured or lie between.

    Returns:
        One row per transfer and size: ``line``, ``against``, ``size`` (its target rows), ``error``
        on its line, ``unit``, ``scratch_size`` (rows from scratch for the same error) with
        ``scratch_low`` and ``scratch_high``, ``rows`` (what the transfer was worth, negative where
        it did harm) with its ends, ``factor``, ``undefined`` (share of draws without a solution),
        ``status`` (``helped``, ``harmed``, ``unclear``, ``refused``) and ``sentence``.
    """
    rows = []
    for scratch, transfer in pairs:
        limits = Range.of(scratch, reach)
        sizes = [s for s in transfer.line.sizes if limits.low <= s <= limits.high]
        for size in sizes:
            equal = equal_size(scratch.line, transfer.line, float(size), level=level, seed=seed)
            rows.append(_worth(scratch, transfer, equal, limits))
    return pd.DataFrame(rows)


def _worth(
    scratch: FittedLine, transfer: FittedLine, equal: Equal, limits: Range
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "line": transfer.name,
        "against": scratch.name,
        "size": equal.size,
        "error": equal.error,
        "unit": transfer.unit,
        **dict.fromkeys(("scratch_size", "scratch_low", "scratch_high"), np.nan),
        **dict.fromkeys(("rows", "rows_low", "rows_high", "factor"), np.nan),
        "undefined": equal.undefined,
        "status": "refused",
    }
    at = f"At {equal.size:,.0f} target rows"
    if np.isnan(equal.scratch_size):
        why = "the error from scratch does not fall with rows, so no number of them is equal."
        return {**row, "sentence": f"{at} {why}"}
    if equal.scratch_size > limits.high:
        why = f"scratch needs for the same error lies {limits.beyond('target')}."
        return {**row, "sentence": f"{at} what {why}"}
    if equal.scratch_size < limits.low:
        why = (
            f"scratch needs fewer than {limits.low:,.3g} for the same error: the transfer did harm."
        )
        return {**row, "sentence": f"{at} {why}"}
    low, high = limits.clipped(equal.interval)
    status = "unclear"
    if low > equal.size:
        status = "helped"
    elif high < equal.size:
        status = "harmed"
    numbers = {
        "scratch_size": equal.scratch_size,
        "scratch_low": low,
        "scratch_high": high,
        "rows": equal.rows,
        "rows_low": low - equal.size,
        "rows_high": high - equal.size,
        "factor": equal.factor,
    }
    sentence = _worth_sentence(at, equal, (low, high), status, limits)
    return {**row, **numbers, "status": status, "sentence": sentence}


def _worth_sentence(at: str, equal: Equal, ends: Interval, status: str, limits: Range) -> str:
    low, high = (end - equal.size for end in ends)
    if equal.interval is None:
        interval = "no interval from two sizes"
    else:
        last = (
            signed(high) if np.isfinite(high) else f"more than {signed(limits.high - equal.size)}"
        )
        interval = f"interval {signed(low)} to {last}"
        interval += ", so undecided" if status == "unclear" else ""
    verb = "was worth" if equal.rows >= 0 else "cost"
    return (
        f"{at} the transfer {verb} {abs(equal.rows):,.0f} rows ({interval}): scratch has the same "
        f"error at {equal.scratch_size:,.0f}."
    )


def signed(rows: float) -> str:
    """Write a number of rows with its sign.

    >>> signed(1234.4), signed(-0.3)
    ('+1,234', '+0')
    """
    return f"{round(rows):+,d}"


def crossings_frame(
    pairs: Sequence[tuple[FittedLine, FittedLine]], *, reach: float, level: float, seed: int
) -> pd.DataFrame:
    """Return where the advantage of each transfer is used up.

    Returns:
        One row per transfer: ``line``, ``against``, ``size`` with ``size_low`` and ``size_high``,
        ``error`` there, ``unit``, ``undefined`` (share of draws in which scratch is not the steeper
        line) and ``sentence``; NaN where lines do not meet within reach.
    """
    rows = []
    for scratch, transfer in pairs:
        found = crossing(scratch.line, transfer.line, level=level, seed=seed)
        both = [Range.of(line, reach) for line in (scratch, transfer)]
        limits = min(both, key=lambda one: one.high)
        rows.append(_crossed(scratch, transfer, found, limits))
    return pd.DataFrame(rows)


def _crossed(
    scratch: FittedLine, transfer: FittedLine, found: Crossing, limits: Range
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "line": transfer.name,
        "against": scratch.name,
        **dict.fromkeys(("size", "size_low", "size_high", "error"), np.nan),
        "unit": transfer.unit,
        "undefined": found.undefined,
    }
    if np.isnan(found.size):
        words = "The line from scratch is not the steeper one, so they do not meet at more rows."
        return {**row, "sentence": words}
    if not limits.low <= found.size <= limits.high:
        where = limits.beyond("target") if found.size > limits.high else "below the sizes measured"
        return {**row, "sentence": f"The lines meet {where}."}
    low, high = limits.clipped(found.interval)
    sentence = f"The advantage of the transfer is used up at about {found.size:,.0f} target rows"
    ends = limits.words((low, high), "too uncertain for an interval")
    return {
        **row,
        "size": found.size,
        "size_low": low,
        "size_high": high,
        "error": found.error,
        "sentence": f"{sentence} ({ends}).",
    }
