"""Crystals that do not exist yet: a prototype with other elements on its sites."""

from __future__ import annotations

import csv
import itertools
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from epitaxy.core.elements import NUMBERS, SYMBOLS
from epitaxy.core.errors import InputError, suggestion, unknown
from epitaxy.structures.building import Crystal, UnusableError
from epitaxy.structures.parsing import crystal_from_file, read_text, without_suffix
from epitaxy.structures.table import Dropped, StructureTable

Volume = Literal["prototype", "predicted"]
"""Cell of the new crystals: that of the prototype, or scaled to bond lengths that are usual for the
new elements."""
Elements = Mapping[str, str | Sequence[str]] | str | Path | Sequence[str]
"""Prototype's element -> one or several others; or texts ``Sr=Ca,Ba``; or a CSV file."""
Choice = dict[str, str]
"""Element of the prototype -> what takes its place."""
DELIMITERS = (",", ";", "\t")
SCALING = (0.2, 5.0)
"""Bounds of the predicted volume relative to that of the prototype."""


def substituted(
    prototype: str | Path, elements: Elements, *, volume: str = "prototype"
) -> StructureTable:
    """Return the crystals that a prototype becomes with other elements.

    Lists are combined in all ways in which different elements of the prototype stay different; an
    element that is not mentioned stays. Rows of a CSV file, whose header names elements of the
    prototype, are taken as they are.

    Args:
        prototype: structure file.
        elements: what takes the place of the prototype's elements.
        volume: ``prototype`` keeps the cell; ``predicted`` scales it to mined bond lengths (I.-H.
            Chu et al., Comput. Mater. Sci. 146, 184 (2018), by pymatgen).

    Returns:
        One row per crystal; ids are the name of the file and the elements, ``SrTiO3:Ca-Zr-O``.
        Crystals whose volume cannot be predicted are in ``dropped``.

    Raises:
        InputError: the prototype cannot be read, an element is not in it or does not exist, or no
            crystal is left.
    """
    if volume not in get_args(Volume):
        raise unknown("volume", volume, get_args(Volume))
    try:
        cell = crystal_from_file(prototype)
    except UnusableError as error:
        raise InputError(f"The prototype {str(prototype)!r} cannot be used: {error}.") from error
    present = list(dict.fromkeys(SYMBOLS[z] for z in cell.atomic_numbers.tolist()))
    made = choices(elements, present)
    name = without_suffix(Path(prototype).name)
    ids = [f"{name}:{'-'.join(choice[symbol] for symbol in present)}" for choice in made]
    table = StructureTable.from_arrays(
        ids=ids,
        lattices=[cell.lattice] * len(made),
        atomic_numbers=[_replaced(cell, choice) for choice in made],
        frac_coords=[cell.frac_coords] * len(made),
    )
    return table if volume == "prototype" else _scaled(table)


def choices(elements: Elements, present: Sequence[str]) -> list[Choice]:
    """Return which element takes the place of which, one dictionary per crystal.

    >>> choices({"Na": ["K", "Br"], "Cl": ["Br"]}, ["Na", "Cl"])
    [{'Na': 'K', 'Cl': 'Br'}]

    Raises:
        InputError: as `substituted`.
    """
    if isinstance(elements, Mapping):
        lists = elements
    else:
        given = [elements] if isinstance(elements, str | Path) else list(elements)
        if len(given) == 1 and "=" not in str(given[0]):
            return _distinct(_rows(str(given[0]), present))
        lists = _assignments(given)
    chosen = {k: [v] if isinstance(v, str) else list(v) for k, v in lists.items()}
    _check(chosen, present)
    columns = [chosen.get(symbol, [symbol]) for symbol in present]
    found = [
        dict(zip(present, combination, strict=True))
        for combination in itertools.product(*columns)
        if len(set(combination)) == len(present)
    ]
    if not found:
        raise InputError(
            f"No combination of {chosen} leaves the {len(present)} elements of the prototype "
            "different; give more elements, or the wanted rows as a CSV file."
        )
    return _distinct(found)


def _distinct(found: Iterable[Choice]) -> list[Choice]:
    return [dict(pairs) for pairs in dict.fromkeys(tuple(choice.items()) for choice in found)]


