"""How often each element occurs, in the periodic table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from epitaxy.core.elements import SYMBOLS
from epitaxy.core.errors import InputError
from epitaxy.reports.cells import bare, colour_bar, draw_cell, shade
from epitaxy.reports.style import new_figure, styled

COLUMNS = ("atomic_number", "crystals")
HEAVIEST = 103
"""Last element that is drawn, lawrencium."""
LIGHTEST = 0.08
"""Share of the colours at which an element with one crystal differs from one with none."""
NOBLE = (2, 10, 18, 36, 54, 86, 118)
"""Atomic numbers that end the periods."""


def position(z: int) -> tuple[float, float]:
    """Return column and row of an element; lanthanides and actinides stand below the others.

    >>> position(1), position(2), position(26), position(58), position(79)
    ((0.0, 0.0), (17.0, 0.0), (7.0, 3.0), (3.0, 7.4), (10.0, 5.0))
    """
    period = sum(z > last for last in NOBLE)
    first = 1 if period == 0 else NOBLE[period - 1] + 1
    before, length = z - first, NOBLE[period] - first + 1
    if before < 2 and z != 2:
        return float(before), float(period)
    if length == 32 and 2 <= before < 17:
        # The fifteen from La and Ac on.
        return float(before), period + 2.4
    return float(18 - (length - before)), float(period)


@styled
def periodic_table(counts: pd.DataFrame, n_crystals: int) -> Figure:
    """Draw the periodic table; the darker an element, the more crystals contain it.

    Args:
        counts: columns `COLUMNS`, one row per element that occurs.
        n_crystals: crystals in all.

    Returns:
        One panel; colours go by the logarithm of the number, which stands below the symbol.

    Raises:
        InputError: no element occurs.
    """
    if counts.empty:
        raise InputError("There is no crystal, so there are no elements to draw.")
    found = dict(zip(counts["atomic_number"], counts["crystals"], strict=True))
    top = np.log10(max(found.values())) or 1.0
    figure = new_figure(10.4, 5.2)
    axes = figure.subplots()
    for z in range(1, HEAVIEST + 1):
        n = int(found.get(z, 0))
        share = 100 * n / n_crystals
        draw_cell(
            axes,
            position(z),
            (SYMBOLS[z], _short(n)) if n else (SYMBOLS[z],),
            shade(LIGHTEST + (1 - LIGHTEST) * np.log10(n) / top) if n else None,
            hint=f"{SYMBOLS[z]}: {n:,} crystals ({share:.3g} %)" if n else "",
            size=8.5,
        )
    bare(axes, 18, 9.4)
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set_title(f"Crystals that contain an element ({len(found)} elements, n = {n_crystals:,})")
    label = "log10 of the number of crystals"
    colour_bar(figure, axes, (0, float(top)), label, lightest=LIGHTEST)
    return figure


def _short(n: int) -> str:
    """Write a number with at most four characters.

    >>> _short(950), _short(12345), _short(1234567)
    ('950', '12k', '1.2M')
    """
    if n < 10_000:
        return str(n)
    return f"{n / 1e3:.0f}k" if n < 1e6 else f"{n / 1e6:.1f}M"
