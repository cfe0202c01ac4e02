"""What a model has learned, and whether it knows an answer."""

import numpy as np
import pytest

from epitaxy.checkpoints.learned import Learned, all_learned, read_learned
from epitaxy.core.errors import InputError

FORMULAS = ["NaCl", "MgO", "GaAs", "GaAs", "SiC", "ZnO", "TiO2"]
GAPS = np.array([8.5, 7.8, 1.4, 0.9, 2.4, 3.4, 3.2])
OURS = Learned.from_labels(FORMULAS, GAPS[:, None], ["gap"])


def test_compositions_of_labelled_rows_are_known():
    some = Learned.from_labels(["NaCl", "MgO"], np.array([[1.0, np.nan], [np.nan] * 2]), ["a", "b"])
    assert some.knows(["NaCl", "MgO", "KCl"]).tolist() == [True, False, False]
    assert {name: len(keys) for name, (keys, _) in some.of.items()} == {"a": 1, "b": 0}


def test_a_value_counts_for_its_own_composition_only():
    asked = ["NaCl", "NaCl", "KCl", "GaAs", "GaAs", "GaAs"]
    values = np.array([8.5, 7.8, 8.5, 0.9, 1.4, 1.2])
    assert OURS.knows_value(asked, values).tolist() == [True, False, False, True, True, False]


@pytest.mark.parametrize("factor", [1000.0, 0.0433641, -1.0])
def test_another_unit_hides_nothing(factor):
    assert OURS.knows_value(FORMULAS, factor * GAPS).all()


@pytest.mark.parametrize(
    "scale",
    [
        np.log,
        np.log10,
        np.log1p,
        np.exp,
        np.expm1,
        lambda v: 10**v,
        lambda v: (v - v.mean()) / v.std(),
        lambda v: 2 * (np.log10(v) - 1) / 7 + 0.3,
        lambda v: np.round(np.log(v), 3),
    ],
)
def test_another_scale_hides_nothing(scale):
    """Two fifths of the rows have other values; those are not taken for learned."""
    rng = np.random.default_rng(1)
    formulas = [f"Na{n}Cl" for n in range(1, 400)]
    values = rng.lognormal(1, 0.5, 399)
    there = Learned.from_labels(formulas, values[:, None], ["peak"])
    fresh = rng.permutation(399) < 160
    labels = scale(np.where(fresh, rng.permutation(values), values))
    known = there.knows_value(formulas, labels)
    assert known[~fresh].all()
    assert known[fresh].mean() < 0.1


def test_a_related_property_is_not_taken_for_learned():
    """Gaps by two functionals follow each other, but are not the same numbers."""
    rng = np.random.default_rng(2)
    formulas = [f"Na{n}Cl" for n in range(1, 400)]
    values = rng.uniform(0.5, 6, 399)
    there = Learned.from_labels(formulas, values[:, None], ["gap"])
    assert there.knows_value(formulas, 1.3 * values + rng.normal(0.6, 0.1, 399)).mean() < 0.02


def test_few_values_of_a_skewed_property_are_not_taken_for_learned():
    """A line passes near many of a few points whose extremes are far away."""
    formulas = [f"Na{n}Cl" for n in range(1, 10)]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        there = Learned.from_labels(formulas, rng.lognormal(1, 2, (9, 1)), ["dielectric"])
        assert not there.knows_value(formulas, rng.lognormal(1, 2, 9)).any()


def test_values_of_another_property_are_not_taken_for_learned():
    rng = np.random.default_rng(0)
    formulas = [f"Na{n}Cl" for n in range(1, 400)]
    there = Learned.from_labels(formulas, rng.uniform(1, 5, (399, 1)), ["gap"])
    assert there.knows_value(formulas, rng.uniform(1, 5, 399)).mean() < 0.02


def test_zeros_and_missing_values_tell_nothing():
    metals = Learned.from_labels(["Cu", "Ag"], np.array([[0.0], [0.0]]), ["gap"])
    assert not metals.knows_value(["Cu", "Ag", "Au"], np.array([0.0, np.nan, 0.0])).any()


def test_joining_and_files(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    assert read_learned(tmp_path).of == {}
    both = OURS | Learned.from_labels(["NaCl", "KCl"], np.array([[8.5], [8.0]]), ["gap"])
    both |= Learned.from_labels(["Cu"], np.array([[140.0]]), ["bulk"])
    both.write(tmp_path)
    back = read_learned(tmp_path)
    assert {n: len(v) for n, (_, v) in back.of.items()} == {"gap": len(GAPS) + 1, "bulk": 1}
    assert back.knows_value(["KCl", "Cu", "Ag"], np.array([8.0, 140.0, 140.0])).tolist() == [
        *(True, True),
        False,
    ]
    assert all_learned([tmp_path]).knows(["KCl", "Au"]).tolist() == [True, False]
    (tmp_path / "learned.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be read"):
        read_learned(tmp_path)
