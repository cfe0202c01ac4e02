"""What is said of a data set before anything is learned."""

import json
import time

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.distribution import (
    BINS,
    find_extremes,
    histogram,
    propose_transform,
    skewness,
)
from epitaxy.structures.info import data_info
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import Dropped, StructureTable
from epitaxy.structures.understanding import understand
from salts import GAPS, IDS, cif, in_memory, write_folder


def line(summary, word):
    """Return the text of the line that begins with a word."""
    found = [text for text in summary.lines() if text.split()[0] == word]
    assert len(found) == 1, found
    return found[0].removeprefix(word).strip()


def with_values(values, unit=""):
    """Return the salts with another column."""
    return in_memory().with_property(PropertySpec(name="y", unit=unit), values)


def test_a_folder_is_matched_both_ways(tmp_path):
    folder = write_folder(tmp_path / "data", gaps={"salt-07": "", "salt-08": "n/a"})
    (folder / "salt-03.cif").rename(folder / "salt-33.cif")
    (folder / "salt-04.cif").write_text("nothing")
    summary = understand(read_table(folder, target="gap"), "gap")
    assert summary.without_structure == ("salt-03",)
    assert summary.without_row == ("salt-33",)
    assert [d.id for d in summary.unusable] == ["salt-04"]
    assert (summary.n_crystals, summary.n_missing, summary.values.n) == (28, 2, 26)
    known = [g for i, g in GAPS.items() if i not in {"salt-03", "salt-04", "salt-07", "salt-08"}]
    assert summary.values.mean == pytest.approx(np.mean(known))
    assert summary.values.std == pytest.approx(np.std(known, ddof=1))
    assert line(summary, "crystals").startswith(
        "28 read; 1 rows without a structure (salt-03); 1 structures without a row (salt-33); "
        "1 not usable (salt-04: "
    )
    assert "26 values, 2 missing and left out" in line(summary, "target")


def test_ids_are_found_again_after_conversion(tmp_path):
    folder = write_folder(tmp_path / "data")
    (folder / "salt-03.cif").rename(folder / "salt-33.cif")
    read_table(folder).to_parquet(tmp_path / "data.parquet")
    assert understand(read_table(tmp_path / "data.parquet"), "gap").without_row == ("salt-33",)


def test_repeated_structures_and_formulas():
    """Rows 0 and 30 are one structure in another setting; row 31 is a denser row 1."""
    table = in_memory()
    rows = [*range(30), 0, 1]
    lattices = table.lattices[rows]
    lattices[31] *= 0.9
    coords = [table.frac_coords[2 * r : 2 * r + 2] for r in rows]
    coords[30] = coords[30] + np.array([1.0, -2.0, 0.0])
    made = StructureTable.from_arrays(
        ids=[*IDS, "again", "dense"],
        lattices=lattices,
        atomic_numbers=[table.atomic_numbers[2 * r : 2 * r + 2] for r in rows],
        frac_coords=coords,
        values={"gap": [*GAPS.values(), GAPS["salt-00"] + 0.25, 1.0]},
    )
    summary = understand(made, "gap")
    assert [set(ids) for ids in summary.repeats.structures] == [{"salt-00", "again"}]
    assert summary.repeats.largest_difference == pytest.approx(0.25)
    assert (summary.repeats.n_formulas, summary.repeats.n_sharing_formula) == (30, 4)
    assert "1 structure in 2 rows, values up to 0.25 apart" in line(summary, "repeats")
    assert summary.as_dict()["largest_difference"] == pytest.approx(0.25)


def test_elements_and_sizes():
    summary = understand(in_memory(ids=IDS[:7]), "gap")
    assert summary.elements == {"Li": 5, "F": 2, "Cl": 2, "Na": 2, "O": 1, "Br": 1, "I": 1}
    assert summary.atoms_per_cell == (2, 2.0, 2)
    shown = line(summary, "elements")
    assert shown == "7, most often Li, F, Na, Cl, O; in one crystal only: O, Br, I"
    assert set(data_info(in_memory(ids=IDS[:7])).elements) == set(summary.elements)


@pytest.mark.parametrize(
    ("values", "transform", "words"),
    [
        (np.linspace(1, 2, 30), "identity", "below 2"),
        (np.exp(np.linspace(0, 7, 30)), "log", "positive and span 3.0 decades"),
        (-np.exp(np.linspace(0, 7, 30)), "identity", "below 2"),
        (np.exp(np.linspace(0, 7, 30)) - 500, "identity", "there are negative values"),
        (np.exp(np.linspace(0, 7, 30)) - 1, "log1p", "no value is negative"),
        # Skewed, but with a tail towards small values on the scale of the logarithm.
        (np.array([1e-3, *[10.0] * 27, 200.0, 300.0]), "log1p", "no value is negative"),
        (np.array([100.0, *[1e7] * 28, 9e7]), "identity", "does not make it smaller"),
        (np.append(np.zeros(29), 1e-6), "identity", "does not make it smaller"),
        (np.full(30, 3.3), "identity", "skewness 0.0"),
    ],
)
def test_proposed_transform(values, transform, words):
    proposal = propose_transform(values)
    assert proposal.transform == transform
    assert words in proposal.reason
    summary = understand(with_values(values), "y")
    assert line(summary, "transform").startswith(f"{transform}: ")


