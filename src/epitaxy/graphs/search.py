"""Periodic neighbours of many crystals in one NumPy pass.

The images of an atom inside a sphere are enumerated exactly (U. Fincke and M. Pohst, Math. Comp.
44, 463 (1985)): with the cell turned so that c lies along x and b in the xy plane, the height of
an image over the bc plane depends on its shift along a alone, so that shift has an exact range;
what is left of the radius gives the range along b, and then along c. No cell needs reducing, no
coordinate wrapping, and hardly a candidate lies outside the sphere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from epitaxy.graphs.ragged import offsets_of, ranges

EQUAL_LENGTH = 1e-6
"""Å; bonds that differ by less are sorted by neighbour and image, not by length."""
GROWTH = 1.25
"""Factor on the radius of atoms that found too few neighbours."""
FIRST_GUESS = 1.5
"""Images expected within the first radius, per image that is wanted."""
BLOCK_COST = 60_000
"""Pairs times shifts handled at once: bounds the memory and stays near the cache."""
INDEX_BITS, LENGTH_BITS = 20, 25
SLACK = 1e-9


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


def nearest_images(cells: Cells, *, wanted: int, cutoff: float, tolerance: float) -> Images:
    """Return, per atom, the ``wanted`` nearest images and all that are ``tolerance`` farther.

    An atom with fewer images within ``cutoff`` (Å) gets all of them; ``tolerance`` (Å) counts as at
    least 2e-6, so that round-off never cuts a shell of equal lengths. Images of an atom are sorted
    by (length rounded to 1e-6 Å, atom, shift).
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
    return _Frame(crystal, vectors, volume)


def _blocks(frame: _Frame, todo: np.ndarray, radius: np.ndarray) -> list[np.ndarray]:
    """Cut the atoms into runs whose intermediate arrays stay small."""
    crystal = frame.crystal[todo]
    _, _, az, _, by, _ = frame.vectors
    sizes = np.bincount(frame.crystal, minlength=len(az))
    shifts = (2 * radius[todo] / az[crystal] + 1) * (2 * radius[todo] / by[crystal] + 1)
    cost = np.cumsum(
        sizes[crystal] * shifts + 4
    )  # at least 4: a block has few enough atoms to pack
    cuts = np.flatnonzero(np.diff(cost // BLOCK_COST)) + 1
    return np.split(todo, cuts)


def _images_within(cells: Cells, frame: _Frame, atoms: np.ndarray, radius: np.ndarray) -> Images:
    """Enumerate all images within ``radius`` (one per atom, Å) in the order (atom, dst, shift)."""
    crystal = frame.crystal[atoms]
    sizes = cells.offsets[crystal + 1] - cells.offsets[crystal]
    ax, ay, az, bx, by, cx = (v[crystal] for v in frame.vectors)
    query = np.repeat(np.arange(len(atoms)), sizes)
    dst = ranges(cells.offsets[crystal], sizes)
    delta = cells.frac_coords[dst] - cells.frac_coords[atoms[query]]

    span = (radius / az)[query]
    pair, na = _integers(delta[:, 0], span)
    query, u = query[pair], delta[pair, 0] + na
    left = radius[query] ** 2 - (u * az[query]) ** 2
    height_y = u * ay[query]

    scale = by[query]
    step, nb = _integers(delta[pair, 1] + height_y / scale, _root(left) / scale)
    pair, query, na, u = pair[step], query[step], na[step], u[step]
    v = delta[pair, 1] + nb
    y = height_y[step] + v * scale[step]
    left = left[step] - y * y
    height_x = u * ax[query] + v * bx[query]

    scale = cx[query]
    step, nc = _integers(delta[pair, 2] + height_x / scale, _root(left) / scale)
    pair, query, na, nb = pair[step], query[step], na[step], nb[step]
    x = height_x[step] + (delta[pair, 2] + nc) * scale[step]
    square = radius[query] ** 2 - left[step] + x * x

    dst = dst[pair]
    itself = (na == 0) & (nb == 0) & (nc == 0) & (dst == atoms[query])
    keep = ~itself & (square <= radius[query] ** 2)
    shift = np.stack([na[keep], nb[keep], nc[keep]], axis=1)
    counts = np.bincount(query[keep], minlength=len(atoms))
    return Images(counts, dst[keep], shift, np.sqrt(np.maximum(square[keep], 0.0)))


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
    counts, dst, shift, length = found
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
    counts, dst, shift, length = (np.concatenate(f) for f in zip(*images, strict=True))
    assert len(atoms) == n_atoms
    order = np.argsort(atoms)
    take = ranges(offsets_of(counts)[:-1][order], counts[order])
    return Images(counts[order], dst[take], shift[take], length[take])
