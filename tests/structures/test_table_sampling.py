"""Subsets: repeatable, nested, and distributed as asked."""

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.structures.sampling import METHODS, bin_weights, sample
from epitaxy.structures.table import StructureTable


@pytest.fixture(scope="module")
def skewed():
    """1,000 rows; nine of ten have a small value, the others reach up to 30."""
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.uniform(0, 1, 900), rng.uniform(1, 30, 100)])
    return StructureTable.from_arrays(
        ids=[str(i) for i in range(1000)],
        lattices=[np.eye(3)] * 1000,
        atomic_numbers=[[1]] * 1000,
        frac_coords=[[[0, 0, 0]]] * 1000,
        values={"k": values},
    )


@pytest.mark.parametrize("method", METHODS)
def test_draws_repeat_and_are_nested(many, method):
    large = sample(many, 60, seed=2, method=method, target="gap")
    small = sample(many, 10, seed=2, method=method, target="gap")
    other = sample(many, 10, seed=3, method=method, target="gap")
    assert len(set(large.ids)) == 60
    assert list(large.ids[:10]) == list(small.ids)
    assert list(other.ids) != list(small.ids)


@pytest.mark.parametrize("method", ["weighted", "uniform"])
def test_target_methods_draw_labelled_rows_only(many, method):
    drawn = sample(many, 95, seed=0, method=method, target="gap")
    assert np.isfinite(drawn.values["gap"]).all()
    with pytest.raises(InputError, match="96 rows cannot be drawn from 95 usable ones"):
        sample(many, 96, seed=0, method=method, target="gap")


def test_rare_values_are_drawn_more_often(skewed):
    shares = {
        method: np.mean(sample(skewed, 90, seed=0, method=method, target="k").values["k"] > 1)
        for method in METHODS
    }
    assert shares["random"] < 0.25
    assert shares["weighted"] > 0.6
    assert shares["uniform"] > 0.9


def test_uniform_takes_turns(skewed):
    drawn = sample(skewed, 60, seed=0, method="uniform", target="k").values["k"]
    values = skewed.values["k"]
    counts, _ = np.histogram(drawn, bins=30, range=(values.min(), values.max()))
    assert counts.max() <= 4
    assert counts.min() >= 0


def test_equal_values_can_be_drawn(many):
    flat = many.with_property(many.properties["gap"], np.ones(100))
    for method in METHODS:
        assert len(sample(flat, 100, seed=0, method=method, target="gap")) == 100


def test_weights_follow_the_published_formula():
    values = np.array([0.0, 0.1, 0.2, 5.0, 10.0, np.nan])
    edges = np.linspace(-1, 10, 31)
    bins = [next(b for b in range(30) if edges[b] < v <= edges[b + 1]) for v in values[:5]]
    inverse = {b: 1 / bins.count(b) for b in bins}
    expected = [inverse[b] / sum(inverse.values()) for b in bins]
    assert bin_weights(values) == pytest.approx([*expected, 0.0])


def test_bad_requests_are_refused(many):
    with pytest.raises(InputError, match="Did you mean 'random'"):
        sample(many, 3, seed=0, method="randm")
    with pytest.raises(InputError, match="'uniform' needs a target"):
        sample(many, 3, seed=0, method="uniform")
    with pytest.raises(InputError, match="no property 'gpa'"):
        sample(many, 3, seed=0, method="uniform", target="gpa")
    with pytest.raises(InputError, match="0 rows cannot be drawn"):
        sample(many, 0, seed=0)
