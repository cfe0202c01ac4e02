"""Figures of tables of conditions and of data sets."""

import itertools

import numpy as np
import pandas as pd
import pytest

from epitaxy.core.elements import SYMBOLS
from epitaxy.core.errors import InputError
from epitaxy.reports.figures import FIGURES
from epitaxy.reports.figures.periodic_table import position
from epitaxy.reports.roles import find_roles
from epitaxy.reports.study_figures import Conditions, study_figures
from epitaxy.reports.study_report import best_conditions
from epitaxy.reports.style import INK, method_series, new_figure, tip
from epitaxy.reports.vector import inline_svg
from epitaxy.results.rules import Rules
from epitaxy.results.summary import summary

RULES = Rules(over="trial", baseline={"source": "scratch"})


def results(**axes) -> pd.DataFrame:
    """Return runs of all combinations; the error says which combination it is of."""
    noise = np.random.default_rng(5)
    rows = []
    for number, values in enumerate(itertools.product(*axes.values())):
        given = dict(zip(axes, values, strict=True))
        for trial in (1, 2, 3):
            mae = 1.0 + 0.01 * number + noise.normal(0, 3e-4)
            rows.append({**given, "trial": trial, "property": "gap", "unit": "eV", "mae": mae})
    return pd.DataFrame(rows)


def test_the_baseline_can_be_the_best_of_a_task():
    """Then nothing changes there; the mean over tasks must not leave it out."""
    table = pd.DataFrame(
        {
            "source": ["scratch", "a"] * 2,
            "task": ["x", "x", "y", "y"],
            "property": "gap",
            "unit": "eV",
            "n": 3,
            "low": np.nan,
            "high": np.nan,
            "mae": [1.0, 0.8, 1.0, 1.5],
            "change_percent": [np.nan, 20.0, np.nan, -50.0],
            "p_holm": np.nan,
        }
    )
    best = best_conditions(Conditions.of(table, ["source", "task"], RULES))
    assert best["change_percent"].tolist() == [20, 0]


def drawn(rules=RULES, **axes):
    runs = results(**axes)
    names = [*axes, "trial"]
    table = summary(runs, names, rules, runs.to_dict("records"))
    return table, {one.name: one for one in study_figures(table, names, rules)}


def tips(figure) -> list[str]:
    return list(itertools.chain(*figure.tips.values()))


def numbers(axes) -> list[str]:
    return [t.get_text() for t in axes.texts]


def test_heat_map_shows_what_the_table_says():
    table, figures = drawn(source=["scratch", "a", "b"], target=["x", "y"])
    one = figures["transfer_heat_map"]
    axes = one.figure.axes[0]
    values = table.set_index(["source", "target"])["mae"]
    assert {f"{values[pair]:.2f}" for pair in values.index} == set(numbers(axes))
    assert [t.get_text() for t in axes.get_xticklabels()] == ["a", "b", "scratch"]
    bold = {t.get_text() for t in axes.texts if t.get_fontweight() == "bold"}
    assert bold == {f"{values['a', target]:.2f}" for target in ("x", "y")}
    worse = [p for p in axes.patches if p.get_hatch()]
    assert len(worse) == 4
    change = 100 * (values["scratch", "x"] - values["a", "x"]) / values["scratch", "x"]
    hint = f"a → x: MAE {values['a', 'x']:.3f} eV, change {change:+.1f} %"
    assert hint in tips(one.figure)
    assert one.data["is_baseline"].sum() == 2


def test_heat_map_without_baseline():
    _, figures = drawn(Rules(over="trial"), source=["a", "b"], target=["x", "y"])
    axes = figures["transfer_heat_map"].figure.axes
    assert "worst" in axes[1].get_ylabel()
    shown = {t.get_text() for t in axes[0].texts if t.get_fontweight() == "bold"}
    assert shown == {"1.00", "1.01"}


def test_changes_with_intervals_and_stars():
    table, figures = drawn(source=["scratch", "a"], target=["x", "y"])
    one = figures["change_bars"]
    assert one.data["change_percent"].tolist() == table["change_percent"].dropna().tolist()
    row = table[table["change_percent"].notna()].iloc[0]
    base = row["mae"] - row["difference"]
    low = -100 * row["difference_high"] / base
    assert one.data["low"].iloc[0] == pytest.approx(low)
    assert numbers(one.figure.axes[0]).count("*") == 2
    assert one.figure.axes[0].patches[0].get_height() == pytest.approx(row["change_percent"])


def test_changes_that_are_too_large_are_cut_and_written():
    frame = pd.DataFrame(
        {"group": list("abcdefghij"), "series": "s", "change_percent": [5.0] * 9 + [-400.0]}
    ).assign(low=np.nan, high=np.nan)
    axes = FIGURES["change_bars"](frame).axes[0]
    assert axes.get_ylim()[0] > -20
    assert [t.strip() for t in numbers(axes)] == ["-400 %"]
    with pytest.raises(InputError, match="No change against a baseline"):
        FIGURES["change_bars"](frame.assign(change_percent=np.nan))


def test_sizes_give_curves_with_bands():
    table, figures = drawn(source=["scratch", "a"], target=["x", "y"], size=[10, 100, 1000])
    one = figures["error_by_size"]
    assert [axes.get_title(loc="left") for axes in one.figure.axes] == ["x", "y"]
    curve = one.figure.axes[0].lines[0]
    expected = table[(table["source"] == "scratch") & (table["target"] == "x")]
    assert curve.get_ydata().tolist() == expected["mae"].tolist()
    assert one.figure.axes[0].get_xscale() == "log"
    assert one.figure.axes[0].get_yscale() == "linear"
    assert one.figure.axes[0].get_ylabel() == "MAE (eV)"
    forced = FIGURES["error_by_size"](one.data, log=True)
    assert forced.axes[0].get_yscale() == "log"
    with pytest.raises(InputError, match="above 0"):
        FIGURES["error_by_size"](one.data.assign(value=-1.0), log=True)
    # One heat map per size, the largest first.
    maps = [name for name in figures if name.startswith("transfer_heat_map")]
    assert maps == []