def _assignments(given: Sequence[str | Path]) -> dict[str, list[str]]:
    """Turn ``["Sr=Ca,Ba"]`` into lists."""
    lists: dict[str, list[str]] = {}
    for text in map(str, given):
        symbol, equals, others = text.partition("=")
        names = [name.strip() for name in others.split(",") if name.strip()]
        if not equals or not names:
            raise InputError(
                f"Elements are given as Sr=Ca,Ba or as one CSV file, but {text!r} came; write the "
                "element of the prototype, '=', and what takes its place."
            )
        lists.setdefault(symbol.strip(), []).extend(names)
    return lists


def _rows(path: str, present: Sequence[str]) -> list[Choice]:
    """Read the choices of a CSV file."""
    numbered = enumerate(read_text(path).splitlines(), start=1)
    lines = {number: line for number, line in numbered if line.strip()}
    header = next(iter(lines.values()), "")
    delimiter = next((d for d in DELIMITERS if d in header), ",")
    cells = [
        [cell.strip() for cell in row] for row in csv.reader(lines.values(), delimiter=delimiter)
    ]
    names, *rows = cells or [[]]
    if not set(names) & set(present) or not rows:
        raise InputError(
            f"{path!r} needs a header with elements of the prototype ({', '.join(present)}) and "
            f"rows below it, but its first line is {header!r} and there are {len(rows)} rows."
        )
    places = list(lines)
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise InputError(
                f"Line {places[number]} of {path!r} has {len(row)} cells where {len(names)} "
                "belong; give an element in every cell."
            )
    if len(set(names)) < len(names):
        raise InputError(
            f"The header of {path!r} is {header!r}, which names an element twice; give each "
            "element of the prototype one column."
        )
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    _check(columns, present)
    same = {symbol: symbol for symbol in present}
    return [same | dict(zip(names, row, strict=True)) for row in rows]


def _check(chosen: Mapping[str, Sequence[str]], present: Sequence[str]) -> None:
    for symbol, others in chosen.items():
        if symbol not in present:
            raise InputError(
                f"The prototype has no {symbol!r}; it has {', '.join(present)}."
                f"{suggestion(symbol, present)}"
            )
        for other in others:
            if other not in NUMBERS:
                raise InputError(
                    f"{other!r}, in the place of {symbol}, is no chemical element; give "
                    "symbols such as Ca."
                )


def _replaced(cell: Crystal, choice: Choice) -> np.ndarray:
    numbers = {NUMBERS[old]: NUMBERS[new] for old, new in choice.items()}
    return np.array([numbers[z] for z in cell.atomic_numbers.tolist()], dtype=np.uint8)


def _scaled(table: StructureTable) -> StructureTable:
    """Scale every cell to its predicted volume."""
    predictor = _predictor()
    factors, dropped = np.ones(len(table)), []
    for row, name in enumerate(table.ids):
        structure = table.structure(row)
        try:
            with warnings.catch_warnings(action="ignore"):
                volume = float(predictor.predict(structure))
        except (ValueError, TypeError) as error:
            reason = f"its volume cannot be predicted: {error}".rstrip(".")
            dropped.append(Dropped(str(name), reason))
            volume = math.nan
        factors[row] = (volume / structure.volume) ** (1 / 3)
    known = np.isfinite(factors)
    if not known.any():
        raise InputError(
            f"No volume can be predicted; the first, {dropped[0].id}: {dropped[0].reason}; use the "
            "volume of the prototype."
        )
    made = StructureTable(
        ids=table.ids,
        offsets=table.offsets,
        lattices=table.lattices * factors[:, None, None],
        atomic_numbers=table.atomic_numbers,
        frac_coords=table.frac_coords,
    )
    return made.select(known).with_dropped(dropped)


def _predictor() -> Any:
    try:
        from pymatgen.core.structure_prediction.volume_predictor import DLSVolumePredictor
    except ImportError as error:
        raise InputError(
            "Predicted volumes need pymatgen-core 2026 or later; install it, or use the volume of "
            "the prototype."
        ) from error
    return DLSVolumePredictor(min_scaling=SCALING[0], max_scaling=SCALING[1])
