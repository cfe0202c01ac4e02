"""The bonds of the ALIGNN package of 2023, to the last bit of its arithmetic.

K. Choudhary and B. DeCost, npj Comput. Mater. 7, 185 (2021), as released in alignn 2023.4.1 and
used by R. Devi, K. T. Butler and G. Sai Gautam, npj Comput. Mater. 10, 300 (2024). Each atom keeps
the images up to its twelfth nearest, and the comparison of distances has no tolerance. Thus which
members of a shell of equal distances are kept depends on round-off: on lattice vectors that are
rounded in one place and not in another, and on fused multiply-adds in the matrix products. All
this is repeated here, with the same outcome on every machine.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from epitaxy.graphs.ragged import offsets_of
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.search import Cells, Images, nearest_images

NEAREST = 0.15
"""Å; what is not farther than this is no neighbour. Also added to the radius of a search."""
DECIMALS = 5
"""Digits of rounded lattice vectors, direct and reciprocal; their lengths have one more."""
MARGIN = 1e-3
"""Å; more than twice what the rounding of the lattice changes in the distance of two atoms."""
MOST_SPAN = 10.0
"""Cells over which the atoms of a crystal may be spread for that to be so."""
MOST_WORK = 100_000_000
"""Images times (atoms + `IMAGE_COST`) squared that one search through all images may look at."""
WORK_AT_ONCE = 500_000
"""The same for the arrays of one step."""
IMAGE_COST = 3
SPLITTER = 2.0**27 + 1
"""Cuts a float64 into halves whose products are exact."""


class _Pairs(NamedTuple):
    """Neighbours found: P pairs of an atom and the image of an atom."""

    src: np.ndarray
    """(P,) int64 row of the atom."""
    dst: np.ndarray
    """(P,) int64 row of the atom that is repeated."""
    shift: np.ndarray
    """(P, 3) int64 lattice vectors added to `dst`."""

    def take(self, rows: np.ndarray) -> _Pairs:
        """Return some of the pairs."""
        return _Pairs(*(f[rows] for f in self))


class _Published(NamedTuple):
    """What the published search derives from the cells: B crystals, N atoms."""

    crystal: np.ndarray
    """(N,) crystal of each atom."""
    rounded: np.ndarray
    """(B, 3, 3) lattice vectors of `DECIMALS` digits, Å."""
    positions: np.ndarray
    """(N, 3) Å, by the rounded lattice."""
    longest: np.ndarray
    """(B,) length of the longest rounded lattice vector, Å."""
    per_angstrom: np.ndarray
    """(B, 3) 1/Å; lengths of the rounded reciprocal vectors over 2 pi."""
    first: np.ndarray
    """(B, 3) cell of the lowest coordinates."""
    last: np.ndarray
    """(B, 3) cell after that of the highest coordinates."""


def alignn_2023(cells: Cells, recipe: GraphRecipe) -> Images:
    """Bond as alignn 2023.4.1 does with ``neighbor_strategy="k-nearest"``.

    ``recipe.cutoff`` (Å) is no cutoff but the radius of the first search, made larger until all
    atoms of the crystal have ``recipe.neighbours``. Every bond is given in both directions. With
    ``recipe.canonical``, a bond that both of its ends have found is there once; without, twice.
    A bond between images of one atom comes twice in any case, as both of its directions count as
    found. Bond vectors and lengths follow the lattice rounded to 1e-5 Å.

    Coordinates are not wrapped, and the published search begins at the origin. Where its work
    would be more than `MOST_WORK` (atoms many cells away from the origin, or very far apart), the
    atoms of that crystal get no bonds; otherwise, every atom has at least ``recipe.neighbours``.
    """
    published = _published(cells)
    pairs, distance, whole = _quick_search(cells, published, recipe)
    found = [pairs]
    distances = [distance]
    for row in np.flatnonzero(~whole).tolist():
        pairs, distance = _full_search(cells, published, row, recipe)
        found.append(pairs)
        distances.append(distance)
    pairs = _Pairs(*(np.concatenate(f) for f in zip(*found, strict=True)))
    distance = np.concatenate(distances)
    order, limit = _by_rank(pairs.src, distance, len(cells.frac_coords), recipe.neighbours)
    kept = pairs.take(order[distance[order] <= limit[pairs.src[order]]])
    return _both_ways(cells, published, _canonical(kept) if recipe.canonical else kept)


def _published(cells: Cells) -> _Published:
    crystal = np.repeat(np.arange(len(cells.lattices)), np.diff(cells.offsets))
    rounded = np.round(cells.lattices, DECIMALS)
    reciprocal = np.round(2 * np.pi * _reciprocal(rounded), DECIMALS)
    starts = cells.offsets[:-1]
    return _Published(
        crystal=crystal,
        rounded=rounded,
        positions=_product(cells.frac_coords, rounded[crystal]),
        longest=_lengths(rounded).max(axis=1),
        per_angstrom=_lengths(reciprocal) / (2 * np.pi),
        first=np.floor(np.minimum.reduceat(cells.frac_coords, starts)),
        last=np.ceil(np.maximum.reduceat(cells.frac_coords, starts)),
    )


def _reciprocal(lattices: np.ndarray) -> np.ndarray:
    """Return the reciprocal vectors, without 2 pi, as rows, (B, 3, 3), 1/Å."""
    a, b, c = (lattices[:, k] for k in range(3))
    normals = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        reciprocal: np.ndarray = normals / (a * normals[:, 0]).sum(axis=1)[:, None, None]
    return reciprocal


def _lengths(vectors: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.round(_norm(np.moveaxis(vectors, -1, 0)), DECIMALS + 1)
    return lengths


def _quick_search(
    cells: Cells, published: _Published, recipe: GraphRecipe
) -> tuple[_Pairs, np.ndarray, np.ndarray]:
    """Return the nearest pairs, distances (P,) in Å, and (B,) whose crystals these are.

    As neighbours are chosen by rank, it does not matter how the published search comes by them,
    where its images include every neighbour, as they do for coordinates from 0 to 1.
    """
    wanted, n_atoms = recipe.neighbours, len(published.crystal)
    near = nearest_images(cells, wanted=wanted, cutoff=recipe.cutoff + MARGIN, tolerance=MARGIN)
    pairs = _Pairs(np.repeat(np.arange(n_atoms), near.counts), near.dst, near.shift)
    shifts = _product(pairs.shift, cells.lattices[published.crystal[pairs.src]])
    positions = published.positions
    distance = _norm((shifts + positions[pairs.dst] - positions[pairs.src]).T)
    _, limit = _by_rank(pairs.src, distance, n_atoms, wanted)
    whole = np.maximum.reduceat(limit, cells.offsets[:-1]) <= recipe.cutoff
    whole &= (published.last - published.first < MOST_SPAN).all(axis=1)
    whole &= _has_all_within(cells, published, recipe.cutoff)
    whole[published.crystal[pairs.src[distance <= NEAREST + MARGIN]]] = False
    here = np.flatnonzero(whole[published.crystal[pairs.src]])
    return pairs.take(here), distance[here], whole


def _has_all_within(cells: Cells, published: _Published, radius: float) -> np.ndarray:
    """Tell, (B,), whether the published images include all that are within ``radius`` (Å)."""
    starts, frac = cells.offsets[:-1], cells.frac_coords
    span = np.maximum.reduceat(frac, starts) - np.minimum.reduceat(frac, starts)
    per_angstrom = _norm(np.moveaxis(_reciprocal(cells.lattices), 2, 0))
    most = np.floor(radius * per_angstrom + span + 1e-9)
    low, high = _range(published, slice(None), radius)
    whole: np.ndarray = ((most < high) & (most <= -low)).all(axis=1)
    return whole


def _range(
    published: _Published, rows: int | slice, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first shifts that the published search tries, and those after the last."""
    beyond = np.ceil((radius + NEAREST) * published.per_angstrom[rows])
    return published.first[rows] - beyond, published.last[rows] + beyond


