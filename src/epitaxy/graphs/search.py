"""Periodic neighbours of many crystals in one NumPy pass.

The images of an atom inside a sphere are enumerated exactly (U. Fincke and M. Pohst, Math. Comp.
44, 463 (1985)): with the cell turned so that c lies along x and b in the xy plane, the height of
an image over the bc plane depends on its first coordinate alone, which thus has an exact range;
what is left of the radius gives the range along b, and then along c. No cell needs reducing, no
coordinate wrapping, and hardly a candidate lies outside the sphere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from epitaxy.graphs.ragged import offsets_of, ranges

EQUAL_LENGTH = 1e-6
"""Å; images are sorted by lengths rounded to this."""
GROWTH = 1.25
"""Factor on the radius of atoms that found too few neighbours."""
FIRST_GUESS = 1.5
"""Images expected within the first radius, per image that is wanted."""
BLOCK_COST = 60_000
"""Pairs times shifts handled at once: bounds the memory and stays near the cache."""
INDEX_BITS, LENGTH_BITS = 20, 25
SLACK = 1e-9
"""Room for round-off, in cells; what lies outside the sphere is removed in the end."""
CRYSTAL_STEP = 4.0


class Cells(NamedTuple):
    """Crystals in packed arrays: B crystals, N atoms."""

    offsets: np.ndarray
    """(B + 1,) int64: atoms of crystal b are ``offsets[b]:offsets[b + 1]``."""
    lattices: np.ndarray
    """(B, 3, 3) float64, rows are vectors, Å."""
    frac_coords: np.ndarray
    """(N, 3) float64, not necessarily in [0, 1)."""


class Images(NamedTuple):
    """Periodic images near each atom, grouped by atom: N atoms, E images."""

    counts: np.ndarray
    """(N,) int64 images per atom."""
    dst: np.ndarray
    """(E,) int64 row of the atom that is repeated."""
    shift: np.ndarray
    """(E, 3) int64 lattice vectors added to it."""
    length: np.ndarray
    """(E,) float64 distance, Å."""
    reverse: np.ndarray | None = None
    """(E,) int64 the image that goes back: ends swapped, vector negated, never itself; only from
    symmetric rules."""
    vector: np.ndarray | None = None
    """(E, 3) float64 destination minus source, Å; only where it does not follow from `shift`."""
    rank: np.ndarray | None = None
    """(E,) int64 number of the shell, from 1; only from rules that number them."""


def nearest_images(cells: Cells, *, wanted: int, cutoff: float, tolerance: float) -> Images:
    """Return, per atom, the ``wanted`` nearest images and all that are ``tolerance`` farther.

    An atom with fewer images within ``cutoff`` (Å) gets all of them; ``tolerance`` (Å) counts as at
    least 2e-6, so that round-off never cuts a shell of equal lengths. Images of an atom are sorted
    by length (to 1e-6 Å).
    """
    frame = _frame(cells)
    tolerance = max(tolerance, 2 * EQUAL_LENGTH)
    expected = FIRST_GUESS * wanted + 4
    density = np.diff(cells.offsets) / frame.volume
    radius = np.minimum((expected / (4 / 3 * np.pi * density)) ** (1 / 3), cutoff)[frame.crystal]
    todo = np.arange(len(cells.frac_coords))
    parts: list[tuple[np.ndarray, Images]] = []
    while len(todo):
        again = []
        for block in _blocks(frame, todo, radius):
            found = _images_within(cells, frame, block, radius[block])
            complete, images = _trim(found, radius[block], wanted, cutoff, tolerance)
            parts.append((block[complete], images))
            again.append(block[~complete])
        todo = np.concatenate(again)
        radius[todo] = np.minimum(radius[todo] * GROWTH, cutoff)
    return _in_atom_order(parts, len(cells.frac_coords))


def cell_heights(lattices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return volumes (B,) and, (B, 2), the heights of a over the bc plane and of b over c, Å."""
    a, b, c = (lattices[:, k] for k in range(3))
    normal = np.cross(b, c)
    area = np.linalg.norm(normal, axis=1)
    volume = np.abs((a * normal).sum(1))
    with np.errstate(divide="ignore", invalid="ignore"):
        heights = np.stack([volume / area, area / np.linalg.norm(c, axis=1)], axis=1)
    return volume, heights


