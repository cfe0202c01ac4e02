"""Numbers and units as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

MISSING = "—"
"""What a table shows where there is no number."""


def significant(value: float | None, digits: int = 4) -> str:
    """Write a number with so many significant digits, without an exponent where that is short.

    >>> significant(0.123456), significant(1234.56), significant(12.0), significant(None)
    ('0.1235', '1235', '12.00', '—')
    >>> significant(1.5e-7, 3), significant(123456.0, 3), significant(0.0), significant(0.9999, 3)
    ('1.50e-07', '123456', '0', '1.00')
    """
    if value is None or math.isnan(value):
        return MISSING
    if value == 0 or math.isinf(value):
        return f"{value:g}"
    # Of the rounded value, since 0.9999 is 1.00.
    exponent = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if -4 <= exponent < 7:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return f"{value:.{digits - 1}e}"


def with_unit(value: float | None, unit: str, digits: int = 4) -> str:
    """Write a number and its unit.

    >>> with_unit(0.5, "eV", 2), with_unit(0.5, "", 2)
    ('0.50 eV', '0.50')
    """
    return f"{significant(value, digits)} {unit}".rstrip()


def words(name: str) -> str:
    """Write the name of a column as words.

    >>> words("band_gap")
    'band gap'
    """
    return name.replace("_", " ")


def interval_text(interval: Sequence[float] | None, unit: str, digits: int = 3) -> str:
    """Write an interval in words.

    >>> interval_text((0.1, 0.2), "eV")
    '0.100 to 0.200 eV'
    """
    if interval is None:
        return MISSING
    return f"{significant(interval[0], digits)} to {with_unit(interval[1], unit, digits)}"


def p_text(p: float) -> str:
    """Write a p value; tiny ones as a bound.

    >>> p_text(0.0321), p_text(1e-9)
    ('p = 0.032', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def markdown_table(head: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    r"""Return the lines of a table in Markdown.

    >>> markdown_table(["a"], [["1|2"]])
    ['| a |', '| --- |', '| 1\\|2 |']
    """
    rows = [head, ["---"] * len(head), *cells]
    return [f"| {' | '.join(text.replace('|', chr(92) + '|') for text in row)} |" for row in rows]


def cell(value: Any) -> str:
    """Write whatever stands in a table.

    >>> cell(0.25), cell(True), cell(None), cell(float("nan")), cell("conv")
    ('0.25', 'yes', '—', '—', 'conv')
    """
    if value is None:
        return MISSING
    if isinstance(value, float):
        return MISSING if math.isnan(value) else f"{value:.6g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
