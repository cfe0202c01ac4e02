"""Which element a site of a structure file means."""

from __future__ import annotations

import re
from collections.abc import Collection

from epitaxy.core.elements import NUMBERS
from epitaxy.structures.building import UnusableError

ISOTOPES = {"D": 1, "T": 1}
_CHARGE = re.compile(r"(?:\d*\.?\d*[+-]|[+-]\d*\.?\d*|\(?[+-]?[IVX]+\)?)")
_SYMBOL = re.compile(r"([A-Za-z]+)(.*)")
_KNOWN = {**NUMBERS, **ISOTOPES}
_BY_CASE = {symbol.lower(): z for symbol, z in _KNOWN.items()}


def element_of(symbol: str, allowed: Collection[int] = ()) -> int:
    """Return the atomic number of a species such as ``Fe``, ``Fe3+``, ``O-2``, ``D`` or ``FE``.

    Args:
        symbol: what stands in the file.
        allowed: atomic numbers of the formula, which decide where case leaves a choice.

    Raises:
        UnusableError: it is no element, or could be two.

    >>> element_of("Fe3+"), element_of("O-2"), element_of("D"), element_of("FE")
    (26, 8, 1, 26)
    """
    found = _SYMBOL.fullmatch(symbol.strip())
    letters, rest = found.groups() if found else ("", "")
    number = _KNOWN.get(letters) or _other_case(letters, allowed)
    if number is None or (rest and not _CHARGE.fullmatch(rest)):
        raise UnusableError(f"the species {symbol.strip()!r} is no chemical element")
    return number


def element_of_label(label: str, allowed: Collection[int] = ()) -> int:
    """Return the atomic number that a label begins with: ``Ca1``, ``O1B``, ``CaM2``.

    Raises:
        UnusableError: it begins with no element, or could mean two.

    >>> element_of_label("Co1A"), element_of_label("OA"), element_of_label("O1B")
    (27, 8, 8)
    """
    found = _SYMBOL.match(label.strip())
    letters = found.group(1) if found else ""
    if letters in _KNOWN:
        return _KNOWN[letters]
    # What follows the symbol names the site in capitals (CaM, OA); words (Wat, Ow) are none.
    begins = {
        _BY_CASE[letters[:n].lower()]: letters[n:]
        for n in (1, 2)
        if letters[:n].lower() in _BY_CASE
    }
    if allowed:
        begins = {z: rest for z, rest in begins.items() if z in allowed}
    fits = [z for z, rest in begins.items() if _is_site_name(rest)]
    if len(fits) != 1:
        raise UnusableError(
            f"the label {label.strip()!r} names no single element; give _atom_site_type_symbol"
        )
    return fits[0]


def _is_site_name(rest: str) -> bool:
    """Tell whether letters behind a symbol can be the name of a site and not another atom."""
    return not rest or (rest.isupper() and rest not in {"H", "D", "W"})


def _other_case(letters: str, allowed: Collection[int]) -> int | None:
    """Return the element of a symbol in other case, unless two one-letter elements can be meant."""
    number = _BY_CASE.get(letters.lower())
    if number is None or number in allowed:
        return number
    two = len(letters) == 2 and letters.isupper() and all(c in _KNOWN for c in letters)
    return None if two else number