class _Frame(NamedTuple):
    """Cells turned so that c = (cx, 0, 0), b = (bx, by, 0), a = (ax, ay, az)."""

    crystal: np.ndarray
    """(N,) crystal of each atom."""
    vectors: tuple[np.ndarray, ...]
    """ax, ay, az, bx, by, cx: six arrays (B,)."""
    volume: np.ndarray
    """(B,) Å^3."""
    by_height: np.ndarray
    """(N,) atoms of each crystal in the order of their wrapped first coordinate."""
    heights: np.ndarray
    """(N,) ascending: `CRYSTAL_STEP` times the crystal plus that coordinate."""


def _frame(cells: Cells) -> _Frame:
    a, b, c = (cells.lattices[:, k] for k in range(3))
    normal = np.cross(b, c)
    area = np.linalg.norm(normal, axis=1)
    cx = np.linalg.norm(c, axis=1)
    volume = np.abs((a * normal).sum(1))
    in_plane = np.cross(c, normal) / (cx * area)[:, None]
    vectors = (
        (a * c).sum(1) / cx,
        (a * in_plane).sum(1),
        volume / area,
        (b * c).sum(1) / cx,
        (b * in_plane).sum(1),
        cx,
    )
    crystal = np.repeat(np.arange(len(cells.lattices)), np.diff(cells.offsets))
    first = cells.frac_coords[:, 0]
    heights = crystal * CRYSTAL_STEP + (first - np.floor(first))
    by_height = np.argsort(heights)
    return _Frame(crystal, vectors, volume, by_height, heights[by_height])


