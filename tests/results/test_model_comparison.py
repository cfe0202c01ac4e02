import numpy as np
import pytest
from scipy import stats

from epitaxy.core.errors import InputError
from epitaxy.results.comparison import compare, compare_trials, paired_rows
from epitaxy.results.predictions import make_predictions

IDS = [f"mp-{i}" for i in range(40)]
RANDOM = np.random.default_rng(5)
TRUE = RANDOM.normal(size=40)
SCRATCH, TRANSFER = TRUE + RANDOM.normal(size=40), TRUE + 0.4 * RANDOM.normal(size=40)


def frame(y_pred, y_true=TRUE, ids=IDS, **more):
    values = {"property_name": "gap", "split": "test", "unit": "eV"} | more
    return make_predictions(ids=ids, y_true=y_true, y_pred=y_pred, **values)


def test_numbers_against_numpy_and_scipy():
    found = compare(frame(SCRATCH), frame(TRANSFER))
    a, b = np.abs(SCRATCH - TRUE), np.abs(TRANSFER - TRUE)
    assert found.mae_first == pytest.approx(a.mean())
    assert found.mae_second == pytest.approx(b.mean())
    assert found.change == pytest.approx(b.mean() - a.mean())
    assert found.change_percent == pytest.approx(100 * (b.mean() - a.mean()) / a.mean())
    assert found.p_value == pytest.approx(stats.wilcoxon(b - a).pvalue)
    assert (found.n, found.unit, found.property, found.split) == (40, "eV", "gap", "test")
    low, high = stats.ttest_1samp(b - a, 0.0).confidence_interval(0.95)
    width = high - low
    assert found.change_interval == pytest.approx((low, high), abs=0.1 * width)


def test_percentage_by_hand():
    # 0.5 to 0.4 is a fall by 20 %
    found = compare(frame([1.5, 2.5], [1, 2], ["a", "b"]), frame([1.4, 2.4], [1, 2], ["a", "b"]))
    assert found.change_percent == pytest.approx(-20.0)


def test_exchange_turns_the_sign():
    forth, back = compare(frame(SCRATCH), frame(TRANSFER)), compare(frame(TRANSFER), frame(SCRATCH))
    assert forth.change == pytest.approx(-back.change)
    assert forth.p_value == pytest.approx(back.p_value)


def test_order_of_rows_does_not_matter():
    turned = frame(TRANSFER).iloc[::-1].reset_index(drop=True)
    assert compare(frame(SCRATCH), turned) == compare(frame(SCRATCH), frame(TRANSFER))


def test_equal_models():
    found = compare(frame(SCRATCH), frame(SCRATCH))
    assert (found.change, found.p_value, found.change_interval) == (0.0, 1.0, (0.0, 0.0))


def test_perfect_reference_has_no_percentage():
    assert compare(frame(TRUE), frame(SCRATCH)).change_percent is None


def test_one_crystal():
    found = compare(frame([1.0], [2.0], ["a"]), frame([1.5], [2.0], ["a"]))
    assert found.change_interval is None
    assert found.p_value == 1.0


def test_unknown_values_do_not_count():
    truth = np.where(np.arange(40) < 10, np.nan, TRUE)
    assert compare(frame(SCRATCH, truth), frame(TRANSFER, truth)).n == 30


def test_single_precision_truth_is_the_same_truth():
    rounded = TRUE.astype(np.float32).astype(np.float64)
    assert len(paired_rows(frame(SCRATCH), frame(TRANSFER, rounded))) == 40


@pytest.mark.parametrize(
    ("second", "match"),
    [
        (frame(TRANSFER[:39], TRUE[:39], IDS[:39]), r"different crystals .*\(1 only in the first"),
        (frame(TRANSFER, TRUE + 0.1), "true values of 'gap' differ"),
        (frame(TRANSFER, unit="meV"), "unit 'eV', the second 'meV'"),
        (frame(TRANSFER, property_name="density"), "property 'gap', the second 'density'"),
        (frame(TRANSFER, split="val"), "different crystals in the split 'test'"),
    ],
)
def test_refuses(second, match):
    with pytest.raises(InputError, match=match):
        compare(frame(SCRATCH), second)


def test_split_that_neither_has():
    with pytest.raises(InputError, match=r"Neither prediction .* split 'val'"):
        compare(frame(SCRATCH), frame(TRANSFER), split="val")


def test_one_trial_is_a_plain_comparison():
    found = compare(frame(SCRATCH), frame(TRANSFER))
    change, interval = compare_trials([frame(SCRATCH)], [frame(TRANSFER)])
    assert change == pytest.approx(found.change)
    assert interval == pytest.approx(found.change_interval)


def test_errors_of_a_crystal_are_averaged_over_trials():
    """Trials that undo each other leave no change, nor any spread."""
    forth, back = [frame(SCRATCH), frame(TRANSFER)], [frame(TRANSFER), frame(SCRATCH)]
    change, (low, high) = compare_trials(forth, back)
    assert [change, low, high] == pytest.approx([0, 0, 0], abs=1e-12)


def test_trials_of_other_crystals_count_once_each():
    """0.5 to 0.2 for a, and 1 to 0.6 for b, in different trials and orders of rows."""
    first = [frame([1.5], [1], ["a"]), frame([3.0], [2], ["b"])]
    second = [frame([1.2], [1], ["a"]), frame([2.6], [2], ["b"])]
    assert compare_trials(first, second)[0] == pytest.approx(-0.35)
    assert compare_trials(first[:1], second[:1]) == (pytest.approx(-0.3), None)


def test_every_trial_needs_its_pair():
    with pytest.raises(ValueError, match="shorter"):
        compare_trials([frame(SCRATCH)] * 2, [frame(TRANSFER)])
