"""Text, Markdown, CSV files and figures of a scaling analysis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from epitaxy.core.files import atomic_folder, write_text
from epitaxy.reports.figures.scaling_lines import scaling_lines
from epitaxy.reports.figures.scaling_worth import scaling_worth
from epitaxy.reports.numbers import MISSING, markdown_table, significant
from epitaxy.reports.style import save_figure
from epitaxy.results.scaling_answers import signed
from epitaxy.results.scaling_frames import ScalingFrames

Table = tuple[str, list[str], list[list[str]]]
"""Title, head and cells."""
FILES = ("lines", "surfaces", "wanted", "worth", "crossings")
"""Frames that are written as CSV where they have rows."""
HOW = (
    "Laws are E = A n^-alpha, straight lines in natural logarithms; each size counts once, with "
    "the mean over its seeds. Results on one test set from nested training rows are not "
    "independent, so intervals are approximate."
)


def scaling_text(found: ScalingFrames) -> str:
    """Return the answers as aligned text for a terminal."""
    blocks = [_aligned(*table) for table in _tables(found)]
    return "\n\n".join([*blocks, *_sentences(found, bullet="")])


def write_scaling_report(out: str | Path, found: ScalingFrames) -> Path:
    """Write ``report.md``, one CSV file per frame and the figures into the folder ``out``.

    Raises:
        InputError: ``out`` is not ours to write, or the disk is full.
    """
    with atomic_folder(out) as folder:
        for name in FILES:
            frame: pd.DataFrame = getattr(found, name)
            if len(frame):
                frame.to_csv(folder / f"{name}.csv", index=False)
        images = _figures(found, folder / "figures")
        lines = ["# Scaling laws", "", HOW]
        for title, head, cells in _tables(found):
            lines += ["", f"## {title}", "", *markdown_table(head, cells)]
        for block in _sentences(found, bullet="- "):
            lines += ["", block]
        for image in images:
            lines += ["", f"![{image.stem}](figures/{image.name})"]
        write_text(folder / "report.md", "\n".join(lines) + "\n")
    return Path(out)


def _tables(found: ScalingFrames) -> list[Table]:
    percent = f"{100 * found.level:g} %"
    cells = [
        [
            row["line"],
            row["axis"],
            f"{row['smallest']:,.0f} to {row['largest']:,.0f}",
            f"{row['sizes']}",
            f"{row['results']}",
            significant(row["alpha"], 3),
            _interval(row["alpha_low"], row["alpha_high"]),
        ]
        for row in found.lines.to_dict("records")
    ]
    head = ["line", "against", "rows", "sizes", "results", "alpha", percent]
    if "rounding_low" in found.lines:
        head = [*head, f"{percent} of rounding"]
        ends = zip(found.lines["rounding_low"], found.lines["rounding_high"], strict=True)
        cells = [[*row, _interval(*pair)] for row, pair in zip(cells, ends, strict=True)]
    tables = [(f"Lines: {found.error_name} ~ rows^-alpha", head, cells)]
    if len(found.surfaces):
        head = ["condition", "target alpha", percent, "source beta", percent, "interaction gamma"]
        cells = [
            [
                row["line"],
                *(
                    text
                    for name in ("alpha", "beta")
                    for text in (
                        significant(row[name], 3),
                        _interval(row[f"{name}_low"], row[f"{name}_high"]),
                    )
                ),
                significant(row["gamma"], 2) if row["gamma"] else "not significant",
            ]
            for row in found.surfaces.to_dict("records")
        ]
        tables.append(("Both sizes at once", head, cells))
    known = found.worth[found.worth["status"] != "refused"] if len(found.worth) else found.worth
    if len(known):
        head = ["transfer", "target rows", "scratch needs", "worth", percent, "verdict"]
        cells = [_worth_cells(row) for row in known.to_dict("records")]
        tables.append(("What transfers were worth, in rows at equal error", head, cells))
    return tables


def _worth_cells(row: dict[Any, Any]) -> list[str]:
    low, high = row["rows_low"], row["rows_high"]
    last = signed(high) if np.isfinite(high) else "unknown"
    interval = MISSING if np.isnan(low) else f"{signed(low)} to {last}"
    return [
        row["line"],
        f"{row['size']:,.0f}",
        f"{row['scratch_size']:,.0f}",
        signed(row["rows"]),
        interval,
        MISSING if np.isnan(low) else row["status"],
    ]


def _sentences(found: ScalingFrames, bullet: str) -> list[str]:
    """Return blocks of sentences: wanted errors, refusals, crossings, notes."""
    blocks = []
    refused = found.worth[found.worth["status"] == "refused"] if len(found.worth) else found.worth
    for frame in (found.wanted, refused, found.crossings):
        if len(frame):
            rows = frame[["line", "sentence"]].itertuples(index=False)
            blocks.append("\n".join(f"{bullet}{line}: {sentence}" for line, sentence in rows))
    noted = found.lines[found.lines["notes"] != ""]
    notes = [
        f"{bullet}{row['line']}, {row['axis']} rows: {row['notes']}."
        for row in noted.to_dict("records")
    ]
    notes = [*notes, *(f"{bullet}{note}" for note in found.notes)]
    return [*blocks, *(["\n".join(notes)] if notes else [])]


def _figures(found: ScalingFrames, folder: Path) -> list[Path]:
    """Draw one figure per property and kind of rows, and one of what transfers were worth."""
    images = []
    several = len(set(found.lines["property"])) > 1
    for (name, axis), results in found.results.groupby(["property", "axis"], sort=False):
        ending = f"-{_file_name(str(name))}" if several else ""
        curves = found.curves[found.curves["line"].isin(results["line"])]
        curves = curves[curves["axis"] == axis]
        figure = scaling_lines(results, curves, found.error_name, found.level)
        images.append(save_figure(figure, folder / f"{axis}_rows{ending}.png", results))
        curves.to_csv(folder / f"{axis}_rows{ending}_laws.csv", index=False)
    if len(found.worth) and (found.worth["status"] != "refused").any():
        figure = scaling_worth(found.worth, found.level)
        images.append(save_figure(figure, folder / "worth.png", found.worth))
    return images


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in text)


def _interval(low: float, high: float) -> str:
    return MISSING if np.isnan(low) else f"{significant(low, 3)} to {significant(high, 3)}"


def _aligned(title: str, head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    rows = [list(head), *map(list, cells)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([title, *lines])
