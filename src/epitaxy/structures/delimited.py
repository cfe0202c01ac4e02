"""Text tables: the delimiter and the header are found, not asked for."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from epitaxy.core.errors import InputError
from epitaxy.structures.columns import UNNAMED
from epitaxy.structures.numerals import to_number
from epitaxy.structures.units import unit_cell

DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", " ": "space"}
SAMPLE_ROWS = 200
UNIT_WORDS = frozenset({"unit", "units", "einheit", "string", "str", "text", "float", "int"})
"""What stands in a line of units over columns that have none."""
_SEPARATOR_LINE = re.compile(r'\s*"?sep=(.)"?[ \t;,]*\r?\n', re.IGNORECASE)
"""The first line of tables that Excel writes or is meant to read."""
LONGEST_FIELD = 1 << 27
"""Characters of one field; the csv module's own limit is below the size of a large CIF."""


@dataclass(frozen=True)
class Delimited:
    """A text table as it stands in the file."""

    columns: tuple[str, ...]
    """Header, or made-up names ``id``, ``target`` (``target_1``, ... when there are several)."""
    rows: tuple[tuple[str, ...], ...]
    delimiter: str
    header: bool
    units: Mapping[str, str] = field(default_factory=dict)
    """Column -> unit, from a line of units below the header."""

    def column(self, name: str) -> list[str]:
        """Return the cells of one column."""
        position = self.columns.index(name)
        return [row[position] for row in self.rows]

    @property
    def summary(self) -> str:
        """What was understood, in words."""
        header = "with a header" if self.header else "without a header"
        units = ", with a line of units" if self.units else ""
        separated = DELIMITERS.get(self.delimiter, repr(self.delimiter))
        return f"{len(self.rows)} rows, {separated}-separated, {header}{units}"


def read_delimited(text: str, origin: str, known_ids: Collection[str] = ()) -> Delimited:
    """Split a text table into cells.

    A first row whose id is in ``known_ids`` is data; otherwise it is a header when it has words
    where the rows below have numbers, or when no column has numbers.

    Raises:
        InputError: there is no row, a row is longer than the header, or names are repeated.
    """
    given = _SEPARATOR_LINE.match(text)
    text = text[given.end() :] if given else text
    delimiter = given.group(1) if given else find_delimiter(text, origin)
    rows = _with_own_header(list(_split(text, delimiter)), text, delimiter)
    if not rows:
        raise InputError(f"{origin} holds 0 rows; give a table with at least one crystal.")
    header = _has_header(rows, known_ids)
    width = len(rows[0]) if header else max(len(r) for r in rows)
    columns = _header(rows[0], origin) if header else made_up_names(width)
    body = rows[1:] if header else rows
    if not body:
        raise InputError(f"{origin} holds a header and 0 rows; give at least one crystal.")
    units = _units(columns, body, known_ids) if header else {}
    body = body[1:] if units else body
    for number, row in enumerate(body, start=1):
        if len(row) > width and any(row[width:]):
            raise InputError(
                f"Row {number} of {origin} has {len(row)} cells where the header has {width}; "
                'put cells that contain the delimiter into quotes ("...").'
            )
    filled = (tuple((row + [""] * width)[:width]) for row in body)
    return Delimited(columns, tuple(filled), delimiter, header, units)


def find_delimiter(text: str, origin: str) -> str:
    r"""Return the delimiter that gives the most regular table of two or more columns.

    >>> find_delimiter("a\t1\nb\t2\n", "x.csv"), find_delimiter("a;1,5\nb;2,5\n", "x.csv")
    ('\t', ';')
    """
    best, best_score = "", (0.0, 0)
    for delimiter in ("\t", ";", ",", " "):
        sample = list(itertools.islice(_split(text, delimiter), SAMPLE_ROWS))
        if not sample:
            return ","
        width, count = Counter(len(row) for row in sample).most_common(1)[0]
        score = (round(count / len(sample), 1), width)
        if delimiter == " " and best_score[0] >= 0.5:
            break  # blanks stand inside the cells of other tables
        if width >= 2 and score > best_score:
            best, best_score = delimiter, score
    if not best:
        raise InputError(
            f"{origin} has one column only; separate ids and values by comma, tab, semicolon "
            "or space."
        )
    return best


def made_up_names(width: int) -> tuple[str, ...]:
    """Name the columns of a file without a header.

    >>> made_up_names(2), made_up_names(3)
    (('id', 'target'), ('id', 'target_1', 'target_2'))
    """
    if width == 2:
        return ("id", "target")
    return ("id", *(f"target_{i}" for i in range(1, width)))


def _split(text: str, delimiter: str) -> Iterator[list[str]]:
    """Yield the non-empty rows; runs of blanks count as one when the delimiter is a blank."""
    if delimiter == " ":
        yield from (line.split() for line in text.splitlines() if line.strip())
        return
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            cells = [cell.strip() if "\n" not in cell else cell for cell in row]
            if any(cells):
                yield cells
    finally:
        csv.field_size_limit(limit)


def _with_own_header(rows: list[list[str]], text: str, delimiter: str) -> list[list[str]]:
    """Split the first line by another delimiter where that gives as many cells as the rows have."""
    if len(rows) < 2 or len(rows[0]) != 1 or len(rows[1]) < 2:
        return rows
    line = next(line for line in text.splitlines() if line.strip())
    for other in DELIMITERS:
        first = next(iter(_split(line, other)), [])
        if other != delimiter and len(first) == len(rows[1]):
            return [first, *rows[1:]]
    return rows


def _units(
    columns: Sequence[str], body: list[list[str]], known_ids: Collection[str]
) -> dict[str, str]:
    """Return column -> unit if the first row below the header is a line of units, else nothing."""
    filled = [*body[0], *[""] * len(columns)][: len(columns)]
    cells = dict(zip(columns, filled, strict=True))
    name = next(iter(cells.values()))
    units = {column: unit_cell(cell) for column, cell in cells.items()}
    first, *others = units.items()
    says_unit = any(unit for _, unit in others)
    name_fits = name == "" or first[1] is not None or name.lower() in UNIT_WORDS
    if len(body) < 2 or name in known_ids or not says_unit or not name_fits:
        return {}
    if any(unit is None and cells[c].lower() not in UNIT_WORDS for c, unit in others):
        return {}
    return {column: unit for column, unit in units.items() if unit}


def _header(row: list[str], origin: str) -> tuple[str, ...]:
    repeated = [name for name, n in Counter(row).items() if n > 1 and name]
    if repeated:
        raise InputError(
            f"The column {repeated[0]!r} stands twice in the header of {origin}; rename one."
        )
    return tuple(name or f"{UNNAMED}_{i}" for i, name in enumerate(row))


def _has_header(rows: list[list[str]], known_ids: Collection[str]) -> bool:
    first, rest = rows[0], rows[1 : SAMPLE_ROWS + 1]
    if first[0] in known_ids or any(_is_number(cell) for cell in first[1:]):
        return False
    for position, cell in enumerate(first):
        below = [to_number(r[position]) for r in rest if position < len(r)]
        present = [n for n in below if n is None or not math.isnan(n)]
        mostly_numbers = present and sum(n is not None for n in present) * 2 > len(present)
        if mostly_numbers and to_number(cell) is None:
            return True
    # a row of "na" is data; a row of words above words is a header
    return not any(cell and to_number(cell) is not None for cell in first[1:])


def _is_number(cell: str) -> bool:
    number = to_number(cell)
    return number is not None and not math.isnan(number)
