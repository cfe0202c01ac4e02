"""Crystals from CIF files, checked against what the files say of themselves."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from epitaxy.core.elements import SYMBOLS
from epitaxy.structures.building import Crystal, UnusableError
from epitaxy.structures.cif_symmetry import IDENTITY, LISTED_NAME, Group, listed_group, named_groups
from epitaxy.structures.cif_text import UNKNOWN, Block, read_blocks, to_float
from epitaxy.structures.closeness import CLOSEST, close_pairs
from epitaxy.structures.occupancy import check_occupancy
from epitaxy.structures.species import element_of, element_of_label

CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
COORDINATES = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
MULTIPLICITY = ("_atom_site_site_symmetry_multiplicity", "_atom_site_symmetry_multiplicity")
FEWEST_DIGITS = 2
ROUNDINGS = 3
"""Images of a rounded special position lie within so many rounding errors of each other."""
SURELY_ONE = 0.005
"""Å; atoms of one element nearer than this are one atom, whatever else the file says."""
LOOSEST = 0.1
"""Å; the most that rounded coordinates explain."""
RATIO = 0.01
"""Relative difference of compositions that counts as equal."""
_FORMULA_PART = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*)")


@dataclass(frozen=True)
class Site:
    """One row of the table of atom sites."""

    label: str
    number: int
    frac: np.ndarray
    """(3,)."""
    rounding: float
    """Largest error of a coordinate by rounding, in fractions of the cell."""
    multiplicity: int | None


@dataclass(frozen=True)
class Statement:
    """What a block says of its content beside the sites."""

    formula: dict[int, float] | None
    """Atomic number -> count in the formula."""
    units: int | None
    """Formula units in the cell, Z."""


@dataclass(frozen=True)
class Expansion:
    """All atoms of the cell under one group."""

    group: Group
    numbers: np.ndarray
    frac: np.ndarray
    owners: np.ndarray
    """(N,) the site from which each atom comes."""
    fault: str = ""
    """Why this cannot be the crystal; empty when nothing speaks against it."""
    note: str = ""


def crystals_from_cif(text: str) -> list[tuple[str, Crystal | UnusableError]]:
    """Read every data block that holds a structure.

    Returns:
        ``(name of the block, crystal or the reason why not)``; blocks without a structure, of a
        journal for example, are left out.

    Raises:
        UnusableError: there is no such block.
    """
    found: list[tuple[str, Crystal | UnusableError]] = []
    for block in read_blocks(text):
        if not block.is_structure:
            continue
        try:
            found.append((block.name, _crystal(block)))
        except UnusableError as error:
            found.append((block.name, error))
    if not found:
        raise UnusableError("unreadable CIF: no data block has a cell and atom sites")
    return found


def _crystal(block: Block) -> Crystal:
    lattice = _lattice(block)
    statement = _statement(block)
    sites = _sites(block, statement)
    tried = [_expand(sites, group, lattice, statement) for group in _groups(block, lattice)]
    good = [expansion for expansion in tried if not expansion.fault]
    if not good:
        raise UnusableError(tried[0].fault)
    chosen = _decide(good, block, lattice)
    if tried[0].fault and tried[0].group.name == LISTED_NAME:
        note = f"read under {chosen.group.name}, since under its own operations {tried[0].fault}"
        chosen = _with(chosen, note=note)
    return Crystal(lattice, chosen.numbers, chosen.frac, chosen.note)


def _lattice(block: Block) -> np.ndarray:
    """Return the vectors of the cell: a in the xz plane, c along z."""
    values = []
    for name in CELL:
        text = block.items.get(f"_cell_{name}")
        value = to_float(text) if text is not None else None
        if value is None or not np.isfinite(value) or value <= 0:
            shown = "is missing" if text is None else f"is {text!r}"
            raise UnusableError(f"unreadable CIF: the cell {name.replace('_', ' ')} {shown}")
        values.append(value)
    a, b, c = values[:3]
    cosines, sines = np.cos(np.radians(values[3:])), np.sin(np.radians(values[3:]))
    cosine = (cosines[0] * cosines[1] - cosines[2]) / (sines[0] * sines[1])
    if not abs(cosine) < 1:
        raise UnusableError(f"the angles {values[3]:g}, {values[4]:g}, {values[5]:g} make no cell")
    lattice = np.array(
        [
            [a * sines[1], 0, a * cosines[1]],
            [-b * sines[0] * cosine, b * sines[0] * np.sqrt(1 - cosine**2), b * cosines[0]],
            [0, 0, c],
        ]
    )
    return np.where(np.abs(lattice) < 1e-12 * max(a, b, c), 0.0, lattice)


def _statement(block: Block) -> Statement:
    text = block.text("_chemical_formula_sum")
    formula: dict[int, float] = {}
    for part in (text or "").replace(",", " ").split():
        found = _FORMULA_PART.fullmatch(part)
        try:
            number = element_of(found.group(1)) if found else None
        except UnusableError:
            number = None
        if found is None or number is None:
            formula = {}
            break
        formula[number] = formula.get(number, 0.0) + float(found.group(2) or 1)
    units = to_float(block.text("_cell_formula_units_z") or "")
    whole = int(units) if units is not None and units >= 1 and units == int(units) else None
    return Statement(formula or None, whole)


def _sites(block: Block, statement: Statement) -> list[Site]:
    table = block.table("_atom_site_")
    if any(tag not in table for tag in COORDINATES):
        raise UnusableError("unreadable CIF: there are no atom sites with fractional coordinates")
    n = len(table[COORDINATES[0]])
    labels = table.get("_atom_site_label") or [f"site {i + 1}" for i in range(n)]
    hydrogens = table.get("_atom_site_attached_hydrogens", ["."] * n)
    dummies = table.get("_atom_site_calc_flag", ["."] * n)
    occupancies = table.get("_atom_site_occupancy", ["."] * n)
    multiplicities = next((table[tag] for tag in MULTIPLICITY if tag in table), ["."] * n)
    sites = []
    for row in range(n):
        if dummies[row].lower().startswith("dum"):
            continue
        texts = [table[tag][row] for tag in COORDINATES]
        frac = [to_float(text) for text in texts]
        if any(value is None for value in frac):
            raise UnusableError(f"site {labels[row]!r} has no coordinates")
        if (to_float(hydrogens[row]) or 0) > 0:
            raise UnusableError(
                f"site {labels[row]!r} carries {hydrogens[row]} hydrogen atoms without positions"
            )
        if occupancies[row].strip() not in UNKNOWN:
            check_occupancy(labels[row], occupancies[row], to_float(occupancies[row]))
        times = to_float(multiplicities[row])
        sites.append(
            Site(
                label=labels[row],
                number=_element(table, row, labels[row], statement),
                frac=np.array(frac, dtype=np.float64),
                rounding=_rounding(texts),
                multiplicity=int(times) if times is not None and times >= 1 else None,
            )
        )
    if not sites:
        raise UnusableError("unreadable CIF: the table of atom sites is empty")
    return sites


def _element(table: dict[str, list[str]], row: int, label: str, statement: Statement) -> int:
    allowed = tuple(statement.formula or ())
    symbols = table.get("_atom_site_type_symbol")
    if symbols is not None and symbols[row] not in UNKNOWN:
        return element_of(symbols[row], allowed)
    return element_of_label(label, allowed)


def _rounding(texts: list[str]) -> float:
    digits = max(len(text.split("(")[0].partition(".")[2]) for text in texts)
    return float(0.5 * 10.0 ** -max(digits, FEWEST_DIGITS))


def _groups(block: Block, lattice: np.ndarray) -> list[Group]:
    """Return the groups that the block can mean, the best first.

    Raises:
        UnusableError: it names a group that is not known, or that the cell does not have.
    """
    listed = listed_group(block)
    try:
        named = named_groups(block)
    except UnusableError:
        if listed is None:
            raise
        named = []
    fitting = [group for group in named if group.fits(lattice)]
    if listed is not None:
        if not listed.fits(lattice):
            raise UnusableError("the cell does not have the symmetry of the listed operations")
        larger = [group for group in fitting if len(group) > len(listed)]
        return [listed, *larger] if len(larger) == len(fitting) else [listed]
    if named and not fitting:
        raise UnusableError(f"the cell does not have the symmetry of {named[0].name}")
    # Other origins are other structures; of several unique axes the usual one is meant.
    return [group for group in fitting if group.has_axes_of(fitting[0])] or [IDENTITY]


def _expand(
    sites: list[Site], group: Group, lattice: np.ndarray, statement: Statement
) -> Expansion:
    """Apply a group to the sites; rounded special positions become what they stand for."""
    plain = _apply(sites, group, lattice, None)
    fault = _contradiction(plain, sites, statement)
    close = _closest(plain, sites, lattice)
    if not fault and not close:
        return plain
    if statement.formula is not None or any(site.multiplicity for site in sites):
        merged = _apply(sites, group, lattice, CLOSEST)
        wrong = _contradiction(merged, sites, statement) or _closest(merged, sites, lattice)
        if not wrong:
            note = "atoms nearer than 0.5 Å joined, as the formula or the multiplicities say"
            return _with(merged, note=note)
    return _with(plain, fault=close or fault)


def _with(expansion: Expansion, *, fault: str = "", note: str = "") -> Expansion:
    return Expansion(
        expansion.group, expansion.numbers, expansion.frac, expansion.owners, fault, note
    )


def _apply(sites: list[Site], group: Group, lattice: np.ndarray, merge: float | None) -> Expansion:
    """Make all images and join those that are one atom.

    Args:
        sites: the asymmetric unit.
        group: its operations.
        lattice: (3, 3).
        merge: Å, how near the images of one atom may be; None: what rounding explains.
    """
    longest = float(np.linalg.norm(lattice, axis=1).max())
    numbers: list[int] = []
    owners: list[int] = []
    atoms: list[np.ndarray] = []
    for position, site in enumerate(sites):
        explained = min(LOOSEST, ROUNDINGS * site.rounding * longest)
        tolerance = merge if merge is not None else max(SURELY_ONE, explained)
        images = _orbit(site.frac, group, lattice, tolerance)
        same = [i for i, number in enumerate(numbers) if number == site.number]
        if same:
            others = np.array([atoms[i] for i in same])
            images = images[_distances(images, others, lattice).min(axis=1) > tolerance]
        numbers += [site.number] * len(images)
        owners += [position] * len(images)
        atoms += list(images)
    return Expansion(
        group,
        np.array(numbers, dtype=np.int64),
        np.array(atoms, dtype=np.float64).reshape(-1, 3),
        np.array(owners, dtype=np.int64),
    )


def _orbit(frac: np.ndarray, group: Group, lattice: np.ndarray, tolerance: float) -> np.ndarray:
    """Return the different images of a position, (n, 3); means of those that coincide."""
    images = group.rotations @ frac + group.translations
    images -= np.floor(images)
    near = _distances(images, images, lattice) < tolerance
    first = near.argmax(axis=1)
    kept = np.unique(first)
    for atom in kept if len(kept) < len(images) else ():
        delta = images[first == atom] - images[atom]
        images[atom] += (delta - np.round(delta)).mean(axis=0)
    return np.asarray(images[kept] % 1)


def _distances(one: np.ndarray, two: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Return (n, m) distances in Å, right where they are short against the cell."""
    delta = one[:, None] - two
    return np.asarray(np.linalg.norm((delta - np.round(delta)) @ lattice, axis=2))


