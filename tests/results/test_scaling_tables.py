"""Tables of results: columns, baseline, what is left out, and what lines answer."""

import numpy as np
import pandas as pd
import pytest

from epitaxy.core.errors import InputError
from epitaxy.results.scaling_answers import signed, transfers, wanted_frame, worth_frame
from epitaxy.results.scaling_frames import scaling_frames
from epitaxy.results.scaling_lines import fit_lines, fit_surfaces
from epitaxy.results.scaling_table import scaling_table

SIZES = (50, 100, 200, 400, 800)


def law(scale, alpha, n, seed=0, scatter=0.02):
    noise = scatter * np.random.default_rng(seed + n).standard_normal()
    return float(scale * n**-alpha * np.exp(noise))


def frame(*, seeds=3, sizes=SIZES, **more):
    rows = [
        {"strategy": name, "target_size": n, "seed": s, "mae": law(scale, alpha, n, s), **more}
        for name, scale, alpha in (("scratch", 8, 0.5), ("full", 3, 0.4))
        for n in sizes
        for s in range(seeds)
    ]
    return pd.DataFrame(rows)


def frames(data, **more):
    return scaling_frames(scaling_table(data), **more)


def test_names_of_columns_are_found_or_given():
    plain = scaling_table(frame(unit="eV"))
    assert plain.error_name == "mae"
    assert plain.conditions == ("strategy",)
    named = {"target_size": "n", "error": "e", "seed": "draw", "strategy": "how"}
    other = frame(unit="eV").rename(columns={"strategy": "how", "target_size": "n", "mae": "e"})
    given = scaling_table(other.rename(columns={"seed": "draw"}), columns=named)
    assert given.rows["error"].tolist() == plain.rows["error"].tolist()
    # Another name for a size is known as well.
    assert scaling_table(frame().rename(columns={"target_size": "n_train"})).rows.shape[0] == 30


@pytest.mark.parametrize("text", ["5000", "5k", " 5K", "0.005M", 5000, 5e3])
def test_sizes_with_suffixes(text):
    data = pd.DataFrame({"size": [text, 10], "mae": ["0.1", 0.2]})
    assert scaling_table(data).rows["target_size"].tolist() == [5000, 10]


def test_the_baseline_is_recognised_or_named():
    for word in ("scratch", "none", "No_Transfer", "from scratch"):
        data = frame().replace({"strategy": {"scratch": word}})
        assert scaling_table(data).rows["baseline"].sum() == 15
    data = frame().replace({"strategy": {"scratch": "zero"}})
    assert not scaling_table(data).rows["baseline"].any()
    assert scaling_table(data, baseline=("strategy", "zero")).rows["baseline"].sum() == 15
    assert "No line from scratch was found" in frames(data).notes[-1]


def test_rows_that_are_kept():
    both = pd.concat([frame(), frame()[15:].assign(strategy="head")])
    found = scaling_table(both, where={"strategy": ["head", "scratch"]})
    assert set(found.rows["strategy"]) == {"head", "scratch"}


@pytest.mark.parametrize(
    ("change", "more", "words"),
    [
        ({"target_size": 0}, {}, "target_size of row 1 is 0, which has no place on a logarithmic"),
        ({"target_size": -3}, {}, "is -3, which has no place"),
        ({"target_size": np.nan}, {}, "target_size of row 1 is nan"),
        ({"target_size": "many"}, {}, "'many' in column 'target_size' .row 1. is not a number"),
        ({"mae": 0}, {}, "The mae of row 1 is 0, which has no place"),
        ({"mae": -1}, {}, "The mae of row 1 is -1"),
        ({"mae": "n/a"}, {}, "'n/a' in column 'mae' .row 1. is not a number; give plain numbers."),
        ({"mae": "5k"}, {}, "'5k' in column 'mae'"),
        ({"unit": "meV"}, {}, "different units .'meV' and 'eV'.; convert them to one"),
        ({"seed": 1}, {}, "Row 2 repeats seed '1' at 50 rows"),
        ({}, {"columns": {"target_size": "nn"}}, "Unknown column 'nn'"),
        ({}, {"columns": {"sise": "n"}}, "Unknown meaning of a column 'sise'"),
        ({}, {"by": ["rate"]}, "Unknown column 'rate'"),
        ({}, {"where": {"strategy": ["ful"]}}, "Unknown value of 'strategy' 'ful'.*'full'"),
        ({}, {"where": {"model": ["a"]}}, "Unknown column 'model'"),
        ({}, {"baseline": ("model", "a")}, "Unknown condition 'model'"),
        ({}, {"baseline": ("strategy", "a")}, "Unknown value of 'strategy' 'a'"),
    ],
)
def test_wrong_tables(change, more, words):
    data = frame(unit="eV").astype(object)
    for column, value in change.items():
        data.loc[0, column] = value
    with pytest.raises(InputError, match=words) as caught:
        scaling_table(data, **more)
    assert str(caught.value).count(". ") <= 1


