"""HTML pages that need no other file: a template of this package, with the images inside."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from epitaxy.core.files import write_text
from epitaxy.reports.numbers import cell, interval_text, significant, with_unit, words
from epitaxy.reports.style import save_figure
from epitaxy.reports.vector import inline_svg

MOST_DATA = 400_000
"""Bytes of a table that a page carries along; larger ones are only beside it."""


SortableTable = tuple[list[tuple[str, bool]], list[list[tuple[str, float | None]]]]
"""Headings, each with whether its column holds numbers; and rows of cells: text and number."""


class PageFigure(NamedTuple):
    """A figure as a page shows it."""

    key: str
    """Identity within the page, and name of its files."""
    svg: Markup
    caption: str
    data: str
    """The table behind it as a ``data:`` address; empty when it is too large."""


def page_figure(
    figure: Figure, path: Path, data: pd.DataFrame, caption: str, *, pdf: bool = False
) -> PageFigure:
    """Save a figure with its data, and return it for a page.

    Args:
        figure: what a figure function returned.
        path: where the PNG goes; its stem is the key, unique within the page.
        data: the frame that was drawn.
        caption: one or two sentences.
        pdf: write a PDF too.

    Raises:
        InputError: the place cannot be written.
    """
    save_figure(figure, path, data, pdf=pdf)
    table = path.with_suffix(".csv").read_bytes()
    address = "data:text/csv;base64," + base64.b64encode(table).decode("ascii")
    drawn = inline_svg(figure, path.stem, caption)
    return PageFigure(path.stem, drawn, caption, address if len(table) <= MOST_DATA else "")


def sortable(frame: pd.DataFrame, headings: Mapping[str, str] | None = None) -> SortableTable:
    """Return headings and cells of a table that readers can sort.

    A number is shown with four digits and sorted by its full value.
    """
    names = headings or {}
    numeric = [pd.api.types.is_numeric_dtype(frame[name].dtype) for name in frame]
    numeric = [n and frame[c].dtype != bool for n, c in zip(numeric, frame, strict=True)]
    heads = [(names.get(str(c), words(str(c))), n) for c, n in zip(frame, numeric, strict=True)]
    records = frame.astype(object).to_numpy().tolist()
    return heads, [[_sortable_cell(value) for value in row] for row in records]


def _sortable_cell(value: Any) -> tuple[str, float | None]:
    if isinstance(value, float):
        return significant(value), None if math.isnan(value) else value
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return cell(value), value if is_number else None


def write_page(path: str | Path, template: str, **content: Any) -> Path:
    """Fill a template of ``reports/templates`` and write it, all or nothing.

    Args:
        path: the HTML file to write.
        template: file name of the template.
        content: its variables; text is escaped, a variable that is missing is an error.

    Returns:
        ``path``.

    Raises:
        InputError: the place cannot be written.
    """
    path = Path(path)
    environment = Environment(
        loader=PackageLoader("epitaxy.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "cell": cell,
        "interval": interval_text,
        "significant": significant,
        "with_unit": with_unit,
        "words": words,
    }
    write_text(path, environment.get_template(template).render(content))
    return path
