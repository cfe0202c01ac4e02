"""One look for all figures: colours, fonts, sizes, and how they are saved."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from epitaxy.core.files import atomic_file

P = ParamSpec("P")

BLUE, VERMILLION, GREEN, AMBER = "#0072B2", "#D55E00", "#009E73", "#B87700"
"""From the palette of Okabe and Ito, which colour-blind readers can tell apart; its orange is
darkened to amber because thin outlines must be seen on white."""

INK, MUTED, PALE, FAINT = "#1f2933", "#5f6b7a", "#8a94a3", "#dfe4ea"
"""Text, secondary text, points of little weight, and grid lines."""

ON_COLOUR = "#18222c"
"""Text on coloured cells. Pages may show `INK` light on a dark page, but never this."""

DPI = 150

SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": True,
    "legend.facecolor": "white",
    "legend.edgecolor": "none",
    "legend.framealpha": 0.95,
    "legend.fontsize": 9,
    "hatch.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True)
class Series:
    """How one split or model is drawn; marker, fill and dashes tell it apart in grey."""

    label: str
    colour: str
    marker: str
    filled: bool
    line: str | tuple[int, tuple[int, ...]]
    hatch: str = ""

    def points(self, n: int) -> dict[str, Any]:
        """Keyword arguments of ``Axes.scatter`` for n points: the more, the smaller and paler."""
        crowd = float(np.clip((np.log10(max(n, 1)) - 1.5) / 2.5, 0, 1))
        # White centres part single points but would hide the points of a crowd.
        hollow = "white" if crowd < 0.4 else "none"
        return {
            "s": 30 - 24 * crowd,
            "alpha": 0.9 - 0.55 * crowd,
            "marker": self.marker,
            "facecolors": self.colour if self.filled else hollow,
            "edgecolors": "white" if self.filled else self.colour,
            "linewidths": 0.4 if self.filled else 1.0,
            "label": self.label,
        }


SPLIT_SERIES = {
    "train": Series("training", PALE, "o", filled=False, line=":"),
    "val": Series("validation", AMBER, "s", filled=False, line="--"),
    "test": Series("test", BLUE, "o", filled=True, line="-"),
    "other": Series("other held-out", VERMILLION, "^", filled=False, line="-"),
    "new": Series("new", GREEN, "D", filled=True, line="-."),
}
"""How the splits look everywhere."""

FIRST, SECOND = (AMBER, "s", False, "--", "////"), (BLUE, "o", True, "-", "")
"""Reference and candidate of a comparison: colour, marker, filled, line, hatch."""


PALETTE = (
    ("#0072B2", "o", True, "-", ""),
    ("#D55E00", "s", False, "--", "////"),
    ("#009E73", "^", True, "-.", "\\\\\\\\"),
    ("#B87700", "D", False, ":", "xxxx"),
    ("#CC79A7", "v", True, (0, (5, 1)), "----"),
    ("#5f6b7a", "P", False, (0, (3, 1, 1, 1)), "++++"),
    ("#56B4E9", "X", True, (0, (1, 1)), "||||"),
)
"""Colour, marker, filled, dashes and hatch of several methods, which also differ in grey."""


def method_series(names: Sequence[str]) -> list[Series]:
    """Return how several methods look; from the eighth on the looks come again."""
    return [Series(name, *PALETTE[i % len(PALETTE)]) for i, name in enumerate(names)]


def model_series(names: tuple[str, str]) -> tuple[Series, Series]:
    """Return how the reference and the candidate of a comparison look."""
    return Series(names[0], *FIRST), Series(names[1], *SECOND)


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorate a figure function: it draws with `SETTINGS`, which nobody else sees."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(SETTINGS):
            return draw(*args, **kwargs)

    return wrapper


class Drawing(Figure):
    """A figure that knows what a page says about its parts when somebody points at them."""

    tips: dict[str, list[str]]
    """Identity of an artist -> a text for all of it, or one for each of its points."""


def tip(artist: Artist, *texts: str) -> None:
    """Say what a page shows for an artist, or for each point of a collection of points."""
    figure = artist.get_figure(root=True)
    if isinstance(figure, Drawing):
        identity = f"tip-{len(figure.tips)}"
        artist.set_gid(identity)
        figure.tips[identity] = list(texts)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of ``width`` times ``height`` inches that belongs to no window."""
    figure = Drawing(figsize=(width, height), dpi=DPI, layout="constrained")
    figure.tips = {}
    FigureCanvasAgg(figure)
    return figure


def note(axes: Axes, text: str) -> None:
    """Write ``text`` into the upper left corner of a panel."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.65, "pad": 2.0}
    axes.text(
        0.035, 0.965, text, transform=axes.transAxes, va="top", linespacing=1.45, bbox=box, zorder=6
    )


def square_limits(values: np.ndarray) -> tuple[float, float]:
    """Common limits of both axes that leave 5 % free around ``values``.

    >>> square_limits(np.array([0.0, 10.0]))
    (-0.5, 10.5)
    """
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def save_figure(figure: Figure, path: str | Path, data: pd.DataFrame, *, pdf: bool = False) -> Path:
    """Write a PNG of 150 dpi and, beside it, a CSV with the data that it shows.

    Args:
        figure: what a figure function returned.
        path: where the PNG goes; the CSV has the same stem.
        data: the frame that was drawn.
        pdf: write a PDF too.

    Returns:
        The path of the PNG.

    Raises:
        InputError: the place cannot be written.
    """
    path = Path(path)
    with atomic_file(path) as temporary, mpl.rc_context(SETTINGS):
        # Without the version of matplotlib in it, equal figures are equal files.
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
    if pdf:
        with atomic_file(path.with_suffix(".pdf")) as temporary, mpl.rc_context(SETTINGS):
            figure.savefig(temporary, format="pdf", metadata={"CreationDate": None})
    with atomic_file(path.with_suffix(".csv")) as temporary:
        data.to_csv(temporary, index=False)
    return path