def _closest(expansion: Expansion, sites: list[Site], lattice: np.ndarray) -> str:
    ends = np.array([0, len(expansion.numbers)])
    pair = close_pairs(ends, lattice[None], expansion.frac).get(0)
    if pair is None:
        return ""
    one, two = (sites[expansion.owners[atom]].label for atom in (pair.one, pair.two))
    who = f"{one!r} and {two!r}" if one != two else f"{one!r} and its image"
    return (
        f"{who} are {pair.distance:.3g} Å apart under {expansion.group.name}; write the "
        "coordinates with more digits, or the formula"
    )


def _contradiction(expansion: Expansion, sites: list[Site], statement: Statement) -> str:
    """Say how the atoms contradict formula, Z or multiplicities; empty when they do not."""
    counts = Counter(expansion.numbers.tolist())
    group = expansion.group.name
    if statement.formula is None:
        made = Counter(expansion.owners.tolist())
        for position, site in enumerate(sites):
            if site.multiplicity is not None and made[position] != site.multiplicity:
                return (
                    f"site {site.label!r} has multiplicity {site.multiplicity} in the file, but "
                    f"{made[position]} under {group}"
                )
        return ""
    formula = statement.formula
    said = _words(formula)
    ratios = [counts[z] / n for z, n in formula.items() if n]
    even = ratios and max(ratios) - min(ratios) <= RATIO * max(ratios)
    if set(counts) != set(formula) or not even:
        return f"the sites give {_words(counts)} under {group}, but the file's formula is {said}"
    units = float(np.mean(ratios))
    if statement.units is None or abs(units - statement.units) <= RATIO * units:
        return ""
    whole_cell = all(float(n / statement.units).is_integer() for n in formula.values())
    if whole_cell and abs(units - 1) <= RATIO:
        return ""
    return (
        f"the sites give {_words(counts)} under {group}, {units:g} of the formula {said}, but the "
        f"file says Z = {statement.units}"
    )


