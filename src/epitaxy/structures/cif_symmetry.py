"""Symmetry operations of a CIF block: those that it lists, and those of the group that it names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np

from epitaxy.structures.building import UnusableError
from epitaxy.structures.cif_text import Block

LISTED = (
    "_space_group_symop_magn_operation_xyz",
    "_space_group_symop_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
)
LISTED_NAME = "the listed operations"
CENTRED = "_space_group_symop_magn_centering_xyz"
HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
SYMBOL = (
    *("_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m"),
    *("_space_group_name_h-m_full", "_space_group_name_h-m"),
)
NUMBER = ("_space_group_it_number", "_symmetry_int_tables_number")
SETTINGS = 530
"""Settings of the space groups that are tabulated, with a Hall symbol each."""
GLIDES = {"abm2": "aem2", "aba2": "aea2", "cmca": "cmce", "cmma": "cmme", "ccca": "ccce"}
"""Symbols that have an e since 1992."""
STRAIN = 0.02
"""How far a cell may be from the symmetry of its group, relative to its lengths."""
_TERM = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)?(?:/(\d+))?\*?([xyz])?")
CUBIC_FROM, MONOCLINIC = 195, range(3, 16)


@dataclass(frozen=True, eq=False)
class Group:
    """n symmetry operations of fractional coordinates, ``x' = rotation x + translation``."""

    name: str
    rotations: np.ndarray
    """(n, 3, 3) float64."""
    translations: np.ndarray
    """(n, 3) float64."""

    def __len__(self) -> int:
        return len(self.rotations)

    def has_axes_of(self, other: Group) -> bool:
        """Tell whether two groups differ at most in their origin."""
        mine, others = (
            {tuple(rotation.ravel()) for rotation in group.rotations} for group in (self, other)
        )
        return mine == others

    def fits(self, lattice: np.ndarray) -> bool:
        """Tell whether all operations leave the metric of a lattice (rows are vectors) as it is."""
        metric = lattice @ lattice.T
        moved = np.swapaxes(self.rotations, 1, 2) @ metric @ self.rotations
        lengths = np.sqrt(np.diag(metric))
        return bool((np.abs(moved - metric) <= 2 * STRAIN * np.outer(lengths, lengths)).all())


IDENTITY = Group("P 1", np.eye(3)[None], np.zeros((1, 3)))


def listed_group(block: Block) -> Group | None:
    """Return the operations that stand in the block.

    Raises:
        UnusableError: one of them is not understood.
    """
    for tag in LISTED:
        texts = block.column(tag) or ([block.items[tag]] if tag in block.items else [])
        if not texts:
            continue
        operations = [_operation(text) for text in texts]
        if tag == LISTED[0]:
            centred = [_operation(text)[1] for text in block.column(CENTRED) or ["x,y,z"]]
            operations = [(r, (t + c) % 1) for c in centred for r, t in operations]
        rotations, translations = zip(*operations, strict=True)
        return Group(LISTED_NAME, np.array(rotations), np.array(translations))
    return None


def named_groups(block: Block) -> list[Group]:
    """Return the settings that the named group can mean, the usual one first; none without a name.

    Raises:
        UnusableError: a group is named that is not known, or symbol and number contradict.
    """
    hall, symbol, number = block.text(*HALL), block.text(*SYMBOL), block.text(*NUMBER)
    if hall is not None and (found := _halls().get(_plain(hall))):
        return [_group(found)]
    if number is not None and not (number.isdecimal() and 1 <= int(number) <= 230):
        raise UnusableError(f"the space group number {number!r} does not exist; allowed: 1 to 230")
    settings = _settings_of_symbol(symbol) if symbol is not None else []
    if symbol is not None and number is not None and settings:
        right = [s for s in settings if _number(s) == int(number)]
        if not right:
            raise UnusableError(
                f"the space group {symbol!r} has number {_number(settings[0])}, but the file says "
                f"{number}"
            )
        settings = right
    if not settings and number is not None and _same_lattice_letter(symbol, int(number)):
        settings = _settings_of_number(int(number))
    if not settings and (symbol or hall) is not None:
        raise UnusableError(
            f"the space group {symbol or hall!r} is not known; list its symmetry operations"
        )
    return [_group(setting) for setting in settings]


