"""HTML pages that need no other file: a template of this package, with the images inside."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from epitaxy.core.files import write_text
from epitaxy.reports.numbers import cell, interval_text, significant, with_unit, words


def embedded(image: Path) -> str:
    """Return a PNG as a ``data:`` address."""
    return "data:image/png;base64," + base64.b64encode(image.read_bytes()).decode("ascii")


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
        "embedded": embedded,
    }
    write_text(path, environment.get_template(template).render(content))
    return path
