"""Crystals from a structure type, the elements on its sites and a few lengths."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from epitaxy.core.elements import NUMBERS
from epitaxy.core.errors import InputError, unknown
from epitaxy.structures.building import Crystal

DECIMALS = 9
"""Lattice vectors and coordinates are rounded to this many decimals (the same on any machine)."""

PRIMITIVE = {
    "P": np.eye(3),
    "F": np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2,
    "I": np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2,
    "C": np.array([[1, -1, 0], [1, 1, 0], [0, 0, 2]]) / 2,
    "R": np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3,
}
"""First letter of the space group -> primitive vectors in units of the conventional ones."""


class Prototype(NamedTuple):
    """A structure type: space group, and per occupied Wyckoff position one representative."""

    space_group: str
    """Symbol with pymatgen's default origin (hexagonal axes where it ends in ``:H``)."""
    sites: tuple[tuple[int, str], ...]
    """(which element of the formula, three coordinates: sums of fractions and names)."""
    parameters: tuple[str, ...] = ()
    """Names of the free internal coordinates."""


PROTOTYPES = {
    "diamond": Prototype("Fd-3m", ((0, "0 0 0"),)),
    "zincblende": Prototype("F-43m", ((0, "0 0 0"), (1, "1/4 1/4 1/4"))),
    "wurtzite": Prototype("P6_3mc", ((0, "1/3 2/3 0"), (1, "1/3 2/3 u")), ("u",)),
    "rocksalt": Prototype("Fm-3m", ((0, "0 0 0"), (1, "1/2 1/2 1/2"))),
    "caesium-chloride": Prototype("Pm-3m", ((0, "0 0 0"), (1, "1/2 1/2 1/2"))),
    "nickel-arsenide": Prototype("P6_3/mmc", ((0, "0 0 0"), (1, "1/3 2/3 1/4"))),
    "fluorite": Prototype("Fm-3m", ((0, "0 0 0"), (1, "1/4 1/4 1/4"))),
    "antifluorite": Prototype("Fm-3m", ((0, "1/4 1/4 1/4"), (1, "0 0 0"))),
    "filled-zincblende": Prototype("F-43m", ((0, "1/2 1/2 1/2"), (1, "0 0 0"), (2, "1/4 1/4 1/4"))),
    "half-Heusler": Prototype("F-43m", ((0, "1/2 1/2 1/2"), (1, "1/4 1/4 1/4"), (2, "0 0 0"))),
    "rutile": Prototype("P4_2/mnm", ((0, "0 0 0"), (1, "u u 0")), ("u",)),
    "anatase": Prototype("I4_1/amd", ((0, "0 0 0"), (1, "0 0 z")), ("z",)),
    "perovskite": Prototype("Pm-3m", ((0, "1/2 1/2 1/2"), (1, "0 0 0"), (2, "1/2 0 0"))),
    "tetragonal-perovskite": Prototype(
        "P4mm",
        ((0, "0 0 0"), (1, "1/2 1/2 z1"), (2, "1/2 1/2 z2"), (2, "1/2 0 z3")),
        ("z1", "z2", "z3"),
    ),
    "elpasolite": Prototype(
        "Fm-3m",
        ((0, "1/4 1/4 1/4"), (1, "1/2 1/2 1/2"), (2, "0 0 0"), (3, "x 0 0")),
        ("x",),
    ),
    "antifluorite-hexahalide": Prototype(
        "Fm-3m", ((0, "1/4 1/4 1/4"), (1, "0 0 0"), (2, "x 0 0")), ("x",)
    ),
    "chalcopyrite": Prototype("I-42d", ((0, "0 0 0"), (1, "0 0 1/2"), (2, "x 1/4 1/8")), ("x",)),
    "defect-chalcopyrite": Prototype(
        "I-4", ((0, "0 0 0"), (1, "0 0 1/2"), (1, "0 1/2 1/4"), (2, "x y z")), ("x", "y", "z")
    ),
    "spinel": Prototype(
        "Fd-3m", ((0, "1/4 1/4 1/4"), (1, "5/8 5/8 5/8"), (2, "u+1/8 u+1/8 u+1/8")), ("u",)
    ),
    "cadmium-iodide": Prototype("P-3m1", ((0, "0 0 0"), (1, "1/3 2/3 z")), ("z",)),
    "cadmium-chloride": Prototype("R-3m:H", ((0, "0 0 0"), (1, "0 0 z")), ("z",)),
    "bismuth-iodide": Prototype("R-3:H", ((0, "0 0 w"), (1, "x y z")), ("w", "x", "y", "z")),
    "2H-molybdenite": Prototype("P6_3/mmc", ((0, "1/3 2/3 1/4"), (1, "1/3 2/3 z")), ("z",)),
    "gallium-sulfide": Prototype("P6_3/mmc", ((0, "1/3 2/3 v"), (1, "1/3 2/3 w")), ("v", "w")),
    "hexagonal-boron-nitride": Prototype("P6_3/mmc", ((0, "1/3 2/3 1/4"), (1, "1/3 2/3 3/4"))),
    "corundum": Prototype("R-3c:H", ((0, "0 0 z"), (1, "x 0 1/4")), ("z", "x")),
    "lithium-niobate": Prototype(
        "R3c:H", ((0, "0 0 w"), (1, "0 0 0"), (2, "x y z")), ("w", "x", "y", "z")
    ),
    "tetradymite": Prototype("R-3m:H", ((0, "0 0 u"), (1, "0 0 0"), (1, "0 0 v")), ("u", "v")),
    "delafossite": Prototype("R-3m:H", ((0, "0 0 0"), (1, "0 0 1/2"), (2, "0 0 z")), ("z",)),
    "lanthanum-oxide": Prototype(
        "P-3m1", ((0, "1/3 2/3 u"), (1, "1/3 2/3 v"), (1, "0 0 0")), ("u", "v")
    ),
    "magnesium-antimonide": Prototype(
        "P-3m1", ((0, "0 0 0"), (0, "1/3 2/3 u"), (1, "1/3 2/3 v")), ("u", "v")
    ),
    "bismuth-telluroiodide": Prototype(
        "P3m1", ((0, "0 0 0"), (1, "2/3 1/3 u"), (2, "1/3 2/3 v")), ("u", "v")
    ),
    "matlockite": Prototype("P4/nmm", ((0, "0 1/2 u"), (1, "0 0 0"), (2, "0 1/2 v")), ("u", "v")),
    "litharge": Prototype("P4/nmm", ((0, "0 1/2 z"), (1, "0 0 0")), ("z",)),
    "cooperite": Prototype("P4_2/mmc", ((0, "0 1/2 0"), (1, "0 0 1/4"))),
    "cuprite": Prototype("Pn-3m", ((0, "1/4 1/4 1/4"), (1, "0 0 0"))),
    "pyrite": Prototype("Pa-3", ((0, "0 0 0"), (1, "u u u")), ("u",)),
    "bixbyite": Prototype(
        "Ia-3",
        ((0, "1/4 1/4 1/4"), (0, "w 0 1/4"), (1, "x y z")),
        ("w", "x", "y", "z"),
    ),
    "anti-bixbyite": Prototype(
        "Ia-3",
        ((0, "x y z"), (1, "1/4 1/4 1/4"), (1, "w 0 1/4")),
        ("w", "x", "y", "z"),
    ),
    "trigonal-selenium": Prototype("P3_121", ((0, "u 0 1/3"),), ("u",)),
    "cinnabar": Prototype("P3_121", ((0, "u 0 1/3"), (1, "v 0 5/6")), ("u", "v")),
    "alpha-quartz": Prototype("P3_221", ((0, "u 0 2/3"), (1, "x y z")), ("u", "x", "y", "z")),
    "black-phosphorus": Prototype("Cmce", ((0, "0 y z"),), ("y", "z")),
    "tin-sulfide": Prototype(
        "Pnma", ((0, "x1 1/4 z1"), (1, "x2 1/4 z2")), ("x1", "z1", "x2", "z2")
    ),
    "thallium-selenide": Prototype(
        "I4/mcm", ((0, "0 0 1/4"), (1, "0 1/2 1/4"), (2, "x x+1/2 0")), ("x",)
    ),
    "tenorite": Prototype("C2/c", ((0, "1/4 1/4 0"), (1, "0 y 1/4")), ("y",)),
    "beta-silicon-nitride": Prototype(
        "P6_3/m",
        ((0, "x1 y1 1/4"), (1, "1/3 2/3 1/4"), (1, "x2 y2 1/4")),
        ("x1", "y1", "x2", "y2"),
    ),
    "baddeleyite": Prototype(
        "P2_1/c",
        ((0, "x1 y1 z1"), (1, "x2 y2 z2"), (1, "x3 y3 z3")),
        ("x1", "y1", "z1", "x2", "y2", "z2", "x3", "y3", "z3"),
    ),
    "beta-gallium-oxide": Prototype(
        "C2/m",
        ((0, "x1 0 z1"), (0, "x2 0 z2"), (1, "x3 0 z3"), (1, "x4 0 z4"), (1, "x5 0 z5")),
        ("x1", "z1", "x2", "z2", "x3", "z3", "x4", "z4", "x5", "z5"),
    ),
    "mercury-iodide": Prototype("P4_2/nmc", ((0, "0 0 0"), (1, "0 1/2 z")), ("z",)),
}
"""Structure types by name."""


