"""Which rows stay together: every grouping, and the automatic choice."""

from collections import Counter

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from allotropes import allotropes, packed
from epitaxy.core.errors import InputError
from epitaxy.structures.fingerprints import TOLERANCE, fingerprint, near_duplicates
from epitaxy.structures.grouping import choose_grouping, group_labels
from epitaxy.structures.reading import read_grouped, read_table
from epitaxy.structures.splits import kfold, matbench_folds, random_split, resolve_split, split
from salts import write_folder

BODY_CENTRED = [[0, 0, 0], [0.5, 0.5, 0.5]]
ROCK_SALT = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]


def partition(labels):
    """Return groups of positions."""
    labels = np.asarray(labels)
    return {frozenset(np.flatnonzero(labels == one).tolist()) for one in set(labels.tolist())}


def torn(table, by, splits):
    """Return the groups that stand in several parts of a split."""
    labels = dict(zip(table.ids, group_labels(table, by), strict=True))
    found = set()
    for one in splits:
        parts = [{labels[i] for i in part} for part in (one.train, one.val, one.test)]
        found |= (parts[0] & parts[1]) | (parts[0] & parts[2]) | (parts[1] & parts[2])
    return found


def test_formula_and_system():
    cube = np.eye(3) * 4
    table = packed(
        [
            (cube, [22, 8, 8], np.random.default_rng(0).random((3, 3))),
            (cube, [8, 8, 22, 8, 8, 22], np.random.default_rng(1).random((6, 3))),
            (cube, [22, 8], BODY_CENTRED),
        ]
    )
    assert group_labels(table, "formula") == ["O2Ti", "O2Ti", "OTi"]
    assert group_labels(table, "system") == ["O-Ti"] * 3
    assert len(set(group_labels(table, "none"))) == 3


def test_prototypes_do_not_depend_on_elements_origin_and_cell():
    fcc = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    salt = np.concatenate([ROCK_SALT, np.array(ROCK_SALT) + 0.5])
    perovskite = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    moved = (np.array(perovskite) + 0.5).tolist()
    table = packed(
        [
            (fcc * 5.6, [11, 17], BODY_CENTRED),
            (np.eye(3) * 4.2, [12] * 4 + [8] * 4, salt),
            (fcc * 6.1, [55, 17], [[0.5, 0.5, 0.5], [0, 0, 0]]),
            (np.eye(3) * 4.1, [55, 17], BODY_CENTRED),
            (np.eye(3) * 3.9, [38, 22, 8, 8, 8], perovskite),
            (np.eye(3) * 4.0, [56, 22, 8, 8, 8], moved),
        ]
    )
    labels = group_labels(table, "prototype")
    assert partition(labels) == {frozenset({0, 1, 2}), frozenset({3}), frozenset({4, 5})}
    assert "225" in labels[0]
    assert "221" in labels[3]


def test_structure_does_not_depend_on_cell_order_orientation_and_noise():
    rng = np.random.default_rng(0)
    lattice, coords = np.diag([4.0, 4.5, 5.0]) + 0.2, rng.random((4, 3))
    numbers = [22, 8, 8, 8]
    turned, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    double = np.concatenate([coords / [2, 1, 1], coords / [2, 1, 1] + [0.5, 0, 0]])
    skewed = np.array([[1, 0, 0], [3, 1, 0], [0, -2, 1]])
    table = packed(
        [
            (lattice, numbers, coords),
            (lattice @ turned, numbers[::-1], coords[::-1] + 0.3),
            (lattice * [[2], [1], [1]], numbers * 2, double),
            (skewed @ lattice, numbers, coords @ np.linalg.inv(skewed)),
            (lattice * 1.01, numbers, coords + rng.normal(0, 0.002, coords.shape)),
            (lattice, numbers, rng.random((4, 3))),
            (lattice * 1.3, numbers, coords),
            (lattice, [40, 8, 8, 8], coords),
        ]
    )
    assert near_duplicates(table).tolist() == [0, 0, 0, 0, 0, 1, 2, 3]


