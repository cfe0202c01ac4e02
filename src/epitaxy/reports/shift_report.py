"""Files, figure and page of an analysis of distances between tasks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from epitaxy.core.files import atomic_folder
from epitaxy.reports.figures.shift_scatter import shift_scatter
from epitaxy.reports.page import page_figure, write_page

CAPTION = (
    "One point per source that has both distances; the lower left corner is near. Larger points "
    "have more crystals."
)


def write_shift_report(
    out: str | Path,
    shifts: pd.DataFrame,
    nearest: pd.DataFrame,
    dropped: pd.DataFrame,
    *,
    target: str,
) -> Path:
    """Write the folder ``out``.

    Args:
        out: folder to write; it may be one that an earlier analysis wrote.
        shifts: what `shift_table` returned: ``shift.csv``.
        nearest: what `nearest_sources` returned: ``nearest.csv``.
        dropped: ``data``, ``id``, ``reason`` of crystals that were left out: ``dropped.csv``,
            absent when there are none.
        target: property of the task.

    Returns:
        The path of ``report.html``. A figure is drawn when a source has both distances.

    Raises:
        InputError: ``out`` is not ours to write, or the disk is full.
    """
    with atomic_folder(out) as folder:
        shifts.to_csv(folder / "shift.csv", index=False)
        nearest.to_csv(folder / "nearest.csv", index=False)
        if len(dropped):
            dropped.to_csv(folder / "dropped.csv", index=False)
        drawn = shifts.dropna(subset=["feature_cmd", "label_cmd"])
        with_intervals = bool(shifts["feature_low"].notna().any())
        figure = None
        if len(drawn):
            place = folder / "figures" / "shift_scatter.png"
            lines = " Lines are 95 % intervals." if with_intervals else ""
            figure = page_figure(shift_scatter(drawn), place, drawn, CAPTION + lines)
        write_page(
            folder / "report.html",
            "shift.html",
            title=f"Distance of sources from {target}",
            target=target,
            target_rows=int(shifts["target_rows"].iloc[0]),
            nearest=nearest.to_dict("records"),
            shifts=_cells(shifts),
            with_intervals=with_intervals,
            n_dropped=len(dropped),
            figure=figure,
        )
    return Path(out) / "report.html"


def _cells(shifts: pd.DataFrame) -> list[dict[str, object]]:
    """Return the rows with None for what is not known."""
    plain = shifts.astype(object).where(shifts.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in plain.to_dict("records")]
