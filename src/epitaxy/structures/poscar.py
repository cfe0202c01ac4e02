"""Crystals from POSCAR files, with the line that is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from epitaxy.structures.building import Crystal, UnusableError
from epitaxy.structures.species import element_of

LATTICE = range(2, 5)
NAMES, FIRST = 5, 6
"""Positions of the line of elements and of what follows, counted from 0."""
MOST_DIGITS = 9
_FLOAT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?")


def floats(text: str, n: int) -> list[float] | None:
    """Return the first ``n`` words of a line as numbers, None when they are none.

    >>> floats("0.5D+01 0 1 T F T", 3), floats("1.0 2.0", 3)
    ([5.0, 0.0, 1.0], None)
    """
    words = text.split()[:n]
    if len(words) < n or not all(_FLOAT.fullmatch(word) for word in words):
        return None
    return [float(word.lower().replace("d", "e")) for word in words]


def crystal_from_poscar(text: str) -> Crystal:
    """Read a POSCAR or CONTCAR file; velocities behind the positions are left out.

    Raises:
        UnusableError: with the number of the line that is not as it must be.
    """
    lines = [re.split(r"[!#]", line)[0].strip() for line in text.splitlines()]
    scale, lattice = _lattice(lines)
    numbers, first = _species(lines)
    mode = _line(lines, first, "the line 'Direct' or 'Cartesian'")
    if mode[:1].lower() == "s":
        first += 1
        mode = _line(lines, first, "the line 'Direct' or 'Cartesian'")
    if mode[:1].lower() not in {"d", "c", "k"}:
        raise _wrong(first, f"{mode!r} must be Direct or Cartesian")
    coords = _positions(lines, first + 1, len(numbers))
    if mode[:1].lower() != "d":
        coords = np.linalg.solve(lattice.T, (coords * scale).T).T
    if any(number == 0 for number in numbers):
        numbers = _trailing_species(lines[first + 1 : first + 1 + len(numbers)])
    return Crystal(lattice, np.array(numbers, dtype=np.int64), coords)


def _lattice(lines: Sequence[str]) -> tuple[float, np.ndarray]:
    """Return the scale and the scaled vectors."""
    words = _line(lines, 1, "the scale").split()
    scale = floats(lines[1], 1)
    if scale is None or scale[0] == 0:
        raise _wrong(1, f"the scale {lines[1][:40]!r} must be a number that is not 0")
    if len(words) > 1 and floats(lines[1], len(words)) is not None:
        raise _wrong(
            1, f"{len(words)} scales are given; multiply the vectors by them and write 1.0"
        )
    vectors = []
    for at in LATTICE:
        vector = floats(_line(lines, at, "a lattice vector"), 3)
        if vector is None:
            raise _wrong(at, f"{lines[at][:40]!r} must be the three numbers of a lattice vector")
        vectors.append(vector)
    lattice = np.array(vectors)
    volume = abs(float(np.linalg.det(lattice)))
    if volume == 0:
        raise UnusableError("the lattice is singular (volume 0 Å^3); give a periodic cell")
    factor = scale[0] if scale[0] > 0 else (-scale[0] / volume) ** (1 / 3)
    return factor, lattice * factor


def _species(lines: Sequence[str]) -> tuple[list[int], int]:
    """Return one atomic number per atom and the next line; zeros where elements are not named."""
    names = _line(lines, NAMES, "the line of elements").split()
    if all(word.isdecimal() for word in names):
        return [0] * sum(_counts(lines, NAMES)), FIRST
    counts = _counts(lines, FIRST)
    if len(counts) != len(names):
        raise _wrong(FIRST, f"there are {len(counts)} numbers of atoms for {len(names)} elements")
    numbers = []
    for name, count in zip(names, counts, strict=True):
        try:
            # names of potentials and hashes follow the symbol: Na_pv, Na/0123abcd
            number = element_of(re.split(r"[_/.:]", name)[0])
        except UnusableError as error:
            raise _wrong(NAMES, str(error)) from error
        numbers += [number] * count
    return numbers, FIRST + 1


def _counts(lines: Sequence[str], at: int) -> list[int]:
    words = _line(lines, at, "the numbers of atoms").split()
    if not all(word.isdecimal() and len(word) <= MOST_DIGITS for word in words):
        raise _wrong(at, f"{lines[at][:40]!r} must be the numbers of atoms")
    counts = [int(word) for word in words]
    if sum(counts) > len(lines):
        raise _wrong(at, f"{sum(counts)} atoms are counted, but the file has {len(lines)} lines")
    return counts


def _positions(lines: Sequence[str], first: int, n: int) -> np.ndarray:
    found = []
    for at in range(first, first + n):
        position = floats(lines[at], 3) if at < len(lines) else None
        if position is None:
            shown = repr(lines[at][:40]) if at < len(lines) and lines[at] else "nothing"
            raise _wrong(at, f"{shown} stands where position {at - first + 1} of {n} must be")
        found.append(position)
    after = lines[first + n] if first + n < len(lines) else ""
    if floats(after, 3) is not None or after.lower().startswith(("direct", "cartesian")):
        what = "more positions" if floats(after, 3) is not None else "another configuration"
        raise _wrong(first + n, f"{what} than the {n} atoms that are counted")
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def _trailing_species(lines: Sequence[str]) -> list[int]:
    """Read elements that stand behind the positions."""
    words = [line.split()[-1] for line in lines]
    try:
        return [element_of(word) for word in words]
    except UnusableError as error:
        raise _wrong(
            NAMES, "the elements are not named; write them in a line above the numbers of atoms"
        ) from error


def _line(lines: Sequence[str], at: int, what: str) -> str:
    if at >= len(lines) or not lines[at]:
        raise _wrong(at, f"{what} is missing")
    return lines[at]


def _wrong(at: int, what: str) -> UnusableError:
    return UnusableError(f"unreadable POSCAR: line {at + 1}: {what}")
