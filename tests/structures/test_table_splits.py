"""Splits: disjoint, covering, grouped, repeatable, and as published."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from epitaxy.core.errors import InputError
from epitaxy.structures.reading import read_table
from epitaxy.structures.splits import (
    Split,
    kfold,
    matbench_folds,
    random_split,
    resolve_split,
    split,
)
from epitaxy.structures.table import Dropped, StructureTable


def table_of(formulas):
    n = len(formulas)
    return StructureTable.from_arrays(
        ids=[f"x{i}" for i in range(n)],
        lattices=[np.eye(3) * 4] * n,
        atomic_numbers=[[z] for z in formulas],
        frac_coords=[[[0, 0, 0]]] * n,
    )


def all_ids(one):
    return [*one.train, *one.val, *one.test]


def straddling(table, one):
    """Formulas that stand in more than one part."""
    parts = {p: {table.formulas[r] for r in table.rows_of(getattr(one, p))}
             for p in ("train", "val", "test")}  # fmt: skip
    return (parts["train"] & parts["val"]) | (parts["test"] & (parts["train"] | parts["val"]))


@example(formulas=[1] * 18 + [2, 3], seed=0, by="formula")
@settings(max_examples=60, deadline=None)
@given(
    formulas=st.lists(st.integers(1, 40), min_size=20, max_size=80),
    seed=st.integers(0, 9),
    by=st.sampled_from(["formula", "none"]),
)
def test_random_split_is_disjoint_covers_and_repeats(formulas, seed, by):
    table = table_of(formulas)
    if by == "formula" and len(set(formulas)) < 3:
        with pytest.raises(InputError, match=r"compositions .*--group-by none"):
            random_split(table, seed=seed, group_by=by)
        return
    one = random_split(table, seed=seed, group_by=by)
    assert sorted(all_ids(one)) == sorted(table.ids)
    assert one == random_split(table, seed=seed, group_by=by)
    assert one.grouped_by == by
    if by == "formula":
        assert not straddling(table, one)
    else:
        n = len(formulas)
        assert len(one.test) == max(1, round(n / 10))


@settings(max_examples=30, deadline=None)
@given(
    formulas=st.lists(st.integers(1, 30), min_size=30, max_size=80),
    seed=st.integers(0, 9),
    k=st.integers(2, 5),
)
def test_folds_cover_the_table_once(formulas, seed, k):
    table = table_of(formulas)
    if len(set(formulas)) < k + 2:
        return
    sizes = sorted(formulas.count(formula) for formula in set(formulas))
    if k == 2 and sum(sizes[1:-1]) < sizes[-1]:
        # One composition alone makes a fold, so that nothing is left for val beside it.
        with pytest.raises(InputError, match=r"alone \(\d+ rows\), too little for train and val"):
            kfold(table, k=k, seed=seed, group_by="formula")
        return
    folds = kfold(table, k=k, seed=seed, group_by="formula")
    assert sorted(i for f in folds for i in f.test) == sorted(table.ids)
    for fold in folds:
        assert sorted(all_ids(fold)) == sorted(table.ids)
        assert not straddling(table, fold)
    assert folds == kfold(table, k=k, seed=seed, group_by="formula")


def test_seeds_differ(many):
    assert random_split(many, seed=0) != random_split(many, seed=1)
    assert kfold(many, k=3, seed=0) != kfold(many, k=3, seed=1)


def test_fraction_zero_makes_no_test(many):
    one = random_split(many, seed=0, fractions=(0.9, 0.1, 0))
    assert one.test == ()
    assert one.allow_empty_test


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.9, 0.2, 0.1), (1.2, -0.1, -0.1)])
def test_bad_fractions_are_refused(many, fractions):
    with pytest.raises(InputError, match="must be three numbers from 0 to 1 that add up to 1"):
        random_split(many, seed=0, fractions=fractions)


def test_impossible_splits_are_refused(many):
    with pytest.raises(InputError, match=r"train part would be empty: 2 rows"):
        random_split(table_of([1, 2]), seed=0)
    with pytest.raises(InputError, match="--group-by none"):
        random_split(table_of([1] * 50), seed=0, group_by="formula")
    with pytest.raises(InputError, match="val part of the split is empty"):
        random_split(many, seed=0, fractions=(0.9, 0, 0.1))
    with pytest.raises(InputError, match="5 folds of 3 rows are not possible; take 2 to 3"):
        kfold(table_of([1, 2, 3]), k=5, seed=0, group_by="none")
    with pytest.raises(InputError, match="2 folds of 1 compositions"):
        kfold(table_of([1] * 9), k=2, seed=0, group_by="formula")


def test_split_validates_itself(many):
    with pytest.raises(InputError, match="train part of the split is empty"):
        Split((), ("a",), ("b",))
    with pytest.raises(InputError, match="test part of the split is empty"):
        Split(("a",), ("b",))
    with pytest.raises(InputError, match="1 ids stand twice in the split, 'a' first"):
        Split(("a",), ("b",), ("a",))
    with pytest.raises(InputError, match="Did you mean 'm1'"):
        Split(("m1",), ("m2",), ("mm1",)).check(many)


def test_split_round_trips_as_json(tmp_path, many):
    for one in (random_split(many, seed=3), Split(("m1",), ("m2",), allow_empty_test=True)):
        one.to_json(tmp_path / "s.json")
        assert Split.from_json(tmp_path / "s.json") == one
        assert resolve_split(tmp_path / "s.json", many, seed=0) == one
        assert resolve_split(one.as_dict(), many, seed=0) == one
        assert resolve_split(one, many, seed=0) == one
    (tmp_path / "s.json").write_text('{"train": ["a"], "valid": ["b"]}')
    with pytest.raises(InputError, match="has the keys train, valid; it needs train, val"):
        Split.from_json(tmp_path / "s.json")


def test_random_specifications(many):
    assert resolve_split("random", many, seed=4) == random_split(many, seed=4)
    assert resolve_split("random:7", many, seed=4) == random_split(many, seed=7)
    with pytest.raises(InputError, match="seed in 'random:x' must be a whole number"):
        resolve_split("random:x", many, seed=0)


def test_named_splits_rows_and_lists(tmp_path, many):
    path = tmp_path / "s.json"
    rows = {"seed0": {"train": [5, 6], "val": [7], "test": [8, 9]},
            "trials": {"1": {"10": list(range(20, 30))}}, "test": [3, 4], "note": "x",
            "overlapping": [3, *range(60, 79)]}  # fmt: skip
    path.write_text(json.dumps(rows))
    selected = many.select(range(1, 100))
    assert resolve_split(f"{path}:seed0", selected, seed=0).train == ("m5", "m6")
    one = resolve_split(f"{path}:trials/1/10", many, seed=0)
    assert one.train == tuple(f"m{i}" for i in range(20, 29))
    assert one.val == ("m29",)
    assert one.test == ("m3", "m4")
    assert resolve_split(f"{path}:overlapping", many, seed=0).sizes == (18, 2, 0)


def test_missing_val_is_drawn_from_train(many):
    spec = {"train": list(many.ids[:80]), "test": list(many.ids[80:])}
    one = resolve_split(spec, many, seed=0)
    assert sorted(one.train + one.val) == sorted(spec["train"])
    assert one.val == resolve_split(spec, many, seed=0).val


def test_dropped_ids_are_left_out(many, caplog):
    some = many.select(range(50)).with_dropped([Dropped("m77", "bad")])
    one = resolve_split({"train": ["m1", "m77"], "val": ["m2"]}, some, seed=0)
    assert one.train == ("m1",)
    assert "1 ids of the split were dropped" in caplog.text
    assert resolve_split({"train": [1, 77], "val": [2]}, some, seed=0).train == ("m1",)


@pytest.mark.parametrize(
    ("key", "match"),
    [
        ("", "no 'train' at its top; choose one of its keys as FILE:KEY, they are: seed0, list"),
        (":seed9", r"has no 'seed9': at 'seed9' it has seed0, list"),
        (":seed0/train/x", "no further keys"),
        (":list", "rows of the split are not in the table, row 1000 first"),
        (":texts", "Did you mean 'm1'"),
        (":number", "must be a dictionary with train"),
        (":word", "must be a list of ids or row numbers"),
    ],
)
def test_bad_split_files_are_refused(tmp_path, many, key, match):
    content = {"seed0": {"train": [1], "val": [2], "test": [3]}, "list": [1000, 1001],
               "texts": ["mm1", "m2"], "number": 3,
               "word": {"train": "m1", "val": ["m2"]}}  # fmt: skip
    (tmp_path / "s.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=match):
        resolve_split(f"{tmp_path / 's.json'}{key}", many, seed=0)


def test_unreadable_split_files_are_refused(tmp_path, many):
    with pytest.raises(InputError, match="neither an existing JSON file"):
        resolve_split("nothing.json", many, seed=0)
    (tmp_path / "s.json").write_text("[1]")
    with pytest.raises(InputError, match="holds a list"):
        resolve_split(tmp_path / "s.json", many, seed=0)
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(InputError, match="Could not read the split file"):
        resolve_split(tmp_path / "s.json", many, seed=0)


def test_matbench_folds_are_the_official_ones(many):
    folds = matbench_folds(many)
    official = KFold(5, shuffle=True, random_state=18012019).split(range(100))
    for fold, (train, test) in zip(folds, official, strict=True):
        assert set(fold.test) == set(many.ids[test])
        assert set(fold.train + fold.val) == set(many.ids[train])


def test_matbench_folds_of_an_incomplete_table(many):
    some = many.select([i for i in range(100) if i != 30])
    with pytest.raises(InputError, match=r"99 rows with numbers up to 99.*give n_rows"):
        matbench_folds(some)
    whole = matbench_folds(many)
    for fold, complete in zip(matbench_folds(some, n_rows=100), whole, strict=True):
        assert set(fold.test) == set(complete.test) - {"m30"}


def test_split_writes_what_resolve_split_reads(tmp_path, many):
    for method in ("kfold", "matbench"):
        made = split(many, tmp_path / "s.json", method=method)
        assert len(made) == 5
        assert resolve_split(f"{tmp_path / 's.json'}:fold3", many, seed=0) == made[3]
    with pytest.raises(InputError, match="Unknown split method 'x'"):
        split(many, tmp_path / "s.json", method="x")


@pytest.mark.shared
def test_published_splits_of_chang(shared):
    folder = shared / "datasets" / "chang2022"
    for path in sorted(folder.glob("*.parquet")):
        table = read_table(path)
        file = path.with_name(f"{path.stem}.splits.json")
        published = json.loads(file.read_text())["seed0"]
        one = resolve_split(f"{file}:seed0", table, seed=0)
        assert one.sizes == tuple(len(published[p]) for p in ("train", "val", "test"))
        assert table.row_numbers[table.rows_of(one.test)].tolist() == published["test"]


@pytest.mark.shared
def test_published_splits_of_devi(shared):
    folder = shared / "datasets" / "devi2024"
    for name in ("bg", "fe", "pz", "ebg"):
        table = read_table(folder / f"{name}.parquet", target="target")
        file = folder / f"{name}.splits.json"
        published = json.loads(file.read_text())
        one = resolve_split(f"{file}:trials/1/800", table, seed=0)
        assert one.sizes == (720, 80, len(published["test"]))
        rows = table.row_numbers[table.rows_of(one.train + one.val)].tolist()
        assert rows == published["trials"]["1"]["800"]
    assert resolve_split(
        str(folder / "jarvis_2d.splits.json"), read_table(folder / "jarvis_2d.parquet"), seed=0
    ).sizes == (894, 99, 110)
