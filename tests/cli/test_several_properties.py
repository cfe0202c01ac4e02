"""From tables to a model of several properties and back to one, by commands alone."""

import json

import numpy as np
import pytest

from epitaxy.core.properties import PropertySpec
from epitaxy.structures.reading import read_table
from salts import IDS, in_memory


@pytest.fixture
def tables(tmp_path):
    """Write one table of gaps and one of another property of two thirds of the same crystals."""
    gaps = in_memory()
    shear = PropertySpec(name="shear", unit="GPa")
    other = gaps.select(np.arange(0, 30, 2)).with_property(shear, np.linspace(1, 5, 15))
    gaps.to_parquet(tmp_path / "gaps.parquet")
    read_table(other, target="shear").to_parquet(tmp_path / "shear.parquet")
    (tmp_path / "splits.json").write_text(json.dumps({"test": IDS[:6]}))
    return tmp_path


def test_from_tables_to_a_fine_tuned_model(epitaxy, tables):
    def run(*arguments):
        result = epitaxy(*arguments)
        assert result.code == 0, result.err
        return result.out

    run("data", "merge", "gaps.parquet", "shear.parquet", "--out", "all.parquet")
    joined = read_table(tables / "all.parquet")
    assert set(joined.properties) == {"gap", "shear"}
    assert len(joined) == len(IDS)
    chosen = ("--rows", "splits.json:test")
    assert "6 crystals" in run("data", "select", "gaps.parquet", "test.parquet", *chosen)
    short = ("--epochs", "2")
    out = run(
        *("train", "all.parquet", "--target", "*", "--exclude-like", "test.parquet"),
        *("--set", "balance=uncertainty", "--out", "several", *short),
    )
    assert "shear" in out
    assert "gap" in out
    dropped = (tables / "several" / "dropped.csv").read_text()
    assert dropped.count("excluded as a material of test.parquet") == 6
    out = run(
        *("finetune", "gaps.parquet", "--target", "gap", "--from", "several", "--out", "one"),
        *short,
    )
    assert "gap: MAE" in out
    assert "128-128" in (tables / "one" / "config.yaml").read_text()
    out = run("finetune", "--from", "several", "--strategy", "head+inherit-head", "--show-plan")
    assert "head-output" in out


def test_words_for_what_cannot_be(epitaxy, tables):
    for arguments, words in (
        (("--target", "*", "--exclude-property", "gapp"), "Did you mean 'gap'"),
        (("--target", "*", "--exclude-rows", "none.txt"), "There is no file 'none.txt' with ids"),
        (("--target", "gap", "--exclude-like", "none.parquet"), "no file or folder 'none.parquet'"),
        (("--target", "gap", "--set", "balance=properties"), "'balance' weighs several properties"),
    ):
        result = epitaxy("train", "gaps.parquet", *arguments, "--out", "run")
        assert words in result.sentence