def _operation(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Turn ``-y, x-y, z+1/3`` into a rotation and a translation."""
    rotation, translation = np.zeros((3, 3)), np.zeros(3)
    parts = re.sub(r"\s", "", text.lower()).strip(",").split(",")
    if len(parts) not in {3, 4}:
        raise UnusableError(f"the symmetry operation {text!r} is not understood")
    for row, part in enumerate(parts[:3]):
        position = 0
        while position < len(part):
            found = _TERM.match(part, position)
            if found is None or found.end() == position or not any(found.group(2, 4)):
                raise UnusableError(f"the symmetry operation {text!r} is not understood")
            sign, value, below, letter = found.groups()
            number = float(value or 1) / float(below or 1) * (-1 if sign == "-" else 1)
            if letter:
                rotation[row, "xyz".index(letter)] += number
            else:
                translation[row] += number
            position = found.end()
    # Thirds and sixths are often written with few digits.
    nearest = np.round(translation * 24) / 24
    return rotation, np.where(np.abs(nearest - translation) < 5e-3, nearest, translation)


def _plain(symbol: str) -> str:
    return re.sub(r"[\s_]", "", symbol).lower()


def _settings_of_symbol(symbol: str) -> list[int]:
    """Return the numbers of the settings that a Hermann-Mauguin symbol can mean."""
    text = re.sub(r"[\s_'\"()]", "", symbol).lower()
    text, _, choice = text.partition(":")
    known = _symbols()
    if text not in known and text[-1:] in {"s", "z", "h", "r"}:
        text, choice = text[:-1], {"s": "1", "z": "2"}.get(text[-1], text[-1])
    settings = known.get(text, [])
    chosen = [s for s in settings if choice and _choice(s).lower().startswith(choice)]
    return chosen or settings


def _settings_of_number(number: int) -> list[int]:
    settings = [s for s in range(1, SETTINGS + 1) if _number(s) == number]
    if number in MONOCLINIC:
        return [s for s in settings if _choice(s).rstrip("1") in {"a", "b", "c"}]
    return [s for s in settings if _choice(s) in {_choice(settings[0]), "1", "2", "H", "R"}]


def _same_lattice_letter(symbol: str | None, number: int) -> bool:
    """Tell whether a symbol that is not understood may be the usual setting of a number."""
    standard = _settings_of_number(number)[0]
    return symbol is None or symbol.strip()[:1].upper() == _type(standard).international_full[0]


@cache
def _type(setting: int):  # type: ignore[no-untyped-def] # noqa: ANN202
    import spglib

    return spglib.get_spacegroup_type(setting)


def _number(setting: int) -> int:
    return int(_type(setting).number)


def _choice(setting: int) -> str:
    return str(_type(setting).choice)


@cache
def _halls() -> dict[str, int]:
    return {_plain(_type(s).hall_symbol): s for s in range(SETTINGS, 0, -1)}


@cache
def _symbols() -> dict[str, list[int]]:
    """Return every way of writing a symbol -> its settings, the usual one first."""
    found: dict[str, list[int]] = {}
    for setting in range(1, SETTINGS + 1):
        kind = _type(setting)
        names = {_plain(kind.international_full), *map(_plain, kind.international.split("="))}
        if kind.number in MONOCLINIC:
            # of all settings the short name with the unique axis left out: P 1 21/n 1 is P 21/n
            short = [part for part in kind.international_full.split() if part != "1"]
            names = {_plain(kind.international_full), _plain("".join(short))}
        else:
            names.add(_plain(kind.international_short))
        if kind.number >= CUBIC_FROM:
            names |= {name.replace("-3", "3") for name in names}
        names |= {GLIDES[name] for name in names if name in GLIDES}
        names |= {old for old, new in GLIDES.items() if new in names}
        for name in names:
            found.setdefault(name, []).append(setting)
    return found


@cache
def _group(setting: int) -> Group:
    import spglib

    operations = spglib.get_symmetry_from_database(setting)
    if operations is None:
        raise UnusableError(f"the operations of setting {setting} are not tabulated")
    kind = _type(setting)
    choice = f" (setting {kind.choice})" if kind.choice else ""
    return Group(
        f"{kind.international.split('=')[-1].strip().replace('_', '')}{choice}",
        operations["rotations"].astype(np.float64),
        operations["translations"].astype(np.float64),
    )
