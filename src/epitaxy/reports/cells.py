"""Coloured cells with numbers in them, as heat maps and periodic tables are made of."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from epitaxy.reports.style import FAINT, INK, MUTED, ON_COLOUR, tip

COLOURS = "Blues"
"""One hue from light to dark: in grey and to colour-blind readers, darker is more all the same."""
DARKEST = 0.62
"""Share of the colour scale that is used, so that dark numbers can be read on all of it."""


def shade(share: float) -> str:
    """Return the colour of a share between 0 and 1, as hexadecimal text.

    >>> shade(0.0), shade(1.0)
    ('#f7fbff', '#4493c7')
    """
    colour = mpl.colormaps[COLOURS](DARKEST * float(np.clip(share, 0, 1)))
    return str(mpl.colors.to_hex(colour))


def draw_cell(
    axes: Axes,
    place: tuple[float, float],
    lines: tuple[str, ...],
    colour: str | None,
    *,
    hint: str = "",
    marked: bool = False,
    hatched: bool = False,
    size: float = 8.5,
) -> None:
    """Draw a cell of width and height one.

    Args:
        axes: where.
        place: its middle.
        lines: what stands in it; the second line is small.
        colour: of the cell; None leaves it empty.
        hint: what a page shows when somebody points at it.
        marked: with a thick frame and bold numbers.
        hatched: with pale strokes.
        size: of the first line, in points.
    """
    x, y = place
    cell = Rectangle(
        (x - 0.47, y - 0.46),
        0.94,
        0.92,
        facecolor=colour or "none",
        edgecolor=INK if marked else (FAINT if colour is None or hatched else colour),
        linewidth=2.0 if marked else 0.8,
        hatch="//////" if hatched else "",
        zorder=3 if marked else 2,
    )
    if hatched:
        cell.set_hatchcolor(FAINT)
    axes.add_patch(cell)
    if hint:
        tip(cell, hint)
    ink = ON_COLOUR if colour else MUTED
    weight = "bold" if marked else "normal"
    shift = 0.14 if len(lines) > 1 else 0.0
    if lines:
        axes.text(
            x, y - shift, lines[0], ha="center", va="center", color=ink, fontsize=size,
            fontweight=weight, zorder=4,
        )  # fmt: skip
    if len(lines) > 1:
        axes.text(
            x, y + 0.24, lines[1], ha="center", va="center", color=ink, fontsize=0.74 * size,
            zorder=4,
        )  # fmt: skip


def bare(axes: Axes, width: float, height: float) -> None:
    """Take away grid, frame and ticks of a panel of cells; the first row is on top."""
    axes.set(xlim=(-0.55, width - 0.45), ylim=(height - 0.45, -0.55))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0)


def colour_bar(
    figure: Figure,
    axes: Axes,
    limits: tuple[float, float],
    label: str,
    *,
    lightest: float = 0.0,
) -> None:
    """Draw the scale of the colours beside a panel, from the share ``lightest`` on."""
    low, high = limits
    levels = np.linspace(lightest, 1, 64)
    colours = mpl.colors.ListedColormap([shade(level) for level in levels])
    mappable = mpl.cm.ScalarMappable(Normalize(low, high), colours)
    bar = figure.colorbar(mappable, ax=axes, shrink=0.8, pad=0.02, aspect=24)
    bar.outline.set_visible(False)
    bar.set_label(label)