def elements_of(formula: str) -> list[str]:
    """Return the elements of a formula in the order in which they are written.

    >>> elements_of("Cu2O")
    ['Cu', 'O']
    """
    return list(dict.fromkeys(re.findall(r"[A-Z][a-z]?", formula)))


def build(
    prototype: str,
    elements: Sequence[str],
    *,
    lengths: Mapping[str, float],
    internal: Mapping[str, float] | None = None,
) -> Crystal:
    """Build the primitive cell of a structure type.

    Args:
        prototype: name in `PROTOTYPES`.
        elements: symbols in the order of the formula (cation first, ``["Mg", "Si"]``).
        lengths: ``a`` and, where the symmetry leaves them free, ``b``, ``c`` (Å), ``beta``
            (degrees), all of the conventional cell.
        internal: values of the free internal coordinates.

    Raises:
        InputError: no such structure type, or one of its internal coordinates is missing.

    >>> crystal = build("rocksalt", ["Na", "Cl"], lengths={"a": 5.64})
    >>> crystal.atomic_numbers.tolist(), crystal.frac_coords[1].tolist()
    ([11, 17], [0.5, 0.5, 0.5])
    """
    if prototype not in PROTOTYPES:
        raise unknown("structure type", prototype, PROTOTYPES)
    kind = PROTOTYPES[prototype]
    values = dict(internal or {})
    if set(values) != set(kind.parameters):
        raise InputError(
            f"Structure type {prototype!r} needs the internal coordinates "
            f"{', '.join(kind.parameters) or 'none'}; {', '.join(values) or 'none'} were given."
        )
    operations, hexagonal = _symmetry(kind.space_group)
    cell = PRIMITIVE[kind.space_group[0]]
    numbers, coords = [], []
    for slot, text in kind.sites:
        site = [_number(token, values) for token in text.split()]
        inside = _inside(operations[:, :3] @ np.array([*site, 1.0]), cell)
        numbers += [NUMBERS[elements[slot]]] * len(inside)
        coords.append(inside)
    lattice = cell @ _conventional(lengths, hexagonal=hexagonal)
    return Crystal(
        np.round(lattice, DECIMALS) + 0.0, np.array(numbers, np.int64), np.concatenate(coords)
    )


