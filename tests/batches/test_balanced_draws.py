"""Which crystals an epoch sees when some properties have few labels."""

import numpy as np
import pytest

from epitaxy.batches.balance import draw_balanced, draw_by_bins
from epitaxy.batches.loader import CrystalLoader
from tiny import loader

KNOWN = np.zeros((110, 3), dtype=bool)
KNOWN[:80, 0] = KNOWN[80:100, 1] = KNOWN[100:105, 2] = True  # the last five rows have no label


def drawn(temperature, seed=0, known=KNOWN):
    return draw_balanced(known, temperature, np.random.default_rng(seed))


def places(rows):
    return [int(KNOWN[rows, p].sum()) for p in range(3)]


@pytest.mark.parametrize(
    ("temperature", "shares"),
    [(1.0, [80, 20, 5]), (2.0, [80**0.5, 20**0.5, 5**0.5]), (1e9, [1, 1, 1])],
)
def test_shares_of_the_properties(temperature, shares):
    found = places(drawn(temperature))
    assert sum(found) == 110
    np.testing.assert_allclose(found, 110 * np.array(shares) / sum(shares), atol=1)


def test_rows_take_turns_and_unlabelled_ones_never_come():
    counts = np.bincount(drawn(1e9), minlength=110)
    assert set(counts[:80]) == {0, 1}
    assert set(counts[80:100]) == {1, 2}
    assert set(counts[100:105]) == {7, 8}
    assert not counts[105:].any()


def test_nothing_known_is_an_empty_epoch():
    assert len(drawn(2.0, known=np.zeros((4, 2), dtype=bool))) == 0


def test_a_loader_draws_anew_each_epoch_and_repeats_itself():
    def epochs():
        made = loader(12, properties=2)
        made.targets[2:, 1] = np.nan
        made.temperature = 1e9
        return [[b.targets for b in made.epoch(e)] for e in range(2)]

    first, again = epochs(), epochs()
    for one, two in zip(first, again, strict=True):
        assert all((a.nan_to_num() == b.nan_to_num()).all() for a, b in zip(one, two, strict=True))
    rare = [sum(int(b[:, 1].isfinite().sum()) for b in epoch) for epoch in first]
    assert min(rare) >= 6  # without, two
    assert not all((a.nan_to_num() == b.nan_to_num()).all() for a, b in zip(*first, strict=True))


def test_without_a_temperature_every_crystal_comes_once():
    made = loader(12)
    assert isinstance(made, CrystalLoader)
    assert sorted(float(t) for b in made.epoch() for t in b.targets) == sorted(
        made.targets[:, 0].astype(np.float32).tolist()
    )


def test_bins_come_equally_often_and_rows_of_a_bin_too():
    values = np.array([np.nan, *[0.0] * 600, *[0.04] * 300, *[0.5] * 90, *[1.0] * 9])
    drawn = draw_by_bins(values, 10, np.random.default_rng(0))
    assert len(drawn) == 1000
    shares = [np.isin(drawn, np.flatnonzero(values == v)).mean() for v in (0.0, 0.04, 0.5, 1.0)]
    # 0 and 0.04 share a bin.
    assert shares == pytest.approx([2 / 9, 1 / 9, 1 / 3, 1 / 3], abs=0.04)
    assert 0 not in drawn


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_nothing_to_draw_from_bins(values):
    assert len(draw_by_bins(np.array(values), 3, np.random.default_rng(0))) == 0


def test_equal_values_are_drawn_equally():
    drawn = draw_by_bins(np.ones(500), 30, np.random.default_rng(0))
    assert len(set(drawn.tolist())) > 250