def _full_search(
    cells: Cells, published: _Published, row: int, recipe: GraphRecipe
) -> tuple[_Pairs, np.ndarray]:
    """Return the nearest pairs, and more, of one crystal, and their distances (P,) in Å.

    There are none if that would be too much work.
    """
    start, stop = (int(n) for n in cells.offsets[row : row + 2])
    positions = published.positions[start:stop]
    radius, longest = recipe.cutoff, float(published.longest[row])
    while math.isfinite(radius):
        low, high = _range(published, row, radius)
        work = (high - low).prod() * (len(positions) + IMAGE_COST) ** 2
        if not 0 < work <= MOST_WORK:  # so for NaN, too: the rounded cell may be flat
            break
        box = low.astype(np.int64), high.astype(np.int64)
        found, distance, complete = _within(
            box, cells.lattices[row], positions, radius, recipe.neighbours
        )
        if complete:
            return found._replace(src=found.src + start, dst=found.dst + start), distance
        radius = longest if radius < longest else 2 * radius
    none = np.zeros(0, np.int64)
    return _Pairs(none, none, np.zeros((0, 3), np.int64)), np.zeros(0)


def _within(
    box: tuple[np.ndarray, np.ndarray],
    lattice: np.ndarray,
    positions: np.ndarray,
    radius: float,
    wanted: int,
) -> tuple[_Pairs, np.ndarray, bool]:
    """Return pairs within ``radius``, distances, Å, and whether every atom has enough of them.

    These are the nearest pairs and some that were among the nearest of the images looked at first.

    Args:
        box: first shifts, (3,), and those after the last.
        lattice: (3, 3) Å.
        positions: (n, 3) Å.
        radius: Å.
        wanted: neighbours per atom.
    """
    low, high = box
    n_images, n_atoms = int((high - low).prod()), len(positions)
    step = max(1, WORK_AT_ONCE // (n_atoms + IMAGE_COST) ** 2)
    nearest = np.full((wanted, n_atoms), np.inf)
    parts = []
    for first in range(0, n_images, step):
        places = np.unravel_index(np.arange(first, min(first + step, n_images)), high - low)
        images = np.stack(places, axis=1) + low
        shifts = _product(images, np.broadcast_to(lattice, (len(images), 3, 3)))
        ends = (shifts[:, None] + positions).reshape(-1, 3)
        distance = _norm(ends.T[:, :, None] - positions.T[:, None])
        distance[(distance > radius) | (distance <= NEAREST)] = np.inf
        nearest = np.partition(np.concatenate([nearest, distance]), wanted - 1, axis=0)[:wanted]
        limit = nearest.max(axis=0)
        end, src = np.nonzero((distance <= limit) & (distance <= radius))
        parts.append((src, end % n_atoms, images[end // n_atoms], distance[end, src]))
    src, dst, shift, kept = (np.concatenate(f) for f in zip(*parts, strict=True))
    return _Pairs(src, dst, shift), kept, bool(np.isfinite(limit).all())


def _by_rank(
    src: np.ndarray, distance: np.ndarray, n_atoms: int, wanted: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the order by (atom, distance) and, (n_atoms,), the distance of number ``wanted``, Å.

    It is infinite for an atom with fewer.
    """
    order = np.lexsort((distance, src))
    counts = np.bincount(src, minlength=n_atoms)
    limit = np.full(n_atoms, np.inf)
    enough = np.flatnonzero(counts >= wanted)
    limit[enough] = distance[order[offsets_of(counts)[enough] + wanted - 1]]
    return order, limit


def _canonical(pairs: _Pairs) -> _Pairs:
    """Turn pairs so that the lower atom comes first, and drop those that are there twice.

    The two directions of a bond between images of one atom stay two pairs.
    """
    turn = pairs.dst < pairs.src
    src, dst = np.where(turn, pairs.dst, pairs.src), np.where(turn, pairs.src, pairs.dst)
    turned = _Pairs(src, dst, np.where(turn[:, None], -pairs.shift, pairs.shift))
    turned = turned.take(np.lexsort((*turned.shift.T, turned.dst, turned.src)))
    rows = np.column_stack(turned)
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return turned.take(np.flatnonzero(new))


def _both_ways(cells: Cells, published: _Published, pairs: _Pairs) -> Images:
    """Make of each pair a bond there and a bond back; group them by source."""
    n_pairs, n_atoms = len(pairs.src), len(published.crystal)
    lattices = published.rounded[published.crystal[pairs.src]]
    delta = cells.frac_coords[pairs.dst] + pairs.shift - cells.frac_coords[pairs.src]
    there = _product(delta, lattices)
    src = np.concatenate([pairs.src, pairs.dst])
    order = np.argsort(src, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    vector = np.concatenate([there, -there])[order]
    return Images(
        counts=np.bincount(src, minlength=n_atoms),
        dst=np.concatenate([pairs.dst, pairs.src])[order],
        shift=np.concatenate([pairs.shift, -pairs.shift])[order],
        length=_norm(vector.T),
        reverse=place[(order + n_pairs) % max(2 * n_pairs, 1)],
        vector=vector,
    )


def _norm(components: np.ndarray) -> np.ndarray:
    """Return the square root of x^2 + y^2 + z^2, added in this order, of (3, ...) components."""
    x, y, z = components
    length: np.ndarray = np.sqrt(x * x + y * y + z * z)
    return length


def _product(rows: np.ndarray, lattices: np.ndarray) -> np.ndarray:
    """Multiply each row, (E, 3), by its matrix, (E, 3, 3), as a BLAS with fused operations does."""
    total: np.ndarray = rows[:, :1] * lattices[:, 0]
    for k in (1, 2):
        total = fused_multiply_add(rows[:, k : k + 1].astype(np.float64), lattices[:, k], total)
    return total


def fused_multiply_add(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return a b + c, rounded once, float64 (S. Boldo, G. Melquiond, IEEE Trans. Comput. 57, 462).

    NumPy has no such operation of its own, and whether a matrix product uses it depends on the
    machine.

    >>> a = np.array([1 + 2.0**-30])
    >>> bool(fused_multiply_add(a, a, -a * a)[0] == 2.0**-60)
    True
    """
    high, low = _two_product(a, b)
    tail, rest = _two_sum(c, low)
    head, more = _two_sum(high, tail)
    fused: np.ndarray = head + _odd_sum(more, rest)
    return fused


def _two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rounded sum and what rounding took away (D. E. Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _two_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rounded product and what rounding took away (T. J. Dekker)."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    error = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return product, error


def _halves(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaled = SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high


def _odd_sum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a + b; if that is not exact, the neighbour, of the two, with an odd last bit."""
    total, rest = _two_sum(a, b)
    bits = total.view(np.int64)
    even = (rest != 0) & (bits & 1 == 0)
    step = np.where((rest > 0) == (total > 0), 1, -1)
    odd: np.ndarray = np.where(even, bits + step, bits).view(np.float64)
    return odd