def test_tables_without_what_is_needed():
    with pytest.raises(InputError, match="No column has the target size"):
        scaling_table(pd.DataFrame({"mae": [1.0]}))
    with pytest.raises(InputError, match=r"No column has the error \(columns: size\)"):
        scaling_table(pd.DataFrame({"size": [1.0]}))
    with pytest.raises(InputError, match="has no row"):
        scaling_table(frame().iloc[:0])
    with pytest.raises(InputError, match="No row has a value of 'mae'"):
        scaling_table(frame().assign(mae=np.nan))
    with pytest.raises(InputError, match="No line can be fitted"):
        fit_lines(scaling_table(frame(sizes=(50,))))
    with pytest.raises(InputError, match="Unknown kind of interval 'boot'"):
        fit_lines(scaling_table(frame()), interval="boot")


def test_rows_without_an_error_are_counted_and_left_out():
    data = frame()
    data.loc[[3, 7], "mae"] = np.nan
    found = scaling_table(data)
    assert found.notes == ("2 of 30 rows have no mae and are left out (first: row 4).",)
    assert len(found.rows) == 28


def test_none_of_a_further_column_is_not_scratch():
    """Nothing frozen, no dropout: only sources, strategies and models mean training without one."""
    data = pd.concat([frame(frozen="none"), frame(frozen="all")])
    rows = scaling_table(data, by=["frozen"]).rows
    assert set(rows.loc[rows["baseline"], "strategy"]) == {"scratch"}
    assert set(rows.loc[~rows["baseline"], "frozen"]) == {"none", "all"}


def test_conditions_without_a_line_say_why():
    data = frame()
    alone = pd.DataFrame([{"strategy": "head", "target_size": 50, "seed": 0, "mae": 1.0}])
    apart = alone.assign(target_size=[100], source_size=[10], strategy="tail")
    apart = pd.concat([apart, apart.assign(target_size=200, source_size=20)])
    notes = frames(pd.concat([data, alone, apart])).notes
    assert notes == tuple(
        f"{start}, so there is no line; add a second size."
        for start in (
            "head: 50 target rows only",
            "tail: no two sizes with the same number of rows of the other kind",
        )
    )


@pytest.mark.parametrize("error", [0.0, -1.0, np.inf, np.nan])
def test_wanted_errors_that_are_none(error):
    with pytest.raises(InputError, match=r"wanted error .* is not allowed; give a number above 0"):
        frames(frame(), wanted=error)


def test_source_sizes_of_runs_from_scratch_do_not_count():
    data = frame(source_size=0)
    data.loc[data["strategy"] == "full", "source_size"] = 1000
    assert scaling_table(data).rows["source_size"].isna().sum() == 15
    data["source_size"] = 0
    with pytest.raises(InputError, match="The source_size of row 16 is 0"):
        scaling_table(data)


def test_a_run_from_scratch_that_a_study_lists_several_times_counts_once():
    one = frame(seeds=1)
    one["run"] = [f"r{n}" for n in range(len(one))]
    one["source"] = one["strategy"].replace({"full": "gap"})
    scratch = one[one["strategy"] == "scratch"]
    data = pd.concat([scratch.assign(strategy="full"), scratch.assign(strategy="head"), one[5:]])
    data = data.assign(role="run", property="gap")
    source = data.iloc[:1].assign(role="source:bulk")
    data = pd.concat([data, source])[
        ["run", "role", "source", "strategy", "target_size", "seed", "property", "mae"]
    ]
    found = scaling_table(data)
    assert len(found.rows) == 10
    assert set(found.rows.loc[found.rows["baseline"], "strategy"]) == {""}
    pairs = transfers(fit_lines(found)[0])
    assert [(a.label, b.label) for a, b in pairs] == [("scratch", "full")]


