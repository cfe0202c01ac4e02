"""Results known from statements of a paper, rounded numbers, and those of Hoffmann 2023."""

import csv

import numpy as np
import pandas as pd
import pytest

from epitaxy.core.errors import InputError
from epitaxy.results.scaling_frames import scaling_frames
from epitaxy.results.scaling_table import scaling_table


def table(rows, *, columns=("strategy", "target_size", "mae")):
    return pd.DataFrame(rows, columns=list(columns)).astype(str)


def test_an_error_of_another_line():
    found = scaling_table(
        table(
            [
                ("none", 100, 4),
                ("none", 1600, "=full@100"),
                ("full", 100, 2),
                ("full", 6400, "= none"),
            ]
        )
    )
    # none: 4 -> 2 over a factor of 16, alpha 1/4, hence 4 / 64^(1/4) at 6,400.
    assert found.rows["error"].to_numpy() == pytest.approx([4, 2, 2, 4 / 64**0.25])
    between = scaling_table(
        table([("none", 100, 4), ("none", "10k", 1), ("full", 50, "=none@1k"), ("full", 100, 1)])
    )
    assert between.rows["error"].iloc[2] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("=ful", "Unknown line 'ful'.*Did you mean 'full'"),
        ("=full@many", "neither a number nor a reference"),
        ("=full@300", "cannot be worked out"),
        ("=none", "cannot be worked out"),
    ],
)
def test_wrong_references(text, words):
    with pytest.raises(InputError, match=words):
        scaling_table(table([("none", 100, 4), ("none", 200, text), ("full", 100, 2)]))


def test_rounding_leaves_a_range_and_no_rounding_none():
    rows = [("none", 100, 4, 0), ("none", 10000, 2, 0), ("full", 100, 2, 1), ("full", 10000, 1, 1)]
    columns = ("strategy", "target_size", "mae", "mae_step")
    found = scaling_frames(scaling_table(table(rows, columns=columns))).lines.set_index("line")
    exact, rounded = found.loc["none"], found.loc["full"]
    assert exact["rounding_low"] == exact["rounding_high"] == pytest.approx(exact["alpha"])
    assert rounded["rounding_low"] < rounded["alpha"] < rounded["rounding_high"]
    # 2.5 / 0.5 and 1.5 / 1.5 over a factor of 100 are the widest that rounding allows.
    widest = np.log([1.5 / 1.5, 2.5 / 0.5]) / np.log(100)
    assert widest[0] < rounded["rounding_low"] < rounded["rounding_high"] < widest[1]
    plain = scaling_frames(scaling_table(table([row[:3] for row in rows]))).lines
    assert "rounding_low" not in plain


@pytest.fixture(scope="module")
def published(shared):
    path = shared / "specs" / "hoffmann2023_published_results.csv"
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def statements(published, task, functional):
    """What the paper says about one property and functional, as rows of a table."""
    mine = [
        row
        for row in published
        if (row["target_property"], row["target_functional"]) == (task, functional)
        and row["status"] != "derived"
    ]
    name = f"{task} {functional}"
    rows = [
        (name, row["protocol"], "180k", row["value"], 1, 0, row["unit"])
        for row in mine
        if row["source"] == "Table 1" and row["protocol"] in {"no_transfer", "full_transfer"}
    ]
    unit = rows[0][-1]
    for row in mine:
        if row["kind"] != "extrapolation":
            continue
        if row["protocol"] == "no_transfer":
            size = f"{row['value']}k"
            rows.append((name, "no_transfer", size, "=full_transfer@180k", 0, 1000, unit))
        else:
            rows.append((name, "full_transfer", f"{row['value']}M", "=no_transfer", 0, 1e5, unit))
    return rows


@pytest.fixture(scope="module")
def lines(published):
    rows = [
        row
        for task in ("e_above_hull", "e_form")
        for functional in ("SCAN", "PBEsol")
        for row in statements(published, task, functional)
    ]
    names = ("property", "strategy", "target_size", "mae", "mae_step", "size_step", "unit")
    return scaling_frames(scaling_table(table(rows, columns=names)))


@pytest.mark.shared
def test_slopes_and_ranges_of_hoffmann_2023(published, lines):
    """The note of a derived slope ends in its range, for example "range 0.255 to 0.305"."""
    found = lines.lines.set_index("line")
    derived = [row for row in published if "log-log slope" in row["metric"]]
    assert len(derived) == 8
    for row in derived:
        name = f"{row['target_property']} {row['target_functional']}, {row['protocol']}"
        words = row["note"].split(";")[0].split()
        low, high = float(words[-3]), float(words[-1])
        assert found.loc[name, "alpha"] == pytest.approx(float(row["value"]), abs=6e-4)
        ends = found.loc[name, ["rounding_low", "rounding_high"]].tolist()
        assert ends == pytest.approx([low, high], abs=0.004)


@pytest.mark.shared
def test_equivalences_of_hoffmann_2023(published, lines):
    worth = lines.worth.set_index(["line", "size"])
    crossings = lines.crossings.set_index("line")
    for row in published:
        if row["kind"] != "extrapolation":
            continue
        name = f"{row['target_property']} {row['target_functional']}, full_transfer"
        if row["protocol"] == "no_transfer":
            equal = worth.loc[(name, 180000), "scratch_size"]
            assert equal == pytest.approx(1e3 * float(row["value"]))
        else:
            assert crossings.loc[name, "size"] == pytest.approx(1e6 * float(row["value"]))
    for row in published:
        if row["metric"] == "MAE where the two lines cross":
            name = f"{row['target_property']} {row['target_functional']}, full_transfer"
            assert crossings.loc[name, "error"] == pytest.approx(float(row["value"]), abs=1e-3)