def test_a_proposed_transform_is_defined_for_all_values():
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = rng.normal(size=40) * rng.uniform(0, 2) + rng.choice([0, 1, 3])
        values = rng.choice([values, values**2, np.exp(3 * values), -np.exp(values)])
        transform = propose_transform(values).transform
        with np.errstate(all="raise"):
            {"log": np.log, "log1p": np.log1p}.get(transform, np.asarray)(values)
        drawn = histogram(values, transform)
        assert len(drawn) == BINS
        assert drawn[0] != " "
        assert drawn[-1] != " "


def test_skewness_is_that_of_scipy():
    from scipy.stats import skew

    values = np.random.default_rng(1).lognormal(size=50)
    assert skewness(values) == pytest.approx(skew(values))


def test_extreme_values_are_named_and_codes_recognised():
    values = np.linspace(1, 2, 30)
    values[[3, 9, 20]] = -999
    values[7] = 60
    summary = understand(with_values(values, "eV"), "y")
    assert [name for name, _ in summary.values.extremes] == [
        "salt-03",
        "salt-09",
        "salt-20",
        "salt-07",
    ]
    assert summary.values.placeholders == (-999.0,)
    text = line(summary, "extremes")
    assert text.startswith("4 far from all others (salt-03: -999, salt-09: -999, salt-20: -999, ")
    assert "does -999 stand for 'not known'" in text


def test_extremes_are_judged_on_the_scale_of_learning():
    values = np.geomspace(1, 1e4, 50)
    assert find_extremes(values).rows
    assert not find_extremes(values, "log").rows


def test_many_equal_values_are_no_outliers_but_said():
    values = np.append(np.zeros(20), np.linspace(0.1, 5, 10))
    summary = understand(with_values(values), "y")
    assert not summary.values.extremes
    assert "67% are 0" in line(summary, "target")
    assert "% are" not in line(understand(with_values(np.arange(30.0)), "y"), "target")
    assert not find_extremes(np.append(np.zeros(99), 1.0)).rows


def test_the_summary_is_short_and_can_be_written(tmp_path):
    table = in_memory(gaps={"salt-01": np.nan}).with_dropped(
        [Dropped(f"bad-{n}", "no cell") for n in range(500)]
    )
    summary = understand(table, "gap")
    assert len(summary.lines()) <= 8
    assert max(map(len, summary.lines())) < 200
    assert "500 not usable (bad-0: no cell, bad-1: no cell, bad-2: no cell, and 497 more)" in (
        line(summary, "crystals")
    )
    read = json.loads(json.dumps(summary.as_dict(), allow_nan=False))
    assert len(read["unusable"]) == 500
    assert read["largest_difference"] is None
    assert read["values"]["n"] == 29


def test_one_value_is_enough():
    values = np.full(30, np.nan)
    values[4] = 2.0
    summary = understand(with_values(values), "y")
    assert (summary.values.n, summary.values.std, summary.transform) == (1, 0.0, "identity")
    assert summary.lines()


def test_a_third_of_codes_is_recognised_and_zeros_are_none():
    values = np.append(np.linspace(1, 2, 20), np.full(10, 9999.0))
    assert find_extremes(values).placeholders == (9999.0,)
    assert not find_extremes(np.append(np.linspace(0.1, 5, 20), np.zeros(10))).placeholders


def test_nothing_to_understand():
    with pytest.raises(InputError, match=r"has no property 'gpa'.*Did you mean 'gap'"):
        understand(in_memory(), "gpa")
    with pytest.raises(InputError, match="no usable value in any of 30 rows"):
        understand(with_values(np.full(30, np.nan)), "y")
    with pytest.raises(InputError, match="0 crystals"):
        understand(in_memory().select([]), "gap")


def test_ten_thousand_crystals_take_seconds():
    rng = np.random.default_rng(0)
    n = 10_000
    table = StructureTable.from_arrays(
        ids=[f"c{i}" for i in range(n)],
        lattices=np.eye(3) * rng.uniform(3, 9, (n, 1, 1)),
        atomic_numbers=rng.integers(1, 12, (n, 8)),
        frac_coords=rng.uniform(size=(n, 8, 3)),
        values={"y": rng.lognormal(size=n)},
    )
    start = time.perf_counter()
    understand(table, "y")
    assert time.perf_counter() - start < 5


def test_command_line(tmp_path, capsys):
    from epitaxy.cli.main import main

    folder = write_folder(tmp_path / "data")
    (folder / "extra.cif").write_text(cif("salt-00"))
    with pytest.raises(SystemExit) as end:
        main(["--quiet", "data", "info", str(folder), "--target", "gap"])
    shown = capsys.readouterr()
    assert end.value.code == 0, shown.err
    assert "1 structures without a row (extra)" in shown.out
    assert "gap: 30 values" in shown.out