def test_axes_of_a_study_tell_lines_apart():
    data = pd.concat([frame().assign(width=w) for w in (64, 128)])
    data = data.assign(run="r", role="run", property="gap")
    columns = ["run", "role", "strategy", "width", "target_size", "seed", "property", "mae"]
    found = scaling_table(data[columns])
    assert found.conditions == ("strategy", "width")
    with pytest.raises(InputError, match="name the columns that tell these runs apart"):
        scaling_table(data[columns].drop(columns=["role", "run"]))
    named = scaling_table(data[columns].drop(columns=["role", "run"]), by=["width"])
    assert len(fit_lines(named)[0]) == 4


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (frame(sizes=(50, 100)), "two sizes only: any two points have a line"),
        (frame(seeds=1), "one seed per size"),
        (frame().drop(index=[0, 1]), "1 to 3 seeds per size; each size counts once all the same"),
        (frame(sizes=(50, 60, 70)), "sizes span a factor of 1.4 only"),
        (frame().assign(mae=lambda f: 1 / f["mae"]), "the error does not fall with the number"),
        (
            frame().assign(mae=lambda f: f["mae"] * 8 ** (np.log2(f["target_size"] / 50) % 2 > 0)),
            "the slope is not significant",
        ),
        (
            frame().assign(mae=lambda f: np.exp(-0.05 * np.log(f["target_size"]) ** 2)),
            "curved (p = ",
        ),
    ],
)
def test_what_a_reader_of_a_line_should_know(data, words):
    notes = frames(data).lines["notes"]
    assert notes.str.contains(words, regex=False).any()


def test_a_condition_with_one_size_is_named():
    data = pd.concat([frame(), frame(sizes=(400,))[3:].assign(strategy="head")])
    assert (
        "head: 400 target rows only, so there is no line; add a second size." in frames(data).notes
    )


def test_rows_for_a_wanted_error():
    found = frames(frame(unit="eV"), wanted=0.2).wanted.set_index("line")
    row = found.loc["full"]
    assert row["status"] == "reached"
    assert row["rows"] == pytest.approx((3 / 0.2) ** 2.5, rel=0.1)
    assert row["rows_low"] < row["rows"] < row["rows_high"]
    assert row["more"] == row["rows"] - 800
    assert row["sentence"].startswith("0.2 eV takes ")
    assert f"{row['more']:,.0f} more than the 800 there are." in row["sentence"]
    enough = frames(frame(), wanted=0.2, have=1e5).wanted.set_index("line").loc["full"]
    assert (enough["more"], enough["more_high"]) == (0, 0)
    assert enough["sentence"].endswith("no more than the 100,000 there are.")


def test_lines_are_not_followed_out_of_reach():
    tight = frames(frame(), wanted=0.05).wanted.set_index("line").loc["full"]
    assert tight["status"] == "refused"
    assert np.isnan(tight["rows"])
    assert "beyond 8,000 target rows, 10 times the largest size measured (800)" in tight["sentence"]
    assert tight["sentence"].count(".") == 2  # that of the number, and the end
    wide = frames(frame(), wanted=0.05, reach=100).wanted.set_index("line").loc["full"]
    assert wide["status"] == "reached"
    easy = frames(frame(), wanted=30.0).wanted.set_index("line").loc["full"]
    assert "1/10 of the smallest size measured; it is reached already" in easy["sentence"]
    rising = frame().assign(mae=lambda f: 1 / f["mae"])
    assert "does not fall" in frames(rising, wanted=0.1).wanted["sentence"].iloc[0]
    for wrong in ({"wanted": 0.0}, {"wanted": 1.0, "reach": 0.5}, {"level": 1.0}, {"have": -1.0}):
        with pytest.raises(InputError, match=r"not allowed|cannot exist"):
            frames(frame(), **wrong)


def test_ends_of_intervals_out_of_reach_are_open():
    noisy = frame(seeds=1).assign(mae=lambda f: f["mae"] * np.tile([1, 1.4, 0.8, 1.1, 0.9], 2))
    lines = fit_lines(scaling_table(noisy))[0]
    found = wanted_frame(lines, 0.2, have=None, reach=3, level=0.95)
    row = found[found["line"] == "full"].iloc[0]
    assert row["rows_high"] == np.inf
    assert "to more than 2,400" in row["sentence"]


