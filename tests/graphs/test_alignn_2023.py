"""The rule of ALIGNN 2023 against the graphs of that package and against its rule, spelled out."""

import itertools
import json
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from crystals import copper, random_crystal, rock_salt, slab, supercell
from hypothesis import given
from hypothesis import strategies as st

from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.rules import RULES
from epitaxy.graphs.rules import alignn_2023 as module
from epitaxy.graphs.rules.alignn_2023 import fused_multiply_add
from epitaxy.graphs.search import Cells

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
BOTH = pytest.mark.parametrize("canonical", [True, False])


# --- the rule, spelled out -----------------------------------------------------------------------


def fused(a, b, c):
    return float(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)))


def times(row, matrix):
    """Multiply a row by a matrix as a BLAS with fused multiply-add does."""
    return [
        fused(row[2], matrix[2][k], fused(row[1], matrix[1][k], float(row[0]) * matrix[0][k]))
        for k in range(3)
    ]


def images_of(lattice, coords, radius):
    reciprocal = np.round(2 * np.pi * np.linalg.inv(np.round(lattice, 5)).T, 5)
    lengths = [round(float(np.sqrt((v**2).sum())), 6) for v in reciprocal]
    beyond = [int(np.ceil((radius + 0.15) * x / (2 * np.pi))) for x in lengths]
    low = np.floor(coords.min(0)).astype(int) - beyond
    high = np.ceil(coords.max(0)).astype(int) + beyond
    return itertools.product(*(range(a, b) for a, b in zip(low, high, strict=True)))


def neighbours_of(lattice, coords, radius):
    """Return for each atom all (distance, atom, image) within the radius."""
    atoms = np.array([times(f, np.round(lattice, 5)) for f in coords])
    found = [[] for _ in coords]
    for image in images_of(lattice, coords, radius):
        delta = (np.array(times(image, lattice)) + atoms)[None] - atoms[:, None]
        squares = delta**2
        distance = np.sqrt(squares[..., 0] + squares[..., 1] + squares[..., 2])
        for i, j in np.argwhere((distance > 0.15) & (distance <= radius)).tolist():
            found[i].append((distance[i, j], j, image))
    return found


def spelled_out(lattice, coords, canonical, wanted=12, radius=8.0):
    """Count the bonds (source, destination, shift) of the published rule."""
    lattice, coords = np.asarray(lattice, float), np.asarray(coords, float)
    longest = max(round(float(np.sqrt((v**2).sum())), 6) for v in np.round(lattice, 5))
    while min(map(len, found := neighbours_of(lattice, coords, radius))) < wanted:
        radius = longest if radius < longest else 2 * radius
    stored = defaultdict(set)
    for i, near in enumerate(found):
        last = sorted(near)[wanted - 1][0]
        for distance, j, (a, b, c) in near:
            if distance > last:
                continue
            if canonical and j < i:
                stored[j, i].add((-a, -b, -c))
            else:
                stored[i, j].add((a, b, c))
    bonds = Counter()
    for (i, j), images in stored.items():
        for a, b, c in images:
            bonds[i, j, a, b, c] += 1
            bonds[j, i, -a, -b, -c] += 1
    return bonds


# --- helpers -------------------------------------------------------------------------------------


def cells_of(*crystals):
    sizes = [len(coords) for _, _, coords in crystals]
    return Cells(
        np.concatenate([[0], np.cumsum(sizes)]),
        np.array([lattice for lattice, _, _ in crystals], float),
        np.concatenate([np.asarray(coords, float) for _, _, coords in crystals]),
    )


def bonds_by_rule(*crystals, **settings):
    recipe = GraphRecipe(rule="alignn-2023", **settings)
    return RULES["alignn-2023"](cells_of(*crystals), recipe)


def source(images):
    return np.repeat(np.arange(len(images.counts)), images.counts)


def rows(images):
    """Return (source, destination, shift) as (E, 5) integers."""
    return np.column_stack([source(images), images.dst, images.shift])


def counted(images, *crystals):
    """Return for each crystal how often it has which bond, atoms numbered within the crystal."""
    crystal = np.repeat(np.arange(len(crystals)), [len(c[2]) for c in crystals])
    starts = cells_of(*crystals).offsets
    found = [Counter() for _ in crystals]
    for i, j, *shift in rows(images).tolist():
        first = starts[crystal[i]]
        found[crystal[i]][i - first, j - first, *shift] += 1
    return found


