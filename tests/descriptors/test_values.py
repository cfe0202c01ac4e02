"""Numbers of the descriptors: by hand, against each other, and against the packages themselves."""

import numpy as np
import pytest

from epitaxy.descriptors.composition import ELEMENT_DATA, element_data, element_property
from epitaxy.descriptors.packages import quiet
from epitaxy.descriptors.table import describe_table
from epitaxy.structures.reading import read_table
from tiny import CRYSTALS, copper, irregular, isolated, many, perovskite, rock_salt, table


@pytest.fixture
def matminer():
    return pytest.importorskip("matminer", reason="the package matminer is not installed")


@pytest.fixture
def chgnet():
    return pytest.importorskip("chgnet", reason="the package chgnet is not installed")


def features(crystal, name):
    described = describe_table(table([crystal]), name)
    return dict(zip(described.names, described.values[0].tolist(), strict=True))


def test_composition_by_hand():
    found = features(perovskite(numbers=(56, 22, 8)), "composition")
    assert found["mean atomic number"] == pytest.approx(20.4)
    assert found["deviation atomic number"] == pytest.approx((35.6 + 1.6 + 3 * 12.4) / 5)
    assert found["minimum atomic number"] == 8
    assert found["maximum atomic number"] == 56
    assert found["range atomic number"] == 48
    assert found["mode atomic number"] == 8
    assert found["mean valence d electrons"] == pytest.approx(2 / 5)
    assert found["mean valence p electrons"] == pytest.approx(12 / 5)
    assert found["number of elements"] == 3
    assert found["2-norm of fractions"] == pytest.approx(np.sqrt(11) / 5)


def test_the_mode_of_equally_frequent_elements_is_the_smallest_value():
    found = features(rock_salt(numbers=(11, 17)), "composition")
    assert found["mode atomic number"] == 11
    assert found["mode atomic radius"] == element_property("atomic radius")[17]


def test_element_data_are_complete():
    assert np.isfinite(element_data()[1:]).all()
    known = element_data()[1:, list(ELEMENT_DATA).index("electronegativity")]
    assert known[1] == pytest.approx(np.delete(known, [1, 9, 17]).mean())


def test_geometry_by_hand():
    found = features(rock_salt(5.6), "geometry")
    near, second = 2.8, 2.8 * np.sqrt(2)
    ranked = [found[f"mean distance to neighbour {k}"] for k in (1, 2, 3, 4, 6, 8, 12)]
    assert ranked == pytest.approx([near] * 5 + [second] * 2)
    assert found["deviation distance to neighbour 1"] == pytest.approx(0, abs=1e-12)
    # Six neighbours with weight 1, twelve at sqrt(2) times their distance.
    like = 12 * np.exp(1 - 2**3)
    assert found["mean coordination number"] == pytest.approx(6 + like)
    expected = 6 * (3.16 - 0.93) / (6 + like)
    assert found["maximum electronegativity difference"] == pytest.approx(expected)
    assert found["volume per atom"] == pytest.approx(5.6**3 / 8)
    assert found["mass density"] == pytest.approx(4 * (22.99 + 35.45) / 5.6**3, rel=1e-4)
    assert features(copper(), "geometry")["mean electronegativity difference"] == 0


def test_isolated_atoms_have_geometry():
    found = features(isolated(), "geometry")
    assert found["mean distance to neighbour 6"] == pytest.approx(30)
    assert found["mean distance to neighbour 12"] == pytest.approx(30 * np.sqrt(2))


def test_distances_are_continuous_where_neighbours_change_places():
    lattice, numbers, coords = irregular(4)
    lengths = np.linspace(0.8, 1.25, 1000)
    crystals = [(lattice * np.array([[1], [1], [x]]), numbers, coords) for x in lengths]
    values = describe_table(table(crystals), "geometry").values
    assert np.abs(np.diff(values, axis=0)).max() < 0.1


def test_springs_of_a_molecule_by_hand():
    """Two atoms far from all others: k = (2 / d)^p along the bond, a tenth of it across."""
    distance, masses = 1.3, (1.00794, 35.453)
    crystal = (20 * np.eye(3), np.array([1, 17]), np.array([[0, 0, 0], [distance / 20, 0, 0]]))
    found = features(crystal, "springs")
    for power in (8, 10):
        unit = 1302.79**2 * (2 / distance) ** power
        stretched = np.sqrt(unit * (1 / masses[0] + 1 / masses[1]))
        assert found[f"highest frequency, power {power}"] == pytest.approx(np.log(stretched))
        second = found[f"second highest frequency at zone centre, power {power}"]
        assert second == pytest.approx(np.log(stretched * np.sqrt(0.1)))
        alone = found[f"highest frequency of an atom, power {power}"]
        assert alone == pytest.approx(np.log(np.sqrt(unit / masses[0])))
        assert found[f"lowest of the highest frequencies, power {power}"] == pytest.approx(
            np.log(stretched)
        )


