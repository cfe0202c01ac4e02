"""Means, paired tests, ranks and corrections against numbers from textbooks and other programs."""

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.results.statistics import (
    change_percent,
    holm,
    mean_over_trials,
    paired_difference,
    rank_table,
)

SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
"""Extra hours of sleep of ten patients with two drugs (Student 1908), R's data set `sleep`."""
DEPRESSION_1 = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
DEPRESSION_2 = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
"""Hollander and Wolfe (1973), p. 29: the example of R's `wilcox.test`."""


def test_paired_t_test_of_student_1908():
    """R: t.test(extra ~ group, paired = TRUE): t = -4.0621, df = 9, p = 0.002833."""
    found = paired_difference(SLEEP_1, SLEEP_2)
    assert found.n == 10
    assert found.difference.value == pytest.approx(1.58)
    assert found.difference.interval == pytest.approx((0.7001142, 2.4598858), abs=1e-7)
    assert found.p_t == pytest.approx(0.002833, abs=5e-7)
    assert found.change_percent == pytest.approx(100 * (0.75 - 2.33) / 0.75)


def test_signed_rank_test_of_hollander_and_wolfe():
    """R: wilcox.test(x, y, paired = TRUE): V = 40, two-sided p = 0.03906."""
    found = paired_difference(DEPRESSION_1, DEPRESSION_2)
    assert found.p_wilcoxon == pytest.approx(0.0390625)


def test_interval_by_hand():
    """Mean 4, s = 2, n = 4: 3.182446 (97.5 % of t with 3 degrees of freedom) x 2 / 2."""
    values = [4 - 2 * np.sqrt(1.5), 4, 4, 4 + 2 * np.sqrt(1.5)]
    found = mean_over_trials(values)
    assert np.std(values, ddof=1) == pytest.approx(2)
    assert found.interval == pytest.approx((4 - 3.1824463, 4 + 3.1824463))
    assert mean_over_trials(values, level=0.9).interval == pytest.approx((1.6466366, 6.3533634))


def test_change_of_the_papers():
    assert change_percent(0.2, 0.15) == pytest.approx(25)
    assert change_percent(0.2, 0.25) == pytest.approx(-25)
    assert change_percent(0.0, 0.1) is None


def test_few_and_equal_pairs():
    assert paired_difference([1.0], [2.0]).p_t is None
    assert paired_difference([1.0], [2.0]).p_wilcoxon == 1.0
    assert paired_difference([1.0], [2.0]).difference.interval is None
    same = paired_difference([1.0, 2.0], [1.0, 2.0])
    assert (same.p_t, same.p_wilcoxon, same.change_percent) == (1.0, 1.0, 0.0)
    assert paired_difference([1.0, 2.0], [2.0, 3.0]).p_t is None
    assert paired_difference([1.0, 2.0, 3.0], [1.1, 2.1, 3.1]).p_t is None
    assert paired_difference([1.0, 2.0, 4.0], [2.0, 5.0, 9.0]).p_wilcoxon == pytest.approx(0.25)


@pytest.mark.parametrize("bad", [[], [np.nan], [1.0, np.inf]])
def test_what_is_no_number(bad):
    with pytest.raises(InputError, match="at least one number"):
        mean_over_trials(bad)


def test_pairs_must_be_pairs():
    with pytest.raises(InputError, match="2 numbers cannot be paired with 3"):
        paired_difference([1.0, 2.0, 3.0], [1.0, 2.0])


def test_ranks_share_ties_and_leave_gaps_out():
    ranks = rank_table([[3.0, 1.0, 2.0], [1.0, np.nan, 2.0], [1.0, 1.0, 1.0]])
    assert ranks[[0, 2]].tolist() == [[3, 1, 2], [2, 2, 2]]
    assert np.isnan(ranks[1]).all()
    assert np.isnan(rank_table([[np.nan, 1.0]])).all()


def test_holm_of_statsmodels():
    """multipletests([0.01, 0.02, 0.03, 0.04, 0.05], method='holm') and R's p.adjust."""
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.04, 0.01, 0.5]) == pytest.approx([0.08, 0.03, 0.5])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
