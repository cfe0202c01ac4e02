"""What a table holds and what was made of it, said before anything is learned."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from epitaxy.core.elements import SYMBOLS
from epitaxy.core.errors import InputError
from epitaxy.structures.distribution import find_extremes, histogram, propose_transform
from epitaxy.structures.matching import identical
from epitaxy.structures.sources.folder import NO_FILE, NO_ROW
from epitaxy.structures.table import Dropped, StructureTable

SHOWN = 3
"""Examples of each kind that `DataSummary.lines` shows."""
MANY = 0.1
"""Part of the values from which it is worth saying that they are equal."""
COLUMN = 12
"""Width of the words at the beginning of a line."""


@dataclass(frozen=True)
class Values:
    """Statistics of the known values of the target, in physical units."""

    n: int
    minimum: float
    median: float
    mean: float
    maximum: float
    std: float
    commonest: tuple[float, int]
    """The value that occurs most often, and how often."""
    histogram: str
    """Drawn on the scale of the proposed transform."""
    extremes: tuple[tuple[str, float], ...]
    """Ids and values that lie far from all others, the furthest first."""
    placeholders: tuple[float, ...]
    """Extreme values that occur several times and may stand for "not known"."""


@dataclass(frozen=True)
class Repeats:
    """Rows that are not independent of others."""

    structures: tuple[tuple[str, ...], ...]
    """Ids of rows with the same cell and atoms, one tuple per structure."""
    largest_difference: float
    """Largest difference of the target between rows of one structure; NaN when none is known."""
    n_formulas: int
    n_sharing_formula: int
    """Rows whose reduced formula occurs more than once."""


@dataclass(frozen=True)
class DataSummary:
    """What was understood of a table and its target.

    >>> table = StructureTable.from_arrays(
    ...     ids=["a", "b"], lattices=[np.eye(3) * 4, np.eye(3) * 5],
    ...     atomic_numbers=[[55, 17], [11, 17]], frac_coords=[[[0, 0, 0], [0.5, 0.5, 0.5]]] * 2,
    ...     values={"gap": [8.0, np.nan]})
    >>> summary = understand(table, "gap")
    >>> summary.values.n, summary.n_missing, summary.transform
    (1, 1, 'identity')
    """

    target: str
    unit: str
    n_crystals: int
    """Crystals that were read, with or without a value of the target."""
    n_missing: int
    """Crystals without a value of the target; they are left out."""
    without_structure: tuple[str, ...]
    """Rows of the table of values for which there is no structure."""
    without_row: tuple[str, ...]
    """Structures for which there is no row in the table of values."""
    unusable: tuple[Dropped, ...]
    """All else that could not be used, with the reason."""
    repeats: Repeats
    elements: dict[str, int]
    """Symbol -> number of crystals that contain it, the most frequent first."""
    atoms_per_cell: tuple[int, float, int]
    """Smallest, median and largest number."""
    values: Values
    transform: str
    """Proposed scale of learning: identity, log or log1p."""
    reason: str
    """Why this scale."""

    def lines(self) -> list[str]:
        """Return the summary for people, a few lines."""
        made = [
            ("crystals", self._crystals()),
            ("repeats", self._repeats()),
            ("elements", self._elements()),
            ("cells", self._cells()),
            ("target", self._target()),
            ("", self._drawing()),
            ("extremes", self._extremes()),
            ("transform", f"{self.transform}: {self.reason}"),
        ]
        return [f"{word:{COLUMN}s}{text}" for word, text in made if text]

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for JSON: plain numbers, texts and lists; NaN becomes None."""
        known = self.values
        difference = self.repeats.largest_difference
        return {
            "target": self.target,
            "unit": self.unit,
            "crystals": self.n_crystals,
            "missing": self.n_missing,
            "without_structure": list(self.without_structure),
            "without_row": list(self.without_row),
            "unusable": [{"id": d.id, "reason": d.reason} for d in self.unusable],
            "same_structure": [list(ids) for ids in self.repeats.structures],
            "largest_difference": difference if np.isfinite(difference) else None,
            "formulas": self.repeats.n_formulas,
            "sharing_formula": self.repeats.n_sharing_formula,
            "elements": self.elements,
            "atoms_per_cell": list(self.atoms_per_cell),
            "values": {
                "n": known.n,
                "minimum": known.minimum,
                "median": known.median,
                "mean": known.mean,
                "maximum": known.maximum,
                "std": known.std,
                "commonest": {"value": known.commonest[0], "times": known.commonest[1]},
                "extremes": [{"id": name, "value": value} for name, value in known.extremes],
                "placeholders": list(known.placeholders),
            },
            "transform": self.transform,
            "reason": self.reason,
        }

    def _crystals(self) -> str:
        parts = [f"{self.n_crystals:,} read"]
        for ids, what in (
            (self.without_structure, "rows without a structure"),
            (self.without_row, "structures without a row"),
            (tuple(f"{d.id}: {d.reason}" for d in self.unusable), "not usable"),
        ):
            if ids:
                parts.append(f"{len(ids):,} {what} ({_some(ids)})")
        return "; ".join(parts)

    def _repeats(self) -> str:
        repeats = self.repeats
        parts = []
        if repeats.structures:
            rows, n = sum(map(len, repeats.structures)), len(repeats.structures)
            text = f"{n:,} structure{'s' * (n > 1)} in {rows:,} rows"
            if repeats.largest_difference > 0:
                text += f", values up to {self._number(repeats.largest_difference)} apart"
            parts.append(f"{text} ({_some([' = '.join(g) for g in repeats.structures])})")
        parts.append(
            f"{repeats.n_formulas:,} formulas, {repeats.n_sharing_formula:,} rows share theirs"
        )
        return "; ".join(parts)

    def _elements(self) -> str:
        once = [symbol for symbol, n in self.elements.items() if n == 1]
        rare = f"; in one crystal only: {_some(once, 10)}" if once else ""
        return f"{len(self.elements)}, most often {', '.join(list(self.elements)[:5])}{rare}"

    def _cells(self) -> str:
        low, median, high = self.atoms_per_cell
        return f"{low} to {high} atoms, median {median:g}"

    def _target(self) -> str:
        known = self.values
        missing = f", {self.n_missing:,} missing and left out" if self.n_missing else ""
        value, times = known.commonest
        equal = f"; {times / known.n:.0%} are {value:.4g}" if times > MANY * known.n > 1 else ""
        return (
            f"{self.target}: {known.n:,} values{missing}; "
            f"{known.minimum:.4g} to {self._number(known.maximum)}, "
            f"median {known.median:.4g}, mean {known.mean:.4g}{equal}"
        )

    def _drawing(self) -> str:
        known = self.values
        scale = "" if self.transform == "identity" else f" ({self.transform} scale)"
        return f"{known.minimum:.4g} |{known.histogram}| {known.maximum:.4g}{scale}"

    def _extremes(self) -> str:
        known = self.values
        if not known.extremes:
            return ""
        text = _some([f"{name}: {value:.4g}" for name, value in known.extremes])
        codes = ", ".join(f"{value:g}" for value in known.placeholders)
        hint = (
            f"; does {codes} stand for 'not known'? Then leave these cells empty" if codes else ""
        )
        return f"{len(known.extremes):,} far from all others ({text}){hint}"

    def _number(self, value: float) -> str:
        return f"{value:.4g} {self.unit}".rstrip()


