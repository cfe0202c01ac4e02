"""Tables of numbers and words as files of the user: CSV, JSON or Parquet, as their names say."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epitaxy.core.outputs import output_file

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".json", ".parquet")
DIGITS = 7
"""Significant digits in CSV and JSON: those of single precision, in which networks compute."""
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_QUOTED = re.compile(r"'+[=+\-@\t\r]")


def write_table(frame: pd.DataFrame, out: str | Path) -> None:
    """Write a frame in the format that the ending of ``out`` says, all or nothing.

    CSV and JSON get numbers of `DIGITS` digits, Parquet all of them; NaN is an empty cell or null.

    Args:
        frame: columns of numbers and of texts.
        out: checked by `check_output` with `ENDINGS`.

    Raises:
        InputError: the place cannot be written.
    """
    ending = Path(out).suffix.lower()
    with output_file(out) as temporary:
        if ending == ".parquet":
            frame.to_parquet(temporary, index=False)
        elif ending == ".json":
            records = [
                {str(key): _plain(value) for key, value in row.items()}
                for row in frame.to_dict("records")
            ]
            temporary.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
        else:
            temporary.write_text(csv_text(frame), encoding="utf-8")


def csv_text(frame: pd.DataFrame) -> str:
    """Return a frame as CSV that neither changes nor runs anything when a spreadsheet opens it."""
    shown = frame.rename(columns=cell_text)
    for name in shown.select_dtypes(exclude="number"):
        shown[name] = shown[name].map(cell_text)
    text: str = shown.to_csv(index=False, float_format=f"%.{DIGITS}g")
    return text


def cell_text(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would take for a formula.

    >>> cell_text("=cmd()"), cell_text("-1.5"), cell_text("NaCl"), cell_text(2)
    ("'=cmd()", '-1.5', 'NaCl', 2)
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _is_number(value):
        return f"'{value}"
    return value


def original_text(cell: str) -> str:
    """Take away the apostrophe of `cell_text`.

    >>> original_text("'=cmd()"), original_text("'tis")
    ('=cmd()', "'tis")
    """
    return cell[1:] if cell.startswith("'") and _QUOTED.match(cell) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(value: Any) -> Any:
    """Return a value of a frame as JSON has it."""
    value = getattr(value, "item", lambda: value)()
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value if isinstance(value, str | int | list | dict | None) else str(value)
