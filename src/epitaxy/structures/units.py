"""Units in the headers and cells of tables."""

from __future__ import annotations

import re

UNIT_SYMBOLS = frozenset(
    [
        "eV",
        "meV",
        "keV",
        "J",
        "mJ",
        "kJ",
        "MJ",
        "cal",
        "kcal",
        "mol",
        "K",
        "°C",
        "Pa",
        "kPa",
        "MPa",
        "GPa",
        "bar",
        "kbar",
        "Å",
        "Å",
        "A",
        "mA",
        "Ang",
        "angstrom",
        "Angstrom",
        "nm",
        "pm",
        "um",
        "µm",
        "μm",
        "m",
        "cm",
        "mm",
        "bohr",
        "Bohr",
        "a0",
        "s",
        "ps",
        "fs",
        "ns",
        "ms",
        "h",
        "Hz",
        "kHz",
        "MHz",
        "GHz",
        "THz",
        "g",
        "kg",
        "mg",
        "amu",
        "u",
        "T",
        "mT",
        "Oe",
        "mu_B",
        "muB",
        "µB",
        "μB",
        "μ_B",
        "emu",
        "e",
        "C",
        "uC",
        "µC",
        "pC",
        "V",
        "mV",
        "µV",
        "μV",
        "uV",
        "kV",
        "S",
        "Ohm",
        "Ω",
        "W",
        "mW",
        "µW",
        "μW",
        "uW",
        "mₑ",
        "m_e",
        "F",
        "rad",
        "deg",
        "°",
        "%",
        "Ry",
        "mRy",
        "Ha",
        "mHa",
        "hartree",
        "Hartree",
        "Debye",
        "D",
        "atom",
        "atoms",
        "cell",
        "f.u.",
        "fu",
        "unitcell",
        "ppm",
        "cc",
        "L",
        "a.u.",
    ]
)
COUNTED = frozenset({"atom", "atoms", "cell", "f.u.", "fu", "mol", "unitcell"})
"""Units that stand only below others: ``energy / atom`` names no unit."""
PURE = frozenset({"-", "1", "[-]", "(-)", "none", "dimensionless", "unitless", "arb. units"})
"""How a table says that a number has no unit."""
FUNCTIONS = frozenset({"log", "log10", "log2", "ln", "exp", "sqrt", "min", "max", "abs"})
_BRACKETS = re.compile(r"(.*\S)\s*(?:\(([^()]*(?:\([^()]*\)[^()]*)*)\)|\[([^\[\]]*)\])")
_SLASH = re.compile(r"(.*\S)\s+/\s*(\S.*)")
_COMMA = re.compile(r"(.*\S)\s*,\s+(\S.*)")
_POWER = re.compile(r"(?:\*\*|\^)?\(?[-\u2212+]?\d+\)?$|[⁻⁺¹²³⁴⁵⁶⁷⁸⁹⁰]+$")
_LOGARITHM = re.compile(r"(?:log10|log|ln)\s*\((.*)\)")


def is_unit(text: str) -> bool:
    """Tell whether a text is a physical unit.

    >>> [is_unit(t) for t in ("eV", "meV/atom", "cm^-1", "10^6 S m-1", "log10(GPa)", "K_VRH")]
    [True, True, True, True, True, False]
    """
    text = text.strip()
    logarithm = _LOGARITHM.fullmatch(text)
    if logarithm:
        return is_unit(logarithm.group(1))
    words = [word for word in re.split(r"[\s·⋅\u00d7*/()]+", text.replace("**", "^")) if word]
    found = False
    for word in words:
        bare = word if word in UNIT_SYMBOLS else _POWER.sub("", word)
        if bare in UNIT_SYMBOLS:
            found = True
        elif bare and not bare.isdecimal():
            return False
    return found


def split_header(header: str) -> tuple[str, str]:
    """Return ``(name, unit)`` of a column; the unit is empty where the header gives none.

    >>> split_header("gap (eV)"), split_header("gap / eV"), split_header("log10(K_VRH)")
    (('gap', 'eV'), ('gap', 'eV'), ('log10(K_VRH)', ''))
    """
    for pattern in (_BRACKETS, _SLASH, _COMMA):
        found = pattern.fullmatch(header.strip())
        if found is None:
            continue
        name, *rest = found.groups()
        unit = next(text for text in rest if text is not None).strip()
        counted = pattern is _SLASH and unit in COUNTED
        if name.lower() in FUNCTIONS or counted:
            continue
        if unit.lower() in PURE and pattern is _BRACKETS:
            return name, ""
        if is_unit(unit):
            return name, unit
    return header, ""


def split_headers(headers: list[str]) -> dict[str, tuple[str, str]]:
    """Return header -> ``(name, unit)``; names that would be equal stay as they are.

    >>> split_headers(["gap (eV)", "gap (meV)", "density (g/cm3)"])["density (g/cm3)"]
    ('density', 'g/cm3')
    """
    made = {header: split_header(header) for header in headers}
    names = [name for name, _ in made.values()]
    return {
        header: (name if names.count(name) == 1 else header, unit)
        for header, (name, unit) in made.items()
    }


def unit_cell(text: str) -> str | None:
    """Return the unit that a cell of a line of units gives, None when it is no such cell.

    >>> unit_cell("(eV)"), unit_cell("-"), unit_cell("NaCl") is None
    ('eV', '', True)
    """
    bare = text.strip()
    if bare.lower() in PURE or not bare:
        return ""
    if bare[0] + bare[-1] in {"()", "[]"}:
        bare = bare[1:-1].strip()
    return bare if is_unit(bare) else None