def understand(table: StructureTable, target: str) -> DataSummary:
    """Summarise a table for learning ``target``; takes about a second for 10,000 crystals.

    Raises:
        InputError: there is no crystal, no such property, or not one known value of it.
    """
    if not len(table):
        raise InputError("The table holds 0 crystals; give at least one.")
    column = table.column(target)
    rows = np.flatnonzero(np.isfinite(column))
    known = column[rows]
    proposal = propose_transform(known)
    extremes = find_extremes(known, proposal.transform)
    different, times = np.unique(known, return_counts=True)
    lost, spare, unusable = _sorted_reasons(table.dropped)
    sizes = table.n_atoms
    return DataSummary(
        target=target,
        unit=table.properties[target].unit,
        n_crystals=len(table),
        n_missing=len(table) - len(rows),
        without_structure=lost,
        without_row=spare,
        unusable=unusable,
        repeats=_find_repeats(table, column),
        elements=count_elements(table),
        atoms_per_cell=(int(sizes.min()), float(np.median(sizes)), int(sizes.max())),
        values=Values(
            n=len(known),
            minimum=float(known.min()),
            median=float(np.median(known)),
            mean=float(known.mean()),
            maximum=float(known.max()),
            std=float(known.std(ddof=1)) if len(known) > 1 else 0.0,
            commonest=(float(different[times.argmax()]), int(times.max())),
            histogram=histogram(known, proposal.transform),
            extremes=tuple((str(table.ids[rows[i]]), float(known[i])) for i in extremes.rows),
            placeholders=extremes.placeholders,
        ),
        transform=proposal.transform,
        reason=proposal.reason,
    )


def count_elements(table: StructureTable) -> dict[str, int]:
    """Return symbol -> number of crystals that contain it, the most frequent first."""
    owner = np.repeat(np.arange(len(table)), table.n_atoms)
    once = np.unique(owner * 256 + table.atomic_numbers) % 256
    numbers, counts = np.unique(once, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {SYMBOLS[int(numbers[i])]: int(counts[i]) for i in order}


def _sorted_reasons(
    dropped: tuple[Dropped, ...],
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Dropped, ...]]:
    """Return rows without structure, structures without row, and all else."""
    lost = tuple(d.id for d in dropped if d.reason.startswith(NO_FILE))
    spare = tuple(d.id for d in dropped if d.reason.startswith(NO_ROW))
    rest = tuple(d for d in dropped if not d.reason.startswith((NO_FILE, NO_ROW)))
    return lost, spare, rest


def _find_repeats(table: StructureTable, column: np.ndarray) -> Repeats:
    times = Counter(table.formulas)
    shared = [row for row, formula in enumerate(table.formulas) if times[formula] > 1]
    groups = [group for group in identical(table, shared) if len(group) > 1]
    spreads = [np.ptp(v) for g in groups if len(v := column[g][np.isfinite(column[g])]) > 1]
    return Repeats(
        structures=tuple(tuple(str(table.ids[row]) for row in group) for group in groups),
        largest_difference=float(max(spreads, default=np.nan)),
        n_formulas=len(times),
        n_sharing_formula=len(shared),
    )


def _some(texts: tuple[str, ...] | list[str], most: int = SHOWN) -> str:
    more = f", and {len(texts) - most:,} more" if len(texts) > most else ""
    return f"{', '.join(texts[:most])}{more}"
