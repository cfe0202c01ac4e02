"""Merging of atoms that a distance-based network cannot tell apart.

Colour refinement (1-dimensional Weisfeiler-Leman; B. Weisfeiler and A. Leman, NTI 2, 12 (1968)) on
the bond graph: an atom's colour starts as its element and is refined by the multiset of (bond
length, colour of the neighbour) until nothing splits any more. Atoms of one final colour have the
same vector in every layer of a message-passing network that sees elements and distances, so one of
them is kept, with its weight. Refinement looks at outgoing bonds only and thus is right for
directed graphs, too.

For networks that also see the angles between bonds, bonds have colours as well, refined by the
multiset of (angle, colour of the other bond) around the atom at their end: what is merged then has
the same vectors in every layer of ALIGNN, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from epitaxy.graphs.ragged import offsets_of, ranges
from epitaxy.graphs.search import Images

MAX_WIDTH = 4.0
"""Longest run of nearly equal lengths that counts as one length, in merge tolerances."""


class BondPairs(NamedTuple):
    """Pairs of bonds at one atom, grouped by the bond that the pair acts upon: A pairs."""

    source: np.ndarray
    """(A,) int64 a bond that starts at the atom."""
    target: np.ndarray
    """(A,) int64, ascending; a bond that ends at the atom."""
    cosine: np.ndarray
    """(A,) float64 of the angle between the two at the atom."""


class Merged(NamedTuple):
    """Nodes that stand for classes of equivalent atoms: M nodes, E bonds, N atoms."""

    representative: np.ndarray
    """(M,) int64 first atom of each class, ascending."""
    weight: np.ndarray
    """(M,) int64 atoms in the class."""
    node: np.ndarray
    """(N,) int64 the node of each atom."""
    n_bonds: np.ndarray
    """(M,) int64."""
    bond_dst: np.ndarray
    """(E,) int64 node."""
    bond_length: np.ndarray
    """(E,) float64 mean of the length class of the crystal, Å."""
    bond_weight: np.ndarray
    """(E,) int64 bonds in one."""
    rays: Rays | None = None
    bond_rank: np.ndarray | None = None
    """(E,) int64 number of the shell, where the rule gives one."""


class _Classes(NamedTuple):
    """The first three fields of `Merged`."""

    representative: np.ndarray
    weight: np.ndarray
    node: np.ndarray


class Rays(NamedTuple):
    """All bonds of the representatives, in their true directions: R rays."""

    image: np.ndarray
    """(R,) int64 row of the bond before merging; grouped by node."""
    counts: np.ndarray
    """(M,) int64."""
    bond: np.ndarray
    """(R,) int64 the merged bond that stands for the ray."""
    mirror: np.ndarray
    """(E,) int64 for each merged bond, a ray that leads back along one like it."""


def merge(
    crystal: np.ndarray,
    atomic_numbers: np.ndarray,
    images: Images,
    tolerance: float,
    pairs: BondPairs | None = None,
) -> Merged:
    """Merge equivalent atoms and bonds of many crystals at once.

    Args:
        crystal: (N,) crystal of each atom, ascending.
        atomic_numbers: (N,).
        images: bonds grouped by atom.
        tolerance: bonds whose lengths differ by at most this (Å), and angles whose cosines do,
            count as equal.
        pairs: the angles to respect, if any.
    """
    crystal_of_bond = np.repeat(crystal, images.counts)
    lengths = classes(crystal_of_bond, images.length, tolerance)
    # What a network sees of a bond: its length and, where there is one, the number of its shell.
    seen = lengths if images.rank is None else _pairs(lengths, images.rank)
    colour = _mix(crystal.astype(np.uint64) * np.uint64(256) + atomic_numbers)
    if pairs is None:
        colour, kind = refine(colour, images, seen), seen
    else:
        cosines = classes(crystal_of_bond[pairs.target], pairs.cosine, tolerance)
        colour, bonds = refine_bonds(colour, images, lengths, pairs, cosines)
        kind = np.unique(bonds, return_inverse=True)[1]
    _, first, inverse, weight = np.unique(
        colour, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    members = np.bincount(lengths)
    # One value per length class, so that equal lengths are equal to the bit later on.
    mean = np.bincount(lengths, images.length) / np.maximum(members, 1)
    return _merge_bonds(
        _Classes(first[order], weight[order], rank[inverse]),
        images,
        kind,
        mean[lengths],
        with_rays=pairs is not None,
    )


def classes(crystal: np.ndarray, values: np.ndarray, tolerance: float) -> np.ndarray:
    """Number the distinct values of each crystal, (E,) int64, unique over all crystals.

    A gap above ``tolerance`` starts a new class, and so does every `MAX_WIDTH` tolerances in a
    run without gaps: values in one class never differ by more.

    >>> classes(np.array([0, 0, 0, 1]), np.array([3.0, 2.0, 2.00001, 2.0]), 1e-4).tolist()
    [1, 0, 0, 2]
    """
    key = crystal * 64.0 + values  # 64 Å is far above any cutoff
    order = np.argsort(key)
    ordered = key[order]
    start = np.diff(ordered, prepend=-np.inf) > tolerance
    run = np.cumsum(start) - 1
    part = ((ordered - ordered[start][run]) / (MAX_WIDTH * tolerance)).astype(np.int64)
    start[1:] |= np.diff(part) != 0
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.cumsum(start) - 1
    return numbers


def _pairs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Number the distinct pairs of two arrays of whole numbers from 0, (E,) int64."""
    key = first * (int(second.max(initial=0)) + 1) + second
    numbers: np.ndarray = np.unique(key, return_inverse=True)[1]
    return numbers