def n_line_edges(src, dst):
    n = max(src.max(), dst.max()) + 1
    there = np.bincount(dst, minlength=n) @ np.bincount(src, minlength=n)
    return int(there - (src == dst).sum())


def centred_cubic():
    return np.diag([3.0, 3.0, 20.0]), [11, 17], [[0, 0, 0.5], [0.5, 0.5, 0.53]]


def inexact(seed):
    """Return a crystal of high symmetry whose equal distances differ by round-off."""
    rng = np.random.default_rng(seed)
    a = rng.uniform(3.5, 4.5)
    lattice = a * (np.ones((3, 3)) - np.eye(3)) / rng.choice([2.0, 3.0])
    return supercell((lattice, [1, 2], np.array([[0.1, 0.1, 0.1], [0.6, 0.6, 0.6]])), (1, 2, 1))


def almost_rock_salt(seed):
    """Return rock salt whose equal distances differ by less than the rounding of its lattice."""
    rng = np.random.default_rng(seed)
    lattice, numbers, coords = rock_salt(rng.uniform(5, 6))
    return lattice + rng.uniform(-5e-6, 5e-6, (3, 3)), numbers, coords


CRYSTALS = {
    "1 atom": copper(),
    "rock salt": rock_salt(),
    "layer": slab(),
    "sparse layer": centred_cubic(),
    "sparse": (np.eye(3) * 9.0, [2], [[0, 0, 0]]),
    "sparse, long": (np.diag([5.0, 6.0, 30.0]), [11, 17], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "lonely": (np.eye(3) * 40.1234567, [2, 2], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "cells away": (np.eye(3) * 5.0, [2, 2], [[2.2, 0, 0.1], [2.7, 0.5, 0.6]]),
    "below zero": (np.diag([4.0, 5.0, 6.5]), [2, 2], [[-0.9, 0, -0.1], [-0.4, -0.5, -0.6]]),
    "below zero, long": (np.diag([10.0, 3.0, 3.1]), [2, 2], [[-0.8, 0, 0], [0, 0, 0]]),
    "radius matters": (np.eye(3) * 6.0, [2, 2], [[3.2, 0, 0.1], [3.7, 0.5, 0.6]]),
    "at zero": (np.diag([4.0, 5.0, 6.5]), [2, 2], [[0, -0.5, 0], [0, 0, 0]]),
    "too close": (np.eye(3) * 4.0, [2, 2], [[0, 0, 0], [0.0375, 0, 0]]),
    "close": (np.eye(3) * 4.0, [2, 2], [[0, 0, 0], [0.0376, 0, 0]]),
    "spread": random_crystal(np.random.default_rng(1), 3, spread=1.0),
    "far spread": random_crystal(np.random.default_rng(2), 2, spread=6.0),
    **{f"skewed {n}": random_crystal(np.random.default_rng(n), n, spread=0.0) for n in (2, 4, 6)},
    **{f"round-off {n}": inexact(n) for n in range(12)},
    **{f"rounding {n}": almost_rock_salt(n) for n in range(4)},
}


# --- against the published graphs ----------------------------------------------------------------


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "alignn_2023.4.1.npz") as file:
        return dict(file)


def golden_crystals(golden):
    names = [f"s{n:02d}" for n in range(11)]
    return [(golden[f"{n}/lattice"], None, golden[f"{n}/frac_coords"]) for n in names]


def test_the_published_graphs(golden):
    crystals = golden_crystals(golden)
    images = bonds_by_rule(*crystals)
    starts = np.concatenate([[0], np.cumsum(images.counts)])[cells_of(*crystals).offsets]
    first_atom = cells_of(*crystals).offsets
    for n, (lattice, _, coords) in enumerate(crystals):
        src, dst, vector = (golden[f"s{n:02d}/bond_{x}"] for x in ("src", "dst", "vector"))
        cells = vector @ np.linalg.inv(lattice) - coords[dst] + coords[src]
        shift = np.rint(cells).astype(int)
        np.testing.assert_allclose(cells, shift, atol=1e-4)
        expected = np.column_stack([src, dst, shift])
        ours = slice(starts[n], starts[n + 1])
        found = rows(images)[ours] - np.array([first_atom[n]] * 2 + [0] * 3)
        here, there = np.lexsort(found.T), np.lexsort(expected.T)
        np.testing.assert_array_equal(found[here], expected[there])
        np.testing.assert_allclose(images.vector[ours][here], vector[there], atol=2e-6)
        assert n_line_edges(*found[:, :2].T) == len(golden[f"s{n:02d}/angle_cos"])


def golden_cases():
    cases = json.loads((GOLDEN / "alignn_golden.json").read_text())["cases"]
    return [pytest.param(c, id=f"{c['name']}-{c['use_canonize']}") for c in cases]


@pytest.mark.parametrize("case", golden_cases())
def test_the_published_sizes_and_lengths(case):
    atoms = case["atoms"]
    lattice, coords = np.array(atoms["lattice_mat"], float), np.array(atoms["coords"], float)
    if atoms["cartesian"]:
        # The published code kept such positions as they are and never made them of fractional
        # ones. That may decide ties in another way; in these cases it does not.
        coords = coords @ np.linalg.inv(np.round(lattice, 5))
    images = bonds_by_rule((lattice, None, coords), canonical=case["use_canonize"])
    assert len(images.counts) == case["n_nodes"]
    assert len(images.dst) == case["n_edges"]
    assert n_line_edges(source(images), images.dst) == case["n_line_edges"]
    assert images.length.sum() == pytest.approx(case["sum_bond_length"], rel=2e-6)
    assert (1 / images.length).sum() == pytest.approx(case["sum_inv_bond"], rel=2e-6)


# --- against the rule, spelled out ---------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("name", CRYSTALS)
def test_the_rule_spelled_out(name, canonical):
    crystal = CRYSTALS[name]
    (found,) = counted(bonds_by_rule(crystal, canonical=canonical), crystal)
    assert found == spelled_out(crystal[0], crystal[2], canonical)


@BOTH
def test_other_numbers_of_neighbours_and_radii(canonical):
    crystal = random_crystal(np.random.default_rng(3), 4, spread=0.5)
    for wanted, radius in [(1, 8.0), (5, 3.0), (12, 2.0), (30, 4.0)]:
        images = bonds_by_rule(crystal, canonical=canonical, neighbours=wanted, cutoff=radius)
        (found,) = counted(images, crystal)
        assert found == spelled_out(crystal[0], crystal[2], canonical, wanted, radius)


def test_images_as_far_as_the_radius_are_looked_at():
    cubic = (np.eye(3) * 9.0, [2], [[0, 0, 0]])
    images = bonds_by_rule(cubic, neighbours=1, cutoff=9.0)
    assert images.counts.tolist() == [12]


@pytest.mark.shared
@BOTH
def test_crystals_of_a_published_data_set(shared, canonical):
    columns = pq.read_table(shared / "datasets/devi2024/ph.parquet").to_pydict()
    crystals = [
        (np.reshape(lattice, (3, 3)), None, np.reshape(coords, (-1, 3)))
        for lattice, coords in zip(columns["lattice"], columns["frac_coords"], strict=True)
        if len(coords) < 60
    ][::28]
    assert len(crystals) >= 40
    found = counted(bonds_by_rule(*crystals, canonical=canonical), *crystals)
    for ours, (lattice, _, coords) in zip(found, crystals, strict=True):
        assert ours == spelled_out(lattice, coords, canonical)


# --- what any such graph must have ---------------------------------------------------------------


@BOTH
def test_every_bond_has_a_reverse(canonical):
    images = bonds_by_rule(*CRYSTALS.values(), canonical=canonical)
    here, reverse = np.arange(len(images.dst)), images.reverse
    np.testing.assert_array_equal(reverse[reverse], here)
    assert (reverse != here).all()
    np.testing.assert_array_equal(source(images)[reverse], images.dst)
    np.testing.assert_array_equal(images.shift[reverse], -images.shift)
    np.testing.assert_array_equal(images.vector[reverse], -images.vector)
    assert reverse.dtype == images.dst.dtype == images.shift.dtype == np.int64


def test_vectors_and_lengths_follow_the_rounded_lattice():
    crystal = (np.diag([3.000004, 3.1, 3.2]), [1], [[0.3, 0.3, 0.3]])
    images = bonds_by_rule(crystal)
    np.testing.assert_allclose(images.vector, images.shift * [3.0, 3.1, 3.2], atol=1e-14)
    np.testing.assert_allclose(images.length, np.linalg.norm(images.vector, axis=1), rtol=1e-15)


def test_canonical_graphs_have_bonds_found_from_both_ends_once():
    seen = set()
    for crystal in CRYSTALS.values():
        once, repeated = (
            counted(bonds_by_rule(crystal, canonical=c), crystal)[0] for c in (True, False)
        )
        assert set(once) == set(repeated)
        for (i, j, *_), n in once.items():
            assert n <= 2 if i == j else n == 1
        for bond, n in repeated.items():
            assert n == once[bond] or n == 2 * once[bond] == 2
            seen.add((bond[0] == bond[1], once[bond], n))
    assert seen >= {(True, 2, 2), (False, 1, 1), (False, 1, 2)}


def test_crystals_do_not_disturb_each_other():
    crystals = list(CRYSTALS.values())
    together = counted(bonds_by_rule(*crystals), *crystals)
    for crystal, found in zip(crystals, together, strict=True):
        assert found == counted(bonds_by_rule(crystal), crystal)[0]


def test_quick_and_full_search_agree(monkeypatch):
    crystals = list(CRYSTALS.values())
    expected = bonds_by_rule(*crystals, canonical=False)
    searched = []
    full = module._full_search

    def spy(*args):
        searched.append(args[2])
        return full(*args)

    monkeypatch.setattr(module, "_full_search", spy)
    bonds_by_rule(*crystals)
    assert 4 <= len(searched) < len(crystals) / 2
    searched.clear()
    monkeypatch.setattr(module, "MOST_SPAN", 0.0)
    monkeypatch.setattr(module, "WORK_AT_ONCE", 5_000)
    found = bonds_by_rule(*crystals, canonical=False)
    assert len(searched) == len(crystals)
    assert counted(found, *crystals) == counted(expected, *crystals)


@pytest.mark.parametrize(
    "hopeless",
    [
        (np.eye(3) * 5.0, [1], [[1e6, 1e6, 1e6]]),
        (np.diag([4.5, 4.5, 1e5]), [1], [[0, 0, 0]]),
        (np.diag([1.7e6, 1.7e6, 1.7e6]), [1], [[0, 0, 0]]),
        (np.diag([1.7e6, 1.7e6, 1.7e6]), [1], [[0.5, 0.5, 0.5]]),
        (np.array([[300, 4.9e-6, 0], [300, -4.9e-6, 0], [0, 0, 500]]), [1], [[0, 0, 0]]),
    ],
    ids=["cells away", "wide layer", "no images", "one image", "flat once rounded"],
)
def test_too_much_work_gives_no_bonds(hopeless, monkeypatch):
    monkeypatch.setattr(module, "MOST_WORK", 1_000_000)
    images = bonds_by_rule(copper(), hopeless, copper())
    assert images.counts.tolist() == [24, 0, 24]


def test_no_crystals_no_bonds():
    none = Cells(np.zeros(1, np.int64), np.zeros((0, 3, 3)), np.zeros((0, 3)))
    images = RULES["alignn-2023"](none, GraphRecipe(rule="alignn-2023"))
    assert [len(field) for field in images if field is not None] == [0] * 6


# --- arithmetic ----------------------------------------------------------------------------------

NUMBERS = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-60)