def test_what_a_transfer_was_worth():
    found = frames(frame())
    worth = found.worth.set_index("size")
    # 8 n'^-0.5 = 3 n^-0.4
    expected = [(8 / 3 * n**0.4) ** 2 - n for n in SIZES]
    assert worth["rows"].to_numpy() == pytest.approx(expected, rel=0.2, abs=20)
    assert (worth["rows_low"] < worth["rows"]).all()
    assert set(worth["status"]) == {"helped"}
    assert worth["sentence"].iloc[0].startswith("At 50 target rows the transfer was worth ")
    crossed = found.crossings.iloc[0]
    assert crossed["sentence"].startswith("The lines meet beyond 8,000 target rows")
    near = frames(frame(), reach=1e4).crossings.iloc[0]
    assert near["size"] == pytest.approx((8 / 3) ** 10, rel=1.0)


def test_a_transfer_that_does_harm():
    data = frame()
    data.loc[data["strategy"] == "full", "mae"] *= 5
    found = frames(data).worth
    assert set(found["status"]) == {"harmed"}
    assert (found["rows"] < 0).all()
    assert "the transfer cost " in found["sentence"].iloc[-1]
    data.loc[data["strategy"] == "full", "mae"] *= 20
    refused = frames(data).worth
    assert set(refused["status"]) == {"refused"}
    assert "the transfer did harm" in refused["sentence"].iloc[0]


def test_undecided_and_refused_transfers():
    noisy = frame(seeds=1).assign(mae=lambda f: f["mae"] * np.tile([1, 1.4, 0.8, 1.1, 0.9], 2))
    noisy.loc[noisy["strategy"] == "full", "mae"] *= 1.4
    found = frames(noisy).worth
    assert "unclear" in set(found["status"])
    assert found.loc[found["status"] == "unclear", "sentence"].str.contains("undecided").all()
    rising = frame()
    scratch = rising["strategy"] == "scratch"
    rising.loc[scratch, "mae"] = 1 / rising.loc[scratch, "mae"]
    refused = frames(rising).worth
    assert refused["sentence"].str.contains("from scratch does not fall").all()
    two = frames(frame(sizes=(50, 800))).worth
    assert two["sentence"].str.contains("no interval from two sizes").all()
    assert two["rows"].notna().all()
    assert two["rows_low"].isna().all()


def test_lines_along_both_sizes_and_the_plane():
    rows = [
        {"target_size": n, "source_size": s, "mae": 3 * n**-0.4 * s**-0.1, "seed": k}
        for n in (50, 200, 800)
        for s in (1e3, 1e4, 1e5)
        for k in range(2)
    ]
    table = scaling_table(pd.DataFrame(rows))
    lines, _ = fit_lines(table)
    assert [(line.axis, line.fixed) for line in lines] == [
        *(("target", s) for s in (1e3, 1e4, 1e5)),
        *(("source", n) for n in (50, 200, 800)),
    ]
    assert [line.line.alpha for line in lines] == pytest.approx([0.4] * 3 + [0.1] * 3)
    assert lines[0].name == "all results (1,000 source rows)"
    (plane,) = fit_surfaces(table)
    assert plane.surface.exponents(100, 5000) == pytest.approx((0.4, 0.1))
    pairs = {(50, 1e3), (200, 1e4), (800, 1e5)}
    together = pd.DataFrame(
        [row for row in rows if (row["target_size"], row["source_size"]) in pairs]
    )
    assert fit_surfaces(scaling_table(together)) == []


def test_several_properties_are_apart():
    data = pd.concat([frame(property="gap", unit="eV"), frame(property="shear", unit="GPa")])
    lines = fit_lines(scaling_table(data))[0]
    assert [line.name for line in lines] == [
        "gap, scratch",
        "gap, full",
        "shear, scratch",
        "shear, full",
    ]
    assert [(a.name, b.name) for a, b in transfers(lines)] == [
        ("gap, scratch", "gap, full"),
        ("shear, scratch", "shear, full"),
    ]
    assert worth_frame(transfers(lines), reach=10, level=0.95, seed=0)["unit"].iloc[-1] == "GPa"


def test_the_same_seed_gives_the_same_numbers():
    one, two = (frames(frame(), wanted=0.2, seed=3) for _ in range(2))
    other = frames(frame(), wanted=0.2, seed=4)
    pd.testing.assert_frame_equal(one.worth, two.worth)
    assert not one.worth["rows_low"].equals(other.worth["rows_low"])
    resampled = frames(frame(), wanted=0.2, interval="bootstrap")
    assert (resampled.lines["alpha"] == one.lines["alpha"]).all()
    assert not (resampled.lines["alpha_low"] == one.lines["alpha_low"]).any()
    assert resampled.wanted["rows_low"].notna().all()
    assert signed(-0.2) == "+0"
