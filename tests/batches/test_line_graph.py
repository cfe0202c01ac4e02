"""Angles: the pairs of a batch against all pairs counted one by one."""

from collections import Counter

import numpy as np
import pytest
import torch

from epitaxy.graphs.recipe import GraphRecipe
from tiny import CRYSTALS, batch, copper, irregular, perovskite, rock_salt

WHOLE = GraphRecipe(rule="symmetric", bond_vectors=True, merge_tolerance=0)
MERGED = WHOLE.model_copy(update={"merge_tolerance": 1e-4})
LITERAL = GraphRecipe(rule="alignn-2023", bond_vectors=True, merge_tolerance=0)


def vectors(one):
    """Return the true vectors of unmerged bonds."""
    return one.rays.direction * one.bond_length[:, None]


def pairs_one_by_one(one, *, itself):
    """Return all (source, target, rounded cosine) of an unmerged batch."""
    v, src, dst = vectors(one).numpy(), one.bond_src.numpy(), one.bond_dst.numpy()
    unit = v / np.linalg.norm(v, axis=1, keepdims=True)
    # The target, walked back, starts where the source starts.
    return Counter(
        (source, target, round(float(unit[source] @ -unit[target]), 3))
        for target in range(len(src))
        for source in np.flatnonzero(src == dst[target]).tolist()
        if itself or source != target
    )


@pytest.mark.parametrize(("recipe", "itself"), [(WHOLE, True), (LITERAL, False)])
def test_every_pair_of_bonds_at_an_atom_is_there_once(recipe, itself):
    one = batch([rock_salt(), irregular(1), copper()], recipe)
    angles = one.angles
    found = zip(angles.source.tolist(), angles.target.tolist(), strict=True)
    cosines = [round(c, 3) for c in angles.cosine.tolist()]
    counted = Counter((s, t, c) for (s, t), c in zip(found, cosines, strict=True))
    expected = pairs_one_by_one(one, itself=itself)
    assert {k[:2] for k in counted} == {k[:2] for k in expected}
    assert counted.total() == expected.total()
    apart = [abs(c) for k, c in _differences(counted, expected)]
    assert max(apart, default=0) <= 0.0011  # a rounded cosine may fall on either side
    assert (angles.weight == 1).all()


def _differences(counted, expected):
    by_pair = {}
    for (s, t, c), n in counted.items():
        by_pair.setdefault((s, t), []).extend([c] * n)
    for (s, t, c), n in expected.items():
        for _ in range(n):
            yield (s, t), min(abs(c - other) for other in by_pair[s, t])


def test_offsets_and_targets_agree():
    one = batch(CRYSTALS, MERGED)
    angles = one.angles
    assert torch.equal(angles.target, torch.repeat_interleave(torch.diff(angles.offsets)))
    assert torch.equal(one.bond_src[angles.source], one.bond_dst[angles.target])
    assert angles.cosine.abs().max() <= 1


def crystals_of(one):
    """Return the crystal of each bond."""
    return torch.bucketize(one.bond_src, one.atom_offsets[1:], right=True)


def test_merged_pairs_count_all_pairs():
    crystals = [*CRYSTALS, perovskite(4.1)]
    whole, merged = batch(crystals, WHOLE), batch(crystals, MERGED)
    totals = []
    for one in (whole, merged):
        copies = one.bond_weight * one.atom_weight[one.bond_src]
        crystal = crystals_of(one)[one.angles.target]
        weight = one.angles.weight * copies[one.angles.target]
        count = torch.bincount(crystal, weight, minlength=len(crystals))
        cosines = torch.bincount(crystal, weight * one.angles.cosine, minlength=len(crystals))
        totals.append((count, cosines))
    assert torch.equal(totals[0][0], totals[1][0])
    torch.testing.assert_close(totals[0][1], totals[1][1], rtol=1e-4, atol=1e-2)
    assert len(merged.angles.source) < len(whole.angles.source) / 4


def test_angles_of_a_crystal_do_not_depend_on_its_batch():
    crystals = [rock_salt(), irregular(2, 3), perovskite()]
    together = batch(crystals, MERGED)
    crystal = crystals_of(together)[together.angles.target]
    for row, alone in enumerate(batch([c], MERGED) for c in crystals):
        chosen = crystal == row
        for name in ("cosine", "weight"):
            ours = getattr(together.angles, name)[chosen]
            torch.testing.assert_close(ours, getattr(alone.angles, name), rtol=0, atol=1e-6)


def test_no_bonds_no_angles():
    lonely = (np.eye(3) * 30.0, np.array([2]), np.zeros((1, 3)))
    for recipe in (WHOLE, MERGED):
        one = batch([lonely], recipe)
        assert [len(field) for field in one.angles] == [1, 0, 0, 0, 0]
