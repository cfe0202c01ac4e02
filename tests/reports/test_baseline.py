"""A baseline that is not beaten, and errors in words."""

import numpy as np
import pytest

from epitaxy.reports.baseline import (
    NOT_BELOW,
    NOT_SURE,
    error_text,
    lines_of,
    rough_figure,
    verdict_of,
)
from epitaxy.reports.numbers import with_unit
from epitaxy.results.intervals import difference

RNG = np.random.default_rng(2)
CONSTANT = RNG.exponential(size=40)
NOISE = RNG.permutation(np.linspace(-1, 1, 40))
FOUND = {"mae": 0.1, "mae_interval": [0.08, 0.13], "n": 50, "n_groups": 50, "unit": "eV"}
BETTER = {**FOUND, "baseline_mae": 0.5, "baseline_change": [-0.5, -0.3]}
WORSE = {**BETTER, "baseline_mae": 0.04, "baseline_change": [0.01, 0.1]}


def verdict(errors, constant, groups=None):
    change = difference(errors, constant, groups).known
    numbers = {"mae": errors.mean(), "baseline_mae": constant.mean(), "unit": "eV"}
    return verdict_of({**numbers, "baseline_change": change})


@pytest.mark.parametrize(
    ("errors", "opening"),
    [
        (CONSTANT + 0.2, NOT_BELOW),
        (CONSTANT, NOT_BELOW),
        (CONSTANT - 0.05 + NOISE, NOT_SURE),
        (0.3 * CONSTANT, None),
    ],
    ids=["worse", "equal", "by chance", "better"],
)
def test_verdicts(errors, opening):
    said = verdict(errors, CONSTANT)
    if opening is None:
        assert said is None
        return
    assert said.startswith(opening)
    assert with_unit(CONSTANT.mean(), "eV", 3) in said
    assert with_unit(errors.mean(), "eV", 3) in said


def test_groups_and_folds_make_it_less_sure():
    errors = CONSTANT - 0.3 + 0.8 * NOISE
    groups = [f"A{i // 20}" for i in range(40)]
    assert verdict(errors, CONSTANT) is None
    assert verdict(errors, CONSTANT, groups).startswith(NOT_SURE)


def test_of_a_single_group_nothing_is_sure():
    assert verdict(np.array([0.1]), np.array([9.0])).startswith(NOT_SURE)


def test_few_crystals_give_a_rough_figure():
    assert "rough" in error_text({**BETTER, "n_groups": 29})
    assert rough_figure(BETTER) == []
    assert "the mean: 0.700 eV" in error_text({**BETTER, "mean_baseline_mae": 0.7})


def test_what_is_not_beaten_comes_first():
    lines = lines_of({"train": {"a": BETTER, "b": WORSE}, "test": {"a": BETTER, "b": WORSE}})
    assert lines[0].startswith(f"{NOT_BELOW} of b: ")
    assert lines[1].startswith("test  a: MAE 0.100 eV (95 % interval 0.0800 to 0.130 eV; n = 50)")
    assert len(lines) == 5
    (only,) = lines_of({"val": {"a": BETTER}})
    assert only.startswith("val   a: ")


def test_many_properties_are_a_table():
    several = dict.fromkeys("abcdef", BETTER) | {"g": WORSE}
    lines = lines_of({"train": several, "test": several})
    assert lines[0].startswith(NOT_SURE)
    assert lines[0].endswith("for 1 of 7 properties: g.")
    assert len(lines) == 1 + 1 + 7
    assert lines[-1].split() == [
        "g",
        "0.100",
        "0.0800",
        "to",
        "0.130",
        "0.0400",
        "50",
        "0.100",
        "eV",
    ]
