"""What a model has learned, and how the values that are asked for relate to it."""

import numpy as np
import pytest

from epitaxy.checkpoints.learned import Learned, Materials, all_learned, read_learned
from epitaxy.checkpoints.relations import Relation, relation
from epitaxy.core.errors import InputError
from epitaxy.structures.polymorphs import structure_keys
from epitaxy.structures.table import StructureTable

N = 300
KEYS = np.arange(N)
GAPS = np.random.default_rng(0).lognormal(0.5, 0.7, N)
ZERO_INFLATED = np.where(np.arange(N) % 3 == 0, 0.0, GAPS)
ENERGIES = np.random.default_rng(1).normal(-1.5, 0.9, N)
NOISE = np.random.default_rng(2).normal(size=N)
DISGUISES = {
    **{f"{digits} digits": lambda v, d=digits: np.round(v, d) for digits in range(4)},
    "nanometres": lambda v: np.where(v != 0, 1239.84 / np.where(v == 0, 1, v), np.nan),
    "square root": lambda v: np.sqrt(np.maximum(v, 0)),
    "square": lambda v: v * np.abs(v),
    "reciprocal": lambda v: np.where(v != 0, 1 / np.where(v == 0, 1, v), np.nan),
    "logarithm": lambda v: np.where(v > 0, np.log10(np.where(v > 0, v, 1)), np.nan),
    "log1p": lambda v: np.log1p(np.maximum(v, 0)),
    "ranks": lambda v: v.argsort().argsort().astype(float),
    "other sign": lambda v: -v,
    "sign": np.sign,
    "shift": lambda v: v + 3.3,
    "limits": lambda v: 2 * (v - v.min()) / np.ptp(v) - 1,
    **{f"noise {s}": lambda v, s=s: v * (1 + s * NOISE[: len(v)]) for s in (0.001, 0.01, 0.02)},
}
UNDEFINED = ("square root", "logarithm", "log1p", "reciprocal")
"""Of negative values."""
MEASURED = """
NaCl -2.13 KCl -2.26 LiF -3.19 NaF -2.99 KF -2.94 LiCl -2.12 NaBr -1.87 KBr -2.04 KI -1.70
NaI -1.49 MgO -3.12 CaO -3.29 SrO -3.07 BaO -2.84 ZnO -1.82 NiO -1.24 CoO -1.23 MnO -2.00
MgF2 -3.88 CaF2 -4.24 ZnS -1.07 CdS -0.84 CaS -2.50 MgS -1.79 AlN -1.65 GaN -0.81 TiN -1.75
TiC -0.96 SiC -0.34 GaAs -0.37"""
"""Standard enthalpies of formation, eV/atom, of the usual tables."""
SCATTER = 0.2
"""Difference of computed from measured enthalpies, eV/atom: rank correlation 0.97."""


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("values", [GAPS, ZERO_INFLATED, ENERGIES], ids=["gaps", "zeros", "energy"])
def test_a_learned_value_is_recognised_in_every_disguise(values, disguise):
    undefined = (values < 0).any() and disguise in UNDEFINED
    if undefined or (disguise == "sign" and (values > 0).all()):
        pytest.skip("no function of these values, or a constant one")
    with np.errstate(all="ignore"):
        labels = DISGUISES[disguise](values)
    assert relation(KEYS, labels, KEYS, values) == Relation.SAME
    few = np.arange(N) < 40
    assert relation(KEYS[few], labels[few], KEYS, values) == Relation.SAME


@pytest.mark.parametrize("disguise", DISGUISES)
def test_four_rows_are_not_taken_for_unknown(disguise):
    with np.errstate(all="ignore"):
        labels = DISGUISES[disguise](GAPS)[:4]
    assert relation(KEYS[:4], labels, KEYS, GAPS) == Relation.SAME


def test_noise_of_five_per_cent_is_not_taken_for_unknown():
    for values in (GAPS, ZERO_INFLATED, ENERGIES):
        assert relation(KEYS, values * (1 + 0.05 * NOISE), KEYS, values) != Relation.UNKNOWN


def test_a_measurement_repeated_elsewhere_is_of_the_same_property():
    """Measured gaps of two collections: two fifths agree, the others were measured otherwise."""
    random = np.random.default_rng(3)
    other = np.where(random.random(N) < 0.4, GAPS, GAPS * random.lognormal(0, 0.3, N))
    assert relation(KEYS, other, KEYS, GAPS) == Relation.SAME


def test_another_fidelity_is_related_but_not_the_same():
    """Computed gaps follow measured ones with a systematic error and scatter."""
    random = np.random.default_rng(4)
    measured = 1.3 * ZERO_INFLATED + np.where(ZERO_INFLATED > 0, 0.6, 0.0)
    measured += random.normal(0, 0.45, N) * (measured > 0)
    assert relation(KEYS, measured, KEYS, ZERO_INFLATED) == Relation.RELATED
    assert relation(KEYS, ZERO_INFLATED, KEYS, measured) == Relation.RELATED


def test_computed_and_measured_enthalpies_are_related():
    here = np.array(MEASURED.split()[1::2], dtype=float)
    keys = np.arange(len(here))
    found = []
    for seed in range(10):
        there = here + np.random.default_rng(seed).normal(0.05, SCATTER, len(here))
        found.append(relation(keys, here, keys, there))
    assert found.count(Relation.RELATED) >= 9
    assert Relation.UNKNOWN not in found


