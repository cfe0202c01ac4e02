"""Ticks of logarithmic axes that people can read."""

from __future__ import annotations

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

WIDE = 50.0
"""Ratio of the ends from which only the powers of ten are labelled."""


def log_axis(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers: 200, 1,000, 0.05."""
    low, high = axis.get_view_interval()
    wide = high / max(low, 1e-300) > WIDE
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_formatter(NullFormatter())


def plain(value: float) -> str:
    """Write a tick.

    >>> plain(1000.0), plain(0.05), plain(2e6)
    ('1,000', '0.05', '2M')
    """
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value:,.0f}" if value >= 1 and np.isclose(value, round(value)) else f"{value:g}"