def test_springs_of_a_chain_by_hand():
    """One atom in the cell: acoustic modes alone, the highest where neighbours move apart."""
    crystal = (np.diag([2.0, 20.0, 20.0]), np.array([29]), np.zeros((1, 3)))
    found = features(crystal, "springs")
    # Neighbours at 2, 4 and 6 Å on both sides; at the zone boundary even ones move along.
    stiffness = [1.0, 0.5**8, (1 / 3) ** 8]
    boundary = 4 * (stiffness[0] + stiffness[2]) / 63.546
    expected = np.log(1302.79 * np.sqrt(boundary))
    assert found["highest frequency, power 8"] == pytest.approx(expected)
    assert found["highest frequency at zone centre, power 8"] == 0
    alone = np.log(1302.79 * np.sqrt(2 * sum(stiffness) / 63.546))
    assert found["highest frequency of an atom, power 8"] == pytest.approx(alone)


def test_springs_of_isolated_atoms_are_at_the_least_frequency():
    assert set(features(isolated(), "springs").values()) == {0.0}


def test_cells_too_large_for_springs_are_listed(monkeypatch):
    monkeypatch.setattr("epitaxy.descriptors.springs.MOST_ATOMS", 4)
    described = describe_table(table([copper(), perovskite()]), "springs")
    assert described.ids.tolist() == ["c0"]
    assert "has 5 atoms, more than the 4" in described.failures[0].reason


def test_magpie_agrees_with_our_statistics(matminer):
    theirs = describe_table(table(many(20)), "magpie")
    ours = describe_table(table(many(20)), "composition")
    pairs = {
        "MagpieData mean Number": "mean atomic number",
        "MagpieData avg_dev Column": "deviation group",
        "MagpieData range Row": "range period",
        "0-norm": "number of elements",
        "3-norm": "3-norm of fractions",
    }
    for one, other in pairs.items():
        np.testing.assert_allclose(
            theirs.values[:, theirs.names.index(one)],
            ours.values[:, ours.names.index(other)],
            err_msg=one,
        )


def test_structure_features_of_a_known_crystal(matminer):
    found = features(perovskite(), "structure")
    assert found["spacegroup_num"] == 221
    assert found["is_centrosymmetric"] == 1
    assert found["vpa"] == pytest.approx(4.0**3 / 5)
    assert found["mean octahedral CN_6"] > 0.1


@pytest.mark.slow
def test_processes_change_nothing(matminer):
    crystals = table(many(45))
    one, two = (describe_table(crystals, "structure", workers=n) for n in (1, 2))
    np.testing.assert_array_equal(one.values, two.values)
    assert one.failures == two.failures


def test_the_embedding_is_that_of_the_package(chgnet):
    from chgnet.model import CHGNet

    with quiet():
        network = CHGNet.load(use_device="cpu", verbose=False)
        crystals = table()
        structures = [crystals.structure(row) for row in range(len(crystals))]
        theirs = network.predict_structure(
            structures, task="e", return_atom_feas=True, return_crystal_feas=True
        )
    values = describe_table(crystals, "chgnet").values.reshape(len(CRYSTALS), 5, 64)
    for ours, their in zip(values, theirs, strict=True):
        # The package adds the atoms up.
        mean = their["crystal_fea"] / len(their["atom_fea"])
        np.testing.assert_allclose(ours[0], mean, atol=3e-5)
        np.testing.assert_allclose(ours[1], their["atom_fea"].mean(0), atol=3e-5)
        np.testing.assert_allclose(ours[4], their["atom_fea"].max(0), atol=3e-5)


def test_what_chgnet_does_not_know_is_listed(chgnet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    described = describe_table(table([isolated(), copper(), isolated(98)]), "chgnet")
    assert described.ids.tolist() == ["c1"]
    alone, heavy = described.failures
    assert "isolated atom" in alone.reason
    assert "Atomic number 98" in heavy.reason
    assert not list(tmp_path.iterdir())


@pytest.mark.shared
@pytest.mark.parametrize("name", ["composition", "geometry"])
def test_all_crystals_of_a_published_table_are_described(shared, name):
    crystals = read_table(shared / "datasets" / "chang2022" / "mp_phonons.parquet")
    described = describe_table(crystals, name)
    assert described.failures == ()
    assert (np.ptp(described.values, axis=0) > 0).mean() > 0.95