def _blocks(frame: _Frame, todo: np.ndarray, radius: np.ndarray) -> list[np.ndarray]:
    """Cut the atoms into runs whose intermediate arrays stay small."""
    crystal = frame.crystal[todo]
    _, _, az, _, by, _ = frame.vectors
    sizes = np.bincount(frame.crystal, minlength=len(az))
    reach = 2 * radius[todo]
    # Each atom costs 4 at least, so that a block has few enough to pack their number in a key.
    cost = np.cumsum(4 + sizes[crystal] * reach / az[crystal] * (reach / by[crystal] + 1))
    cuts = np.flatnonzero(np.diff(cost // BLOCK_COST)) + 1
    return np.split(todo, cuts)


def _images_within(cells: Cells, frame: _Frame, atoms: np.ndarray, radius: np.ndarray) -> Images:
    """Enumerate all images within ``radius`` (one per atom, Å), grouped by atom."""
    ax, ay, az, bx, by, cx = (v[frame.crystal[atoms]] for v in frame.vectors)
    query, dst, na = _along_a(cells, frame, atoms, radius / az)
    delta = cells.frac_coords[dst] - cells.frac_coords[atoms[query]]
    u = delta[:, 0] + na
    square = (u * az[query]) ** 2
    limit = radius**2

    scale, offset = by[query], u * ay[query]
    left = _root(limit[query] - square)
    step, nb = _integers(delta[:, 1] + offset / scale, left / scale)
    query, dst, na, u = query[step], dst[step], na[step], u[step]
    delta = delta[step]
    v = delta[:, 1] + nb
    square = square[step] + (offset[step] + v * scale[step]) ** 2

    scale, offset = cx[query], u * ax[query] + v * bx[query]
    left = _root(limit[query] - square)
    step, nc = _integers(delta[:, 2] + offset / scale, left / scale)
    query, dst, na, nb = query[step], dst[step], na[step], nb[step]
    square = square[step] + (offset[step] + (delta[step, 2] + nc) * scale[step]) ** 2

    itself = (na == 0) & (nb == 0) & (nc == 0) & (dst == atoms[query])
    keep = ~itself & (square <= limit[query])
    shift = np.stack([na[keep], nb[keep], nc[keep]], axis=1)
    counts = np.bincount(query[keep], minlength=len(atoms))
    return Images(counts, dst[keep], shift, np.sqrt(square[keep]))


def _along_a(
    cells: Cells, frame: _Frame, atoms: np.ndarray, span: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (query, dst, shift along a) of all images in a slab of ``span`` cells on both sides.

    The atoms of a crystal, sorted by their first coordinate and repeated without end, are a
    sequence in which a slab is one run: two bisections per atom replace a look at every pair.
    """
    crystal, first = frame.crystal[atoms], cells.frac_coords[atoms, 0]
    start = cells.offsets[crystal]
    size = cells.offsets[crystal + 1] - start
    ends = []
    for edge in (first - span - SLACK, first + span + SLACK):
        cell = np.floor(edge)
        place = np.searchsorted(frame.heights, crystal * CRYSTAL_STEP + (edge - cell))
        ends.append(place - start + cell.astype(np.int64) * size)
    counts = ends[1] - ends[0]
    query = np.repeat(np.arange(len(atoms)), counts)
    cell, place = np.divmod(ranges(ends[0], counts), size[query])
    dst = frame.by_height[start[query] + place]
    return query, dst, cell - np.floor(cells.frac_coords[dst, 0]).astype(np.int64)


def _root(left: np.ndarray) -> np.ndarray:
    root: np.ndarray = np.sqrt(np.maximum(left, 0.0))
    return root


def _integers(centre: np.ndarray, span: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all n with ``|centre + n| <= span`` as (row of centre, n)."""
    low = np.ceil(-centre - span - SLACK).astype(np.int64)
    high = np.floor(span - centre + SLACK).astype(np.int64)
    counts = np.maximum(high - low + 1, 0)
    return np.repeat(np.arange(len(centre)), counts), ranges(low, counts)


def _trim(
    found: Images, radius: np.ndarray, wanted: int, cutoff: float, tolerance: float
) -> tuple[np.ndarray, Images]:
    """Sort and cut; return which atoms are complete and the images of those."""
    counts, dst, shift, length = found[:4]
    starts = offsets_of(counts)[:-1]
    atom = np.repeat(np.arange(len(counts)), counts)
    inner = np.arange(len(length)) - starts[atom]
    ticks = np.rint(length / EQUAL_LENGTH).astype(np.int64)
    assert not len(inner) or (inner.max() >> INDEX_BITS == 0 and ticks.max() >> LENGTH_BITS == 0)
    # One integer per image sorts several times faster than a sort by three keys.
    key = (atom << (INDEX_BITS + LENGTH_BITS)) | (ticks << INDEX_BITS) | inner
    key.sort()
    order = starts[key >> (INDEX_BITS + LENGTH_BITS)] + (key & ((1 << INDEX_BITS) - 1))
    length = length[order]

    last = np.full(len(counts), np.inf)
    enough = counts >= wanted
    last[enough] = length[starts[enough] + wanted - 1]
    complete = (last + tolerance <= radius) | (radius >= cutoff)
    keep = (complete[atom]) & (length <= last[atom] + tolerance)
    order = order[keep]
    counts = np.bincount(atom[keep], minlength=len(counts))[complete]
    return complete, Images(counts, dst[order], shift[order], length[keep])


def _in_atom_order(parts: list[tuple[np.ndarray, Images]], n_atoms: int) -> Images:
    atoms = np.concatenate([np.zeros(0, np.int64), *[p[0] for p in parts]])
    images = [p[1] for p in parts] or [
        Images(
            np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3), np.int64), np.zeros(0)
        )
    ]
    counts, dst, shift, length = (
        np.concatenate(f) for f in zip(*(i[:4] for i in images), strict=True)
    )
    assert len(atoms) == n_atoms
    order = np.argsort(atoms)
    take = ranges(offsets_of(counts)[:-1][order], counts[order])
    return Images(counts[order], dst[take], shift[take], length[take])