def test_circle_of_strategies():
    _, figures = drawn(source=["scratch", "a"], strategy=["full", "head", "last"], size=[10, 90])
    one = figures["strategy_circle"]
    assert set(one.data["group"]) == {"scratch", "a"}
    heights = [bar.get_height() for bar in one.figure.axes[0].patches]
    assert max(heights) == 1
    assert len(heights) == 6
    assert "at size 90" in one.caption


def test_conditions_are_listed_the_best_on_top():
    table, figures = drawn(Rules(over="trial"), loss=["l1", "mse", "huber"])
    assert set(figures) == {"interval_dots"}
    axes = figures["interval_dots"].figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["l1", "mse", "huber"]
    assert axes.get_xlabel() == "MAE (eV)"
    assert len(table) == 3


def test_many_conditions_make_few_figures():
    _, figures = drawn(source=["scratch", *"abcdefgh"], target=list("uvwxyz"), loss=["l1", "mse"])
    assert len(figures) < 8
    assert "interval_dots" not in figures
    assert {n for n in figures if "heat" in n} == {
        "transfer_heat_map-l1",
        "transfer_heat_map-mse",
    }


def test_titles_that_make_one_file_name_are_told_apart():
    _, figures = drawn(source=["scratch", *"ab"], target=list("uv"), loss=["l1+mse", "l1 mse"])
    names = sorted(name for name in figures if "heat" in name)
    assert names == ["transfer_heat_map-l1-mse", "transfer_heat_map-l1-mse-2"]
    assert "l1 mse" in figures[names[0]].caption  # the last facet is drawn first
    assert "l1+mse" in figures[names[1]].caption


def test_roles_can_be_said():
    table = pd.DataFrame({"origin": ["a", "b"], "alloy": ["x", "y"], "pt_size": [1, 2]})
    assert find_roles(table, list(table), Rules()).others == ("origin", "alloy")
    said = Rules(roles={"source": "origin", "target": "alloy"})
    found = find_roles(table, list(table), said)
    assert (found.source, found.target, found.size) == ("origin", "alloy", "pt_size")


def test_every_element_has_its_place():
    places = [position(z) for z in range(1, 104)]
    assert len(set(places)) == 103
    assert max(x for x, _ in places) == 17
    assert position(57)[1] == position(71)[1] != position(72)[1]
    assert [position(z)[0] for z in (2, 10, 18, 36, 54, 86)] == [17.0] * 6


def test_periodic_table_counts():
    counts = pd.DataFrame({"atomic_number": [8, 14], "crystals": [12345, 3]})
    figure = FIGURES["periodic_table"](counts, 20000)
    assert f"{SYMBOLS[8]}: 12,345 crystals (61.7 %)" in tips(figure)
    assert {"12k", "3", "Si", "Lr"} <= set(numbers(figure.axes[0]))
    with pytest.raises(InputError, match="no elements to draw"):
        FIGURES["periodic_table"](counts.iloc[:0], 0)


def test_crystal_systems_are_shares():
    counts = pd.DataFrame(
        {"group": ["all"] * 2, "system": ["cubic", "triclinic"], "crystals": [3, 1]}
    )
    axes = FIGURES["crystal_systems"](counts).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [25, 0, 0, 0, 0, 0, 75]


def test_violins_have_units_and_bear_constants():
    frame = pd.DataFrame(
        {"property": "gap", "unit": "eV", "group": ["a"] * 5 + ["b"] * 2, "value": [1.0] * 7}
    )
    frame.loc[:2, "value"] = [0.0, 2.0, np.nan]
    figure = FIGURES["property_violins"](frame)
    assert figure.axes[0].get_ylabel() == "gap (eV)"
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["a\nn = 4", "b\nn = 2"]
    assert tips(figure) == ["a: 0 to 2, median 1, n = 4"]
    with pytest.raises(InputError, match="No value is known"):
        FIGURES["property_violins"](frame.assign(value=np.nan))


def test_splits_are_compared(samples):
    figure = FIGURES["split_distribution"](samples.predictions())
    assert "training: 160 crystals" in tips(figure)
    heights = figure.axes[0].patches[0].get_data().values
    assert heights.sum() == pytest.approx(100)


def test_methods_differ_in_grey():
    looks = method_series([str(i) for i in range(7)])
    assert len({look.marker for look in looks}) == 7
    assert len({str(look.line) for look in looks}) == 7
    assert len({look.hatch for look in looks}) == 7


def test_graphics_carry_tips_and_page_colours():
    figure = new_figure(2, 2)
    axes = figure.subplots()
    axes.set_title("a title", color=INK)
    tip(axes.scatter([0, 1], [0, 1]), "first", 'second "<quoted>"')
    svg = str(inline_svg(figure, "key", "what it shows"))
    assert 'data-tips="[&quot;first&quot;, &quot;second \\&quot;&lt;quoted&gt;' in svg
    assert 'aria-label="what it shows"' in svg
    assert "var(--ink)" in svg
    assert "#1f2933" not in svg
    assert "DejaVu" not in svg
    identities = [part.split('"')[0] for part in svg.split('id="')[1:]]
    assert all(i.startswith("key-") for i in identities)


def test_crowds_become_images():
    figure = new_figure(2, 2)
    figure.subplots().scatter(np.arange(4000), np.arange(4000))
    svg = str(inline_svg(figure, "key", "crowd"))
    assert "<image" in svg
    assert len(svg) < 100_000
