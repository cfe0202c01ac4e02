"""Merging of atoms that a distance-based network cannot tell apart.

Colour refinement (1-dimensional Weisfeiler-Leman; B. Weisfeiler and A. Leman, NTI 2, 12 (1968)) on
the bond graph: an atom's colour starts as its element and is refined by the multiset of (bond
length, colour of the neighbour) until nothing splits any more. Atoms of one final colour have the
same vector in every layer of a message-passing network that sees elements and distances, so one of
them is kept, with its weight. Refinement looks at outgoing bonds only and thus is right for
directed graphs, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from epitaxy.graphs.ragged import offsets_of, ranges
from epitaxy.graphs.search import Images

MAX_WIDTH = 4.0
"""Longest run of nearly equal lengths that counts as one length, in merge tolerances."""


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


def merge(
    crystal: np.ndarray, atomic_numbers: np.ndarray, images: Images, tolerance: float
) -> Merged:
    """Merge equivalent atoms and bonds of many crystals at once.

    Args:
        crystal: (N,) crystal of each atom, ascending.
        atomic_numbers: (N,).
        images: bonds grouped by atom.
        tolerance: bonds whose lengths differ by at most this (Å) count as equal.
    """
    lengths = length_classes(np.repeat(crystal, images.counts), images.length, tolerance)
    colour = refine(crystal, atomic_numbers, images, lengths)
    _, first, inverse, weight = np.unique(
        colour, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    node, representative = rank[inverse], first[order]
    return _merge_bonds(representative, weight[order], node, images, lengths)


def length_classes(crystal: np.ndarray, length: np.ndarray, tolerance: float) -> np.ndarray:
    """Number the distinct bond lengths of each crystal, (E,) int64, unique over all crystals.

    A gap above ``tolerance`` (Å) starts a new class, and so does every `MAX_WIDTH` tolerances in a
    run without gaps: lengths in one class never differ by more.

    >>> length_classes(np.array([0, 0, 0, 1]), np.array([3.0, 2.0, 2.00001, 2.0]), 1e-4).tolist()
    [1, 0, 0, 2]
    """
    key = crystal * 64.0 + length  # 64 Å is far above any cutoff
    order = np.argsort(key)
    ordered = key[order]
    start = np.diff(ordered, prepend=-np.inf) > tolerance
    run = np.cumsum(start) - 1
    part = ((ordered - ordered[start][run]) / (MAX_WIDTH * tolerance)).astype(np.int64)
    start[1:] |= np.diff(part) != 0
    classes = np.empty(len(order), np.int64)
    classes[order] = np.cumsum(start) - 1
    return classes


def refine(
    crystal: np.ndarray, atomic_numbers: np.ndarray, images: Images, lengths: np.ndarray
) -> np.ndarray:
    """Return the stable colour of each atom, (N,) uint64, distinct between crystals."""
    ends = np.cumsum(images.counts)
    label = _mix(lengths.astype(np.uint64))
    colour = _mix(crystal.astype(np.uint64) * np.uint64(256) + atomic_numbers)
    n_colours = len(np.unique(colour))
    total = np.zeros(len(lengths) + 1, np.uint64)
    while True:
        np.cumsum(_mix(colour[images.dst] + label), out=total[1:])  # wraps: a sum modulo 2^64
        refined = _mix(colour + _mix(total[ends] - total[ends - images.counts]))
        n_refined = len(np.unique(refined))
        if n_refined == n_colours:
            return colour
        colour, n_colours = refined, n_refined


def _mix(x: np.ndarray) -> np.ndarray:
    """Scramble 64-bit integers one to one (G. Steele et al., OOPSLA 2014, "splitmix64")."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed


def _merge_bonds(
    representative: np.ndarray,
    weight: np.ndarray,
    node: np.ndarray,
    images: Images,
    lengths: np.ndarray,
) -> Merged:
    counts = images.counts[representative]
    take = ranges(offsets_of(images.counts)[representative], counts)
    src = np.repeat(np.arange(len(representative)), counts)
    dst, kind = node[images.dst[take]], lengths[take]
    # One value per length class, so that equal lengths are equal to the bit later on.
    members = np.bincount(lengths)
    mean = np.bincount(lengths, images.length) / np.maximum(members, 1)
    n_kinds = len(members) + 1
    assert len(representative) ** 2 * n_kinds < 2**63
    key = (src * len(representative) + dst) * n_kinds + kind
    order = np.argsort(key)
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    bond_weight = np.diff(starts, append=len(key))
    kept = order[starts]
    return Merged(
        representative,
        weight,
        node,
        np.bincount(src[kept], minlength=len(representative)),
        dst[kept],
        mean[kind[kept]],
        bond_weight,
    )