@lru_cache
def _symmetry(space_group: str) -> tuple[np.ndarray, bool]:
    """Operations (M, 4, 4) on fractional coordinates, and whether the axes are hexagonal."""
    from pymatgen.symmetry.groups import SpaceGroup

    group = SpaceGroup(space_group)
    operations = np.stack([operation.affine_matrix for operation in group.symmetry_ops])
    return operations, group.crystal_system in {"hexagonal", "trigonal"}


def _number(token: str, values: Mapping[str, float]) -> float:
    """Value of a coordinate such as ``1/3``, ``u`` or ``x+1/2``."""
    return sum(values[t] if t in values else float(Fraction(t)) for t in token.split("+"))


def _inside(orbit: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Positions (M, 3) of the conventional cell -> those that differ in the primitive cell."""
    coords = np.round((orbit @ np.linalg.inv(cell)) % 1.0, DECIMALS)
    coords[coords > 1.0 - 1e-6] = 0.0
    _, first = np.unique(np.round(coords, 5), axis=0, return_index=True)
    return coords[first] + 0.0


def _conventional(lengths: Mapping[str, float], *, hexagonal: bool) -> np.ndarray:
    """Conventional lattice vectors (3, 3) in Å: x along a, y in the plane of a and b."""
    a = lengths["a"]
    b, c, beta = lengths.get("b", a), lengths.get("c", a), np.radians(lengths.get("beta", 90.0))
    gamma = np.radians(120.0 if hexagonal else 90.0)
    return np.array(
        [
            [a, 0.0, 0.0],
            [b * np.cos(gamma), b * np.sin(gamma), 0.0],
            [c * np.cos(beta), 0.0, c * np.sin(beta)],
        ]
    )