@given(a=NUMBERS, b=NUMBERS, c=NUMBERS, ulps=st.integers(-3, 3))
def test_fused_multiply_add_is_rounded_once(a, b, c, ulps):
    near = -a * b * (1 + ulps * 2.0**-52)
    for addend in (c, near, c * 2.0**-53, a * b * 2.0**-53, a * b * 2.0**53):
        found = fused_multiply_add(np.array([a]), np.array([b]), np.array([addend]))
        assert found[0] == fused(a, b, addend)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("b", [3 * 2.0**25 + 1, 3 * 2.0**25 + 3])
@pytest.mark.parametrize("c", [0.0, 2.0**-80, -(2.0**-80)])
def test_fused_multiply_add_rounds_halves_as_the_addend_says(sign, b, c):
    a = sign * (3 * 2.0**25 + 1)
    assert Fraction(a) * Fraction(b) % 2 == 1  # of 54 bits: half-way between two floats
    assert fused_multiply_add(*(np.array([x]) for x in (a, b, c)))[0] == fused(a, b, c)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_fused_multiply_add_stays_below_halves(sign):
    # The product is below half a step of c by less than its own last bit, which is set.
    a, b, c = 2.0**53 - 80530636, 2.0**52 + 40265318, (2.0**52 + 1) * 2.0**106
    numbers = sign * a, b, sign * c
    assert fused_multiply_add(*(np.array([x]) for x in numbers))[0] == fused(*numbers) == sign * c