def test_a_chain_of_small_strains_is_one_group():
    table = packed([(np.eye(3) * a, [55, 17], BODY_CENTRED) for a in np.linspace(3.5, 4.8, 30)])
    assert set(near_duplicates(table).tolist()) == {0}
    assert near_duplicates(table.select([0, 29])).tolist() == [0, 1]


def test_many_duplicates_take_little_memory(monkeypatch):
    table = allotropes(n=20, copies=10)
    whole = near_duplicates(table)
    monkeypatch.setattr("epitaxy.structures.fingerprints.CHUNK", 300)
    np.testing.assert_array_equal(near_duplicates(table), whole)
    order = np.random.default_rng(1).permutation(len(table))
    assert partition(near_duplicates(table.select(order))) == {
        frozenset(np.flatnonzero(whole[order] == k).tolist()) for k in set(whole.tolist())
    }


def test_one_formula_is_grouped_by_structure(caplog):
    table = allotropes()
    with caplog.at_level("INFO", "epitaxy"):
        found = choose_grouping(table)
    assert found.by == "structure"
    assert partition(found.labels) == partition(np.arange(200) // 5)
    assert "all 200 crystals have the composition C" in found.sentence
    assert "40 different structures" in found.sentence
    assert found.sentence in caplog.messages
    for splits in (
        [random_split(table, seed=0)],
        kfold(table, k=5, seed=0),
        [
            resolve_split(
                {"train": list(table.ids[:150]), "test": list(table.ids[150:])}, table, seed=0
            )
        ],
    ):
        assert not torn(table, "structure", splits)
        assert {one.grouped_by for one in splits} == {"structure"}


def test_many_formulas_stay_as_they_are(many, caplog):
    with caplog.at_level("INFO", "epitaxy"):
        found = choose_grouping(many)
    assert (found.by, found.labels) == ("formula", list(many.formulas))
    assert not caplog.messages
    assert random_split(many, seed=0) == random_split(many, seed=0, group_by="formula")
    assert kfold(many, k=4, seed=0) == kfold(many, k=4, seed=0, group_by="formula")


@pytest.mark.parametrize("n", [3, 4, 10, 25])
def test_few_rows_of_different_formulas_are_grouped_by_formula(many, n):
    _, first = np.unique(np.array(many.formulas), return_index=True)
    assert choose_grouping(many.select(first[:n])).by == "formula"


def test_a_composition_of_most_rows_is_not_kept_together():
    carbon = allotropes()
    others = packed([(np.eye(3) * 4, [3 + k, 17], BODY_CENTRED) for k in range(30)])
    lattices = np.concatenate([carbon.lattices, others.lattices])
    atoms = [[6] * 6] * 200 + [[3 + k, 17] for k in range(30)]
    coords = [*carbon.frac_coords.reshape(200, 6, 3), *others.frac_coords.reshape(30, 2, 3)]
    found = choose_grouping(packed(list(zip(lattices, atoms, coords, strict=True))))
    assert found.by == "structure"
    assert "200 of 230 crystals have the composition C" in found.sentence


def test_near_duplicates_alone_are_not_grouped(caplog):
    table = packed([(np.eye(3) * 4.1, [55, 17], BODY_CENTRED)] * 30)
    found = choose_grouping(table)
    assert found.by == "none"
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "all 30 crystals have the composition ClCs" in caplog.text
    assert random_split(table, seed=0).sizes == (24, 3, 3)


def test_few_compositions_of_one_structure_each_keep_them_together():
    table = packed(
        [(np.eye(3) * 4.1, [3 + k % 12, 17], BODY_CENTRED) for k in range(120)],
    )
    assert choose_grouping(table).by == "formula"
    assert choose_grouping(table, fewest=13).by == "none"


def test_columns(tmp_path):
    table = allotropes()
    assert partition(group_labels(table, "batch")) == partition(np.arange(200) // 20)
    assert not torn(table, "batch", kfold(table, k=3, seed=0, group_by="batch"))
    table.to_parquet(tmp_path / "t.parquet")
    read = read_grouped(tmp_path / "t.parquet", ["energy"], "batch")
    assert list(read.values) == ["energy", "batch"]
    assert list(read_grouped(read, ["energy"], "auto").values) == ["energy"]
    assert list(read_grouped(read, ["batch"], "batch").values) == ["batch"]


def test_columns_of_texts(tmp_path):
    folder = write_folder(tmp_path / "salts", header="id,gap,snapshot")
    path = folder / "id_prop.csv"
    header, *lines = path.read_text().splitlines()
    lines = [f"{line},run {number // 6}" for number, line in enumerate(lines)]
    path.write_text("\n".join([header, *lines]) + "\n")
    table = read_grouped(folder, ["gap"], "snapshot")
    assert list(table.values) == ["gap"]
    assert Counter(group_labels(table, "snapshot")) == {f"run {k}": 6 for k in range(5)}
    read_table(folder).to_parquet(tmp_path / "t.parquet")
    again = read_grouped(tmp_path / "t.parquet", ["gap"], "snapshot")
    order = again.rows_of(table.ids)
    assert again.select(order).texts["snapshot"].tolist() == table.texts["snapshot"].tolist()
    assert not torn(again, "snapshot", [random_split(again, seed=0, group_by="snapshot")])
    assert not read_grouped(folder, ["gap"], "auto").texts
    path.write_text("\n".join([header, *lines[:-1], lines[-1].replace("run 4", "")]) + "\n")
    with pytest.raises(InputError, match="1 of 30 crystals have no value in the column 'snapshot'"):
        group_labels(read_grouped(folder, ["gap"], "snapshot"), "snapshot")
    with pytest.raises(InputError, match="'snapshot' holds text such as 'run 0'"):
        read_table(folder, target="snapshot")


def test_missing_values_of_a_column_are_refused(many):
    with pytest.raises(InputError, match=r"5 of 100 crystals have no value in the column 'gap'"):
        random_split(many, seed=0, group_by="gap")


@pytest.mark.parametrize(
    ("by", "near"), [("formla", "formula"), ("structur", "structure"), ("gpa", "gap")]
)
def test_unknown_groupings_are_refused(many, by, near):
    with pytest.raises(InputError, match=rf"'{by}'.*--group-by.*prototype.*Did you mean '{near}'"):
        group_labels(many, by)
    with pytest.raises(InputError, match=f"Did you mean '{near}'"):
        read_grouped(many, ["gap"], by)


def test_validation_rows_of_matbench(many, tmp_path):
    many = many.select(np.arange(50))
    for by in ("formula", "none"):
        assert {one.grouped_by for one in matbench_folds(many, group_by=by)} == {by}
    made = split(many, tmp_path / "s.json", method="matbench", group_by="none")
    assert made == matbench_folds(many, group_by="none") != matbench_folds(many)


@pytest.mark.shared
def test_groups_of_carbon_are_alike_inside_and_not_across(shared):
    table = read_table(shared / "datasets" / "cdvae" / "carbon.parquet")
    found = choose_grouping(table)
    sizes = Counter(found.labels)
    assert found.by == "structure"
    assert len(sizes) > 500
    assert max(sizes.values()) < len(table) / 5
    energies = table.values["energy_per_atom"]
    points = np.stack([fingerprint(table, row) for row in range(len(table))])
    distances = cdist(points, points, "chebyshev")
    np.fill_diagonal(distances, np.inf)
    labels = np.array(found.labels)
    same = labels[:, None] == labels
    across = np.where(same, np.inf, distances)
    assert across.min() > TOLERANCE
    others = same.sum(axis=1) > 1
    inside = np.where(same, distances, np.inf)[others].argmin(axis=1)
    of_near = np.abs(energies[others] - energies[inside]).mean()
    of_far = np.abs(energies - energies[across.argmin(axis=1)]).mean()
    assert 4 * of_near < of_far
