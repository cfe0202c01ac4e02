"""Tables of results, among them those of the papers."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from epitaxy.core.errors import InputError
from epitaxy.results.published import TableRules, read_published, read_rules
from epitaxy.results.summary import improvement, mean_ranks

PAGE = Path(__file__).parents[2] / "docs" / "reports.md"
ROWS = """source,size,trial,mae,kind
none,10,1,0.5,a
none,10,2,0.7,a
gap,10,1,0.4,a
gap,10,2,0.5,a
gap,10,2,9.0,b
"""
RULES = {
    "name": "pairs",
    "axes": ["source", "size"],
    "over": "trial",
    "where": {"kind": "a"},
    "baseline": {"source": "none"},
}


def rules_of(title: str, **changes) -> TableRules:
    """Return rules of the documentation by their first line."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (text,) = [block for block in blocks if block.startswith(f"# {title}")]
    return TableRules(**{**yaml.safe_load(text), **changes})


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text(ROWS)
    return path


def test_a_table_by_hand(table):
    found = read_published(table, TableRules(**RULES, labels={"none": "scratch"}))
    assert found.table["source"].tolist() == ["scratch", "gap"]
    assert found.table["mae"].tolist() == pytest.approx([0.6, 0.45])
    gap = found.table.iloc[1]
    assert gap["change_percent"] == pytest.approx(25)
    assert (gap["pairs"], gap["difference"]) == (2, pytest.approx(-0.15))
    ranks = mean_ranks(found.rows, found.rules.columns, found.rules)
    assert ranks["mean_rank"].tolist() == [1, 2]
    scores = read_published(table, TableRules(**RULES, better="higher"))
    assert scores.table["change_percent"][1] == pytest.approx(-25)
    assert mean_ranks(scores.rows, scores.rules.columns, scores.rules)["source"][0] == "none"


def test_a_baseline_is_what_the_table_has(table):
    """YAML can make a text of a number of the CSV file."""
    found = read_published(table, TableRules(**{**RULES, "baseline": {"size": "10"}}))
    assert found.rules.baseline == {"size": 10}
    assert found.table["change_percent"].isna().all()
    assert (found.table["size"] == 10).all()
    more = table.read_text() + "gap,20,1,0.3,a\ngap,20,2,0.45,a\n"
    table.write_text(more)
    found = read_published(table, TableRules(**{**RULES, "baseline": {"size": "10"}})).table
    assert found.set_index(["source", "size"])["pairs"].to_dict()["gap", 20] == 2


def test_improvements_of_negative_scores():
    assert improvement(-0.5, -0.25, higher_is_better=True) == pytest.approx(50)
    assert improvement(-0.5, -0.75, higher_is_better=True) == pytest.approx(-50)
    assert improvement(0.0, 1.0) is None


def test_means_with_deviations(tmp_path):
    path = tmp_path / "means.csv"
    path.write_text("method,mae,sd\nA,10,2\nB,8,1\n")
    rules = TableRules(name="x", axes="method", std="sd", trials=5, baseline={"method": "A"})
    found = read_published(path, rules).table
    # t of 97.5 % with 4 degrees of freedom is 2.776445.
    assert found["low"].tolist() == pytest.approx([10 - 2.776445 * 2 / 5**0.5, 6.758336])
    assert found["n"].tolist() == [5, 5]
    assert found["std"].tolist() == [2, 1]
    assert found["change_percent"][1] == pytest.approx(20)
    path.write_text("method,mae,sd,n\nA,10,,5\nB,8,1,\nC,8,1,5\n")
    rules = TableRules(name="x", axes="method", std="sd", trials="n")
    assert read_published(path, rules).table["low"].notna().tolist() == [False, False, True]
    path.write_text("method,mae,sd,n\nA,10,2,5\nB,8,1,five\n")
    with pytest.raises(InputError, match=r"column 'n' of .* has 'five' in line 3; give a number"):
        read_published(path, rules)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"axes": ["sourc"]}, "'axes' names the column 'sourc'.*Did you mean 'source'"),
        ({"metric": "rmse"}, "'metric' names the column 'rmse'"),
        ({"where": {"kind": "c"}}, "'kind' asks for 'c', which does not occur; there are a, b"),
        ({"baseline": {"source": "nona"}}, "'baseline.source' asks for 'nona'.*mean 'none'"),
        ({"baseline": {"kind": "a"}}, "'baseline' names 'kind', which is none of the axes"),
        ({"where": {}}, "2 rows of .* have the same source gap, size 10, trial 2; .* mae, kind"),
        ({"std": "mae"}, "'std' and 'trials' belong together.*'over' must be left out"),
        (
            {"labels": {"none": "start", "gap": "start"}},
            "calls both 'none' and 'gap' of 'source' 'start'",
        ),
        ({"metric": "kind"}, "has no number in line 2"),
    ],
)
def test_rules_that_do_not_fit(table, changes, match):
    with pytest.raises(InputError, match=match):
        read_published(table, TableRules(**{**RULES, **changes}))