def refine(colour: np.ndarray, images: Images, kinds: np.ndarray) -> np.ndarray:
    """Return the stable colour of each atom, (N,) uint64, from the given first one.

    ``kinds`` (E,) numbers the bonds that look alike.
    """
    label = _mix(kinds.astype(np.uint64))
    n_colours = len(np.unique(colour))
    while True:
        neighbours = _group_sums(_mix(colour[images.dst] + label), images.counts)
        refined = _mix(colour + _mix(neighbours))
        n_refined = len(np.unique(refined))
        if n_refined == n_colours:
            return colour
        colour, n_colours = refined, n_refined


def refine_bonds(
    colour: np.ndarray, images: Images, lengths: np.ndarray, pairs: BondPairs, cosines: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the stable colours of atoms (N,) and of bonds (E,), uint64."""
    src = np.repeat(np.arange(len(images.counts)), images.counts)
    bond, label = _mix(lengths.astype(np.uint64)), _mix(cosines.astype(np.uint64))
    sizes = np.bincount(pairs.target, minlength=len(src))
    n_colours = 0
    while True:
        ends = _mix(colour)[src] * np.uint64(3) + _mix(colour)[images.dst] * np.uint64(5)
        around = _group_sums(_mix(bond[pairs.source] + label), sizes)
        # The colour of the way back is part of it, so that classes of bonds have reverses, too.
        refined = _mix(bond + _mix(around) + ends + _mix(bond[images.reverse]) * np.uint64(7))
        colour = _mix(colour + _mix(_group_sums(_mix(refined), images.counts)))
        n_refined = len(np.unique(refined)) + len(np.unique(colour))
        bond = refined
        if n_refined == n_colours:
            return colour, bond
        n_colours = n_refined


def _group_sums(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sum consecutive groups of (E,) uint64 modulo 2^64."""
    total = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values, out=total[1:])
    ends = np.cumsum(counts)
    sums: np.ndarray = total[ends] - total[ends - counts]
    return sums


def _mix(x: np.ndarray) -> np.ndarray:
    """Scramble 64-bit integers one to one (G. Steele et al., OOPSLA 2014, "splitmix64")."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed


def _merge_bonds(
    nodes: _Classes, images: Images, kind: np.ndarray, length: np.ndarray, *, with_rays: bool
) -> Merged:
    """Merge bonds of one kind between the same nodes; ``length`` has one value per kind."""
    n_nodes = len(nodes.representative)
    counts = images.counts[nodes.representative]
    take = ranges(offsets_of(images.counts)[nodes.representative], counts)
    src = np.repeat(np.arange(n_nodes), counts)
    dst = nodes.node[images.dst[take]]
    n_kinds = int(kind.max(initial=0)) + 1
    assert n_nodes**2 * n_kinds < 2**63
    key = (src * n_nodes + dst) * n_kinds + kind[take]
    found, kept, bond, weight = np.unique(
        key, return_index=True, return_inverse=True, return_counts=True
    )
    # In the order of the atom's bonds, which depends on this crystal alone, as keys do not.
    order = np.argsort(kept)
    kept, weight, bond = kept[order], weight[order], np.argsort(order)[bond]
    rays = None
    if with_rays:
        assert images.reverse is not None
        back = images.reverse[take]
        origin = np.repeat(np.arange(len(images.counts)), images.counts)[back]
        back_key = (nodes.node[origin] * n_nodes + nodes.node[images.dst[back]]) * n_kinds
        back_key += kind[back]
        # In a stable colouring whatever kind of bond ends at a class ends at its representative.
        mirrored, mirror = np.unique(back_key, return_index=True)
        assert np.array_equal(mirrored, found)
        rays = Rays(take, counts, bond, mirror[order])
    return Merged(
        *nodes,
        n_bonds=np.bincount(src[kept], minlength=n_nodes),
        bond_dst=dst[kept],
        bond_length=length[take][kept],
        bond_weight=weight,
        rays=rays,
        bond_rank=None if images.rank is None else images.rank[take][kept],
    )