def _words(counts: dict[int, float] | Counter[int]) -> str:
    ordered = sorted((SYMBOLS[z], n) for z, n in counts.items())
    return " ".join(f"{symbol}{n:g}" if n != 1 else symbol for symbol, n in ordered)


def _decide(good: list[Expansion], block: Block, lattice: np.ndarray) -> Expansion:
    """Choose among expansions with which nothing is wrong.

    Raises:
        UnusableError: they differ, and nothing in the block tells which is meant.
    """
    first = good[0]
    if first.group is IDENTITY:
        return _with(first, note="no symmetry is given, read as P 1")
    open_to = [other for other in good[1:] if not _closed(first, other.group, lattice)]
    if not open_to:
        return first
    if first.group.name != LISTED_NAME:
        names = " or ".join(expansion.group.name for expansion in good)
        raise UnusableError(f"the space group can mean {names}; list its symmetry operations")
    raise UnusableError(
        f"the file names {block.text('_symmetry_space_group_name_h-m') or open_to[0].group.name} "
        f"({len(open_to[0].group)} operations) but lists {len(first.group)}, under which the "
        "sites are not symmetric; repair the list of operations"
    )


def _closed(expansion: Expansion, group: Group, lattice: np.ndarray) -> bool:
    """Tell whether a group maps the atoms onto themselves."""
    from scipy.spatial import cKDTree

    shortest = float(np.linalg.norm(lattice, axis=1).min())
    for number in np.unique(expansion.numbers):
        atoms = expansion.frac[expansion.numbers == number] % 1 % 1
        images = np.einsum("gij,nj->gni", group.rotations, atoms) + group.translations[:, None]
        distances, _ = cKDTree(atoms, boxsize=1).query(images.reshape(-1, 3) % 1 % 1)
        if distances.max() > LOOSEST / shortest:
            return False
    return True
