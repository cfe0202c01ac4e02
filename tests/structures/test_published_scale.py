"""The scale of a paper, found from a column of published values."""

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.published import published_unit
from salts import GAPS, in_memory

VALUES = np.array(list(GAPS.values()))


def table(published):
    return in_memory().with_property(PropertySpec(name="gap_published"), published)


@pytest.mark.parametrize(("slope", "shift"), [(0.2, -1.0), (-0.2, 3.0), (1e-4, 0.0), (1e5, 1e7)])
def test_any_affine_map(slope, shift):
    assert published_unit(table(slope * VALUES + shift), "gap") == pytest.approx(1 / abs(slope))


def test_values_that_are_not_known_in_both_do_not_count():
    published = 0.25 * VALUES
    published[::3] = np.nan
    one = table(published)
    gaps = VALUES.copy()
    gaps[1::3] = np.nan
    assert published_unit(one.with_property(one.properties["gap"], gaps), "gap") == 4.0


def test_rounded_to_eight_digits_is_exact_enough():
    assert published_unit(table(np.round(0.2 * VALUES - 1, 8)), "gap") == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("published", "words"),
    [
        (
            VALUES**2,
            r"'gap_published' is no affine map of 'gap': it deviates by 0\.\d+ of its range",
        ),
        (np.round(VALUES / 7, 4), r"is no affine map of 'gap'"),
        (np.ones(30), r"fewer than two different values in common"),
        (np.where(np.arange(30) == 7, 1.0, np.nan), r"fewer than two different values in common"),
        (np.full(30, np.nan), r"'gap_published' has no usable value"),
    ],
)
def test_columns_that_do_not_show_a_scale(published, words):
    with pytest.raises(InputError, match=words):
        published_unit(table(published), "gap")


def test_no_such_column():
    with pytest.raises(InputError, match=r"need a column 'gap_published' .* has only gap; use the"):
        published_unit(in_memory(), "gap")
    with pytest.raises(InputError, match="no property 'x'"):
        published_unit(in_memory(), "x")
