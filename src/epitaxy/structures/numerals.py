"""Numbers as people write them: decimal commas, thousands separators, words for "no value"."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from epitaxy.structures.units import is_unit

MISSING_WORDS = frozenset(
    {
        "",
        "na",
        "n/a",
        "#n/a",
        "n.a.",
        "n.a",
        "nan",
        "none",
        "null",
        "nil",
        "-",
        "--",
        "---",
        "\u2013",
    }
    | {
        "\u2014",
        "?",
        ".",
        "..",
        "...",
        "missing",
        "unknown",
        "not available",
        "no data",
        "nd",
        "n.d.",
    }
    | {"tbd", "<na>", "nat", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!"}
)
"""Texts that stand for "not known", in lower case; the errors of spreadsheets among them."""
INFINITE = frozenset({"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity", "∞", "-∞"})
TRUTH = {"true": True, "false": False, "yes": True, "no": False}
MOST_CLASSES = 20
"""A column of more different words is text, not a class."""
_NUMERIC = re.compile(
    r"[-+]?[\d.,'\u2019 \u00a0\u2009\u202f]*\d[\d.,]*(?:[eEdD][-+]?\d+)?", re.ASCII
)
_UNCERTAIN = re.compile(r"(.*\d)\s*(?:\(\d+\)|(?:±|\+/-|\+-)\s*[\d.,]+)", re.ASCII)
_WITH_UNIT = re.compile(r"([-+]?[\d.,]*\d(?:[eE][-+]?\d+)?)\s*([^\d\s].*)", re.ASCII)
_GROUPS = {",": ",", ".": r"\.", " ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]"}


@dataclass(frozen=True)
class Style:
    """One way of writing numbers."""

    decimal: str
    group: str = ""
    """What stands between thousands; empty for nothing."""

    def pattern(self) -> re.Pattern[str]:
        """Return what a number of this style looks like."""
        point = re.escape(self.decimal)
        whole = r"\d+"
        if self.group:
            whole = rf"(?:[1-9]\d{{0,2}}(?:{_GROUPS[self.group]}\d{{3}})+|\d{{1,3}})"
        text = rf"[-+]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eEdD][-+]?\d+)?"
        return re.compile(text, re.ASCII)

    def value(self, text: str) -> float:
        """Return the number that a text of this style means."""
        if self.group:
            text = re.sub(_GROUPS[self.group], "", text)
        return float(text.replace(self.decimal, ".").lower().replace("d", "e"))


PLAIN = Style(".")
STYLES = {
    style: style.pattern()
    for style in (PLAIN, Style(","), *(Style(d, g) for g in (",", ".", " ", "'") for d in ".,"))
    if style.decimal != style.group
}


@dataclass(frozen=True)
class Column:
    """One column of a table, understood."""

    values: np.ndarray | None = None
    """(B,) float64 with NaN where not known; codes of a class; None for text."""
    classes: tuple[str, ...] = ()
    """Words that the codes 0, 1, ... stand for."""
    unit: str = ""
    note: str = ""
    """What was left out or assumed, for the log."""
    refusal: str = ""
    """Why there are no values, for those who ask for the column."""


def to_number(value: Any) -> float | None:
    """Return a single cell as a finite float, NaN when it means "not known", None when it is text.

    >>> to_number("1.5"), to_number("1,5"), to_number("na"), to_number("cubic"), to_number("1_2")
    (1.5, 1.5, nan, None, None)
    """
    if value is None:
        return math.nan
    if isinstance(value, str):
        text = _clean(value)
        if text.lower() in MISSING_WORDS or text.lower() in INFINITE:
            return math.nan
        style = next((style for style, p in STYLES.items() if p.fullmatch(text)), None)
        return None if style is None else _finite(style.value(text))
    if isinstance(value, bool | np.bool_) or not np.isscalar(value):
        return None
    try:
        return _finite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def understand_columns(
    columns: Mapping[str, Sequence[Any]], delimiter: str = ""
) -> dict[str, Column]:
    """Decide for every column what its cells mean.

    Args:
        columns: name -> raw cells, texts or typed values.
        delimiter: what separates the cells of the table, empty where it is no text table.
    """
    sorted_cells = {name: _Cells.of(cells) for name, cells in columns.items()}
    points = {cells.decimal for cells in sorted_cells.values()} - {""}
    return {name: cells.column(name, delimiter, points) for name, cells in sorted_cells.items()}


class _Cells:
    """The cells of one column, sorted by what they can be."""

    def __init__(self, n: int) -> None:
        self.values = np.full(n, np.nan)
        self.missing: list[str] = []
        self.infinite: list[str] = []
        self.numerals: dict[int, str] = {}
        """Row -> text that looks like a number."""
        self.typed = 0
        self.truth: dict[int, bool] = {}
        self.words: dict[int, str] = {}
        self.uncertain: list[str] = []
        self.unit = ""
        self.styles: list[Style] = []

    @classmethod
    def of(cls, raw: Sequence[Any]) -> _Cells:
        cells = cls(len(raw))
        for row, value in enumerate(raw):
            cells._sort(row, value)
        cells._take_common_unit()
        cells._find_styles()
        return cells

    def _sort(self, row: int, value: Any) -> None:
        if isinstance(value, dict) and "value" in value:
            self.unit = self.unit or str(value.get("unit") or value.get("units") or "")
            value = value["value"]
        if value is None:
            self.missing.append("")
        elif isinstance(value, bool | np.bool_):
            self.truth[row] = bool(value)
        elif isinstance(value, str):
            self._sort_text(row, _clean(value))
        elif (number := to_number(value)) is None:
            shape = np.shape(value) if isinstance(value, np.ndarray | list | tuple) else ()
            self.words[row] = f"an array of shape {shape}" if shape else str(value)[:40]
        elif math.isnan(number):
            (self.infinite if abs(value) == math.inf else self.missing).append(str(value))
        else:
            self.values[row] = number
            self.typed += 1

    def _sort_text(self, row: int, text: str) -> None:
        lower = text.lower()
        uncertain = _UNCERTAIN.fullmatch(text)
        if lower in MISSING_WORDS:
            self.missing.append(text)
        elif lower in INFINITE:
            self.infinite.append(text)
        elif lower in TRUTH:
            self.truth[row] = TRUTH[lower]
        elif _NUMERIC.fullmatch(text):
            self.numerals[row] = text
        elif uncertain and _NUMERIC.fullmatch(uncertain.group(1)):
            self.numerals[row] = uncertain.group(1)
            self.uncertain.append(text)
        else:
            self.words[row] = text

    def _take_common_unit(self) -> None:
        """Read ``8.8 eV`` as 8.8 where all cells carry this unit."""
        found = {row: _WITH_UNIT.fullmatch(text) for row, text in self.words.items()}
        units = {match.group(2).strip() if match else "" for match in found.values()}
        alone = not self.numerals and not self.typed and not self.truth
        if len(units) == 1 and alone and is_unit(unit := units.pop()):
            self.unit = unit
            self.numerals = {row: match.group(1) for row, match in found.items() if match}
            self.words = {}

    def _find_styles(self) -> None:
        """Find the styles in which all numerals can be read; what fits none becomes a word."""
        for row, text in list(self.numerals.items()):
            if not STYLES[PLAIN].fullmatch(text) and not any(
                pattern.fullmatch(text) for pattern in STYLES.values()
            ):
                self.words[row] = self.numerals.pop(row)
        texts = self.numerals.values()
        self.styles = [
            style
            for style, pattern in STYLES.items()
            if all(map(pattern.fullmatch, texts))
            and (not style.group or any(re.search(_GROUPS[style.group], t) for t in texts))
        ]

    @property
    def decimal(self) -> str:
        """The sign before the decimals where the column leaves no choice, else empty."""
        found = {style.decimal for style in self.styles}
        if len(found) != 1:
            return ""
        (sign,) = found
        other = STYLES[Style("." if sign == "," else ",", sign)]
        certain = any(sign in t and not other.fullmatch(t) for t in self.numerals.values())
        return sign if certain else ""

    def column(self, name: str, delimiter: str, points: set[str]) -> Column:
        """Return the column under the style that fits best.

        Args:
            name: of the column.
            delimiter: of the table.
            points: signs before decimals in the columns that leave no choice.
        """
        if not self.typed and not self.numerals:
            return self._text_or_class(name)
        style, refusal = self._choose(delimiter, points)
        if refusal:
            return Column(refusal=f"Column {name!r} {refusal}")
        numbers = {row: style.value(text) for row, text in self.numerals.items()}
        for row, number in numbers.items():
            self.values[row] = number if math.isfinite(number) else np.nan
        self.infinite += [self.numerals[r] for r, n in numbers.items() if not math.isfinite(n)]
        note = self._note(name)
        if delimiter == "" and self.numerals:
            note += f" Column {name!r} holds its numbers as text; they were read as numbers."
        return Column(self.values, unit=self.unit, note=note.strip())

    def _choose(self, delimiter: str, points: set[str]) -> tuple[Style, str]:
        """Return ``(style, why none can be chosen)``."""
        if not self.numerals:
            return PLAIN, ""
        if not self.styles:
            return PLAIN, self._conflict()
        best = self.styles[0]
        swapped = Style(",", ".")
        if best == PLAIN:
            dotted = [text for text in self.numerals.values() if "." in text]
            thousands = swapped in self.styles and all(
                STYLES[swapped].fullmatch(text) for text in dotted
            )
            if dotted and thousands and points == {","}:
                return swapped, ""
            return PLAIN, ""
        return self._thousands_or_decimals(delimiter, points) if best == Style(",") else (best, "")

    def _thousands_or_decimals(self, delimiter: str, points: set[str]) -> tuple[Style, str]:
        """Decide what the commas of a column mean that may be decimal ones."""
        thousands = Style(".", ",")
        texts = list(self.numerals.values())
        with_comma = [text for text in texts if "," in text]
        if not all(STYLES[thousands].fullmatch(text) for text in with_comma):
            return Style(","), ""
        if points == {","} or (not points and delimiter == ";"):
            return Style(","), ""
        if thousands not in self.styles:
            long = next(text for text in texts if not STYLES[thousands].fullmatch(text))
            return PLAIN, _cannot_both(with_comma[0], long)
        if points == {"."} or (not points and delimiter == ","):
            return thousands, ""
        return PLAIN, (
            f"holds {with_comma[0]!r}, which can mean thousands or decimals; write the numbers "
            "without separators of thousands and with a decimal point."
        )

    def _conflict(self) -> str:
        """Name two numerals that no style reads together."""
        texts = list(dict.fromkeys(self.numerals.values()))
        sets = {t: {s for s, p in STYLES.items() if p.fullmatch(t)} for t in texts}
        pair = next(
            ((a, b) for a in texts for b in texts if not sets[a] & sets[b]), (texts[0], texts[-1])
        )
        return _cannot_both(*pair)

    def _text_or_class(self, name: str) -> Column:
        if self.truth and not self.words:
            codes = self.values.copy()
            for row, truth in self.truth.items():
                codes[row] = float(truth)
            return Column(codes, classes=("False", "True"), note=self._note(name))
        if not self.words:
            return Column(self.values, note=self._note(name))
        counts = Counter(self.words.values())
        example = next(iter(counts))[:40]
        few = 1 < len(counts) <= min(MOST_CLASSES, len(self.words) // 2)
        if few and not self.truth and not any(w.startswith("an array") for w in counts):
            names = tuple(sorted(counts))
            codes = self.values.copy()
            for row, word in self.words.items():
                codes[row] = names.index(word)
            return Column(codes, classes=names, note=self._note(name, words=False))
        shown = example if example.startswith("an array") else f"text such as {example!r}"
        return Column(
            refusal=f"Column {name!r} holds {shown}, not numbers; choose another target or repair "
            "the column."
        )

    def _note(self, name: str, *, words: bool = True) -> str:
        """Say what is missing in a column and what could not be read."""
        n = len(self.values)
        unread = [*self.words.values(), *(str(t) for t in self.truth.values() if self.words)]
        if self.typed or self.numerals:
            unread = [*self.words.values(), *map(str, self.truth.values())]
        parts = []
        if self.missing:
            shown = sorted({t for t in self.missing if t})
            listed = f" ({_some(shown)})" if shown else ""
            parts.append(f"{len(self.missing)} of {n} values missing{listed}")
        if unread and words:
            parts.append(f"{len(unread)} of {n} cells are no number ({_some(unread)})")
        if self.infinite:
            parts.append(f"{len(self.infinite)} of {n} are infinite")
        if self.uncertain:
            parts.append(
                f"{len(self.uncertain)} read without their error ({_some(self.uncertain)})"
            )
        return f"Column {name!r}: {'; '.join(parts)}." if parts else ""


def _cannot_both(one: str, two: str) -> str:
    return (
        f"holds {one!r} beside {two!r}, which cannot be written by one rule; write all its "
        "numbers without separators of thousands and with a decimal point."
    )


def _clean(text: str) -> str:
    return text.strip().replace("\u2212", "-")


def _finite(number: float) -> float:
    return number if math.isfinite(number) else math.nan


def _some(texts: Sequence[str]) -> str:
    different = list(dict.fromkeys(texts))
    more = f" and {len(different) - 3} more" if len(different) > 3 else ""
    return ", ".join(repr(text[:40]) for text in different[:3]) + more