def test_rules_are_read_whole(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("axes: source\nbeter: higher\n")
    with pytest.raises(InputError, match=r"'name' is missing.*'beter'.*Did you mean 'better'"):
        read_rules(path)
    path.write_text("- a\n")
    with pytest.raises(InputError, match="must hold lines"):
        read_rules(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_rules(tmp_path / "absent.yaml")
    with pytest.raises(InputError, match="cannot be read as CSV"):
        read_published(tmp_path / "absent.csv", TableRules(**RULES))


PAIRS = """
bg  -            0.019/0.697 0.093/0.452 0.048/0.936 0.090/0.768 0.030/0.946 0.049/0.007
dc  0.130/0.598 -            0.092/0.449 0.048/0.936 0.090/0.768 0.032/0.940 0.050/0.001
ebg 0.126/0.619 0.020/0.680 -            0.049/0.934 0.090/0.766 0.032/0.940 0.049/0.012
fe  0.128/0.609 0.019/0.677 0.092/0.459 -            0.089/0.774 0.031/0.946 0.049/0.014
gv  0.129/0.609 0.019/0.687 0.091/0.461 0.048/0.936 -            0.031/0.947 0.049/0.009
ph  0.128/0.611 0.020/0.661 0.093/0.442 0.047/0.938 0.089/0.774 -            0.049/0.012
pz  0.128/0.607 0.019/0.681 0.093/0.436 0.048/0.938 0.089/0.772 0.030/0.947 -
"""
"""Fig. 3b of Devi et al. (2024): rows pre-training, columns fine-tuning, MAE / R²."""


@pytest.mark.shared
@pytest.mark.parametrize(("metric", "better", "place"), [("mae", "lower", 0), ("r2", "higher", 1)])
def test_pairs_of_devi(shared, metric, better, place):
    rules = rules_of("Fig. 3b", metric=metric, better=better)
    found = read_published(shared / "specs" / "devi2024_published_results.csv", rules).table
    assert len(found) == 42 + 7
    assert set(found["n"]) == {5}
    values = found.set_index(["pt_dataset", "ft_dataset"])[metric]
    lines = [line.split() for line in PAIRS.split("\n") if line]
    names = [line[0] for line in lines]
    for source, *cells in lines:
        for target, printed in zip(names, cells, strict=True):
            if printed != "-":
                expected = float(printed.split("/")[place])
                assert values[source, target] == pytest.approx(expected, abs=5.1e-4)
    changes = found.dropna(subset=["change_percent"])
    best = changes.groupby("ft_dataset")["change_percent"].max().mean()
    everything = changes["change_percent"].mean()
    assert (best, everything) == pytest.approx([(14.91, 13.47), (24.77, 21.89)][place], abs=0.01)
    # The averages that the paper states, 15.00 and 24.82 %, are those of the best of each target
    # from printed numbers.
    rounded = values.round(3)
    gains = [
        max(
            improvement(rounded["scratch", target], rounded[source, target], bool(place))
            for source in names
            if source != target
        )
        for target in names
    ]
    assert sum(gains) / 7 == pytest.approx([15.00, 24.82][place], abs=0.005)
    if not place:
        assert (changes["p_holm"] < 0.05).sum() == 28
        assert not (changes.query("ft_dataset in ['dc', 'pz']")["p_holm"] < 0.05).any()


@pytest.mark.shared
def test_two_dimensional_materials_of_devi(shared):
    path = shared / "specs" / "devi2024_published_results.csv"
    printed = {
        "scratch": (0.635, 0.148),
        "mpt_all7": (0.671, 0.125),
        "fe": (0.670, 0.127),
        "bg": (0.617, 0.138),
        "ph": (0.628, 0.145),
        "gv": (0.626, 0.143),
        "ebg": (0.619, 0.143),
    }
    scores = read_published(path, rules_of("Table 1")).table.set_index("pt_dataset")
    lower = rules_of("Table 1", metric="mae", better="lower")
    errors = read_published(path, lower).table.set_index("pt_dataset")
    assert set(scores.index) == set(printed)
    for name, (r2, mae) in printed.items():
        # FE stands as 0.670 in the paper, and is 0.67100 in the published predictions.
        assert scores["r2"][name] == pytest.approx(r2, abs=1.01e-3 if name == "fe" else 6e-4)
        assert errors["mae"][name] == pytest.approx(mae, abs=6e-4)
    # As stated: 5.67 and 15.54 % from printed numbers.
    assert scores["change_percent"]["mpt_all7"] == pytest.approx(5.5, abs=0.2)
    assert errors["change_percent"]["mpt_all7"] == pytest.approx(15.5, abs=0.2)
    assert scores["r2"].drop("scratch").idxmax() in {"mpt_all7", "fe"}


@pytest.mark.shared
def test_mixtures_of_chang(shared):
    path = shared / "specs" / "chang2022_published_results.csv"
    found = read_published(path, rules_of("Table 3")).table
    printed = pd.read_csv(path).query("table == 'Table 3'").set_index(["task", "method"])
    assert len(found) == len(printed) == 57
    values = found.set_index(["task", "method"])
    assert (values["mae_mean"] == printed["mae_mean"]).all()
    assert (values["std"] == printed["mae_std"]).all()
    assert (values["unit"] == printed["unit"]).all()
    table = values["mae_mean"].unstack()  # noqa: PD010 - one column per method
    mixture = table["MoE-(18) add k=18"]
    # What the paper says of its table: 16 and 18 of 19, and 9 at which transfer is worse.
    assert (mixture < table["TL from mp_eform"]).sum() == 16
    assert (table["TL from mp_eform"] > table["STL"]).sum() == 9
    assert (mixture < table["STL"]).sum() == 18
    low, high = values[["low", "high"]].loc[("expt_eform", "STL")]
    assert (low, high) == pytest.approx((0.10655, 0.12145), abs=1e-5)