@pytest.mark.parametrize("seed", range(10))
def test_another_property_tells_nothing(seed):
    random = np.random.default_rng(100 + seed)
    other = 0.5 * np.log(GAPS) + random.normal(0, 0.7, N)
    assert relation(KEYS, other, KEYS, GAPS) == Relation.UNKNOWN
    assert relation(KEYS, random.lognormal(1, 2, N), KEYS, GAPS) == Relation.UNKNOWN


def test_few_values_of_another_property_are_seldom_taken_for_learned():
    found = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        keys, pairs = np.arange(9), random.lognormal(1, 2, (2, 9))
        found.append(relation(keys, pairs[0], keys, pairs[1]) == Relation.SAME)
    assert np.mean(found) < 0.2


def test_missing_values_and_other_materials_tell_nothing():
    labels = np.full(N, np.nan)
    assert relation(KEYS, labels, KEYS, GAPS) == Relation.UNKNOWN
    assert relation(KEYS + N, GAPS, KEYS, GAPS) == Relation.UNKNOWN


def cubic(ids, numbers, edges, shifts):
    return StructureTable.from_arrays(
        ids=ids,
        lattices=[np.eye(3) * edge for edge in edges],
        atomic_numbers=numbers,
        frac_coords=[[[0, 0, 0], [0.5, 0.5, shift]] for shift in shifts],
    )


TABLE = cubic(["a", "b", "c"], [[11, 17], [11, 17], [12, 8]], [3.4, 3.4, 3.1], [0.5, 0.4, 0.5])


def test_polymorphs_are_told_apart_by_their_structure():
    only = TABLE.select([0])
    ours = Learned.of_table(only, np.array([[8.5]]), ["gap"]).of["gap"]
    assert ours.covers(Materials(TABLE), np.array([8.5, 6.0, 7.8])).tolist() == [True, False, False]
    again = ours.covers(Materials(TABLE.select([1])), np.array([6.0]))
    assert again.tolist() == [True]


def test_many_polymorphs_of_which_few_were_learned_are_told_apart_by_their_values():
    formulas = ["C"] * 2
    ours = Learned.from_labels(formulas, np.array([[1.0], [2.0]]), ["energy"]).of["energy"]
    many = cubic([str(n) for n in range(9)], [[6, 6]] * 9, np.linspace(3, 4, 9), [0.5] * 9)
    labels = np.array([1.0, *np.linspace(3, 4, 8)])
    assert ours.covers(Materials(many), labels).tolist() == [True] + [False] * 8


def test_structure_keys_do_not_depend_on_the_cell():
    doubled = StructureTable.from_arrays(
        ids=["x"],
        lattices=[np.diag([3.4, 3.4, 6.8])],
        atomic_numbers=[[11, 17, 11, 17]],
        frac_coords=[[[0, 0, 0], [0.5, 0.5, 0.25], [0, 0, 0.5], [0.5, 0.5, 0.75]]],
    )
    assert structure_keys(doubled, [0]) == structure_keys(TABLE, [0])


def test_joining_and_files(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    assert not read_learned(tmp_path).is_complete
    both = Learned.from_labels(["NaCl", "MgO"], np.array([[8.5], [7.8]]), ["gap"])
    both |= Learned.from_labels(["NaCl", "KCl"], np.array([[5.0], [5.2]]), ["gap"])
    both |= Learned.from_labels(["Cu"], np.array([[140.0]]), ["bulk"])
    both.write(tmp_path)
    back = read_learned(tmp_path)
    assert back.is_complete
    # Two properties of one name need not be one quantity.
    assert {n: len(e.values) for n, e in back.of.items()} == {"gap": 2, "gap (2)": 2, "bulk": 1}
    assert (back | back).of.keys() == back.of.keys()
    assert all_learned([tmp_path]).knows(["KCl", "Au"]).tolist() == [True, False]
    (tmp_path / "learned.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be read"):
        read_learned(tmp_path)


def test_a_fingerprint_tells_materials_but_no_labels(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    ours = Learned.of_table(TABLE, np.array([[8.5], [6.25], [7.75]]), ["gap"])
    ours.write_fingerprint(tmp_path)
    content = (tmp_path / "fingerprint.safetensors").read_bytes()
    for value in (8.5, 6.25, 7.75):
        assert np.float32(value).tobytes() not in content
        assert np.float64(value).tobytes() not in content
    back = read_learned(tmp_path)
    entry = back.of["gap"]
    assert entry.values is None
    assert back.is_complete
    assert back.knows(["ClNa", "ClK", "MgO"]).tolist() == [True, False, True]
    assert entry.covers(Materials(TABLE), np.ones(3)).all()
    other = cubic(["d"], [[11, 17]], [3.4], [0.3])
    both = TABLE.select([0])
    assert entry.covers(Materials(both), np.ones(1)).all()
    assert entry.covers(Materials(other), np.ones(1)).all()
    ours.write_fingerprint(tmp_path)
    assert (tmp_path / "fingerprint.safetensors").read_bytes() == content
    # Handed on, it stays what it is, also beside values of another training.
    joined = back | Learned.from_labels(["Cu"], np.array([[140.0]]), ["bulk"])
    joined.write(tmp_path)
    again = read_learned(tmp_path)
    assert again.knows(["ClNa", "Cu", "ClK"]).tolist() == [True, True, False]
