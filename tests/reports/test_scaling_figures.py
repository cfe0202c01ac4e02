"""Figures and files of scaling laws and budgets."""

import numpy as np
import pandas as pd
import pytest

from epitaxy.core.errors import InputError
from epitaxy.reports.budget_report import budget_sentences, write_budget_report
from epitaxy.reports.figures import FIGURES
from epitaxy.reports.scaling_report import scaling_text, write_scaling_report
from epitaxy.results.budget import Economy
from epitaxy.results.budget_plan import budget_curves_frame, plan_budget
from epitaxy.results.budget_slopes import Given, given_slopes
from epitaxy.results.scaling_frames import scaling_frames
from epitaxy.results.scaling_table import scaling_table

ECONOMY = Economy(0.12, 0.096, 5.0, 1.0, 11000.0, 178000.0)


def results(sources=(1e3, 1e4)):
    random = np.random.default_rng(0)
    rows = [
        {"property": p, "strategy": strategy, "target_size": n, "source_size": s, "seed": k,
         "mae": scale * n**-0.4 * np.exp(0.05 * random.normal()), "unit": unit}
        for p, unit in (("band_gap", "eV"), ("shear", "GPa"))
        for strategy, scale in (("none", 6), ("full", 3), ("head", 4))
        for n in (50, 100, 200, 400)
        for s in ((0,) if strategy == "none" else sources)
        for k in range(2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def found():
    return scaling_frames(scaling_table(results()), wanted=0.2)


def chosen(found, axis, name="band_gap"):
    rows = found.results
    return rows[(rows["axis"] == axis) & (rows["property"] == name)]


def test_one_panel_per_number_of_source_rows(found):
    figure = FIGURES["scaling_lines"](chosen(found, "target"), found.curves, "mae")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["1,000 source rows", "10,000 source rows"]
    for axes in figure.axes:
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        legend = [t.get_text() for t in axes.get_legend().get_texts()]
        assert legend == ["band_gap, none", "band_gap, full", "band_gap, head"]
        # Solid over the sizes measured, dashed beyond.
        solid, dashed = axes.lines[0].get_xdata(), axes.lines[1].get_xdata()
        assert (solid.max(), dashed.max()) == (pytest.approx(400, rel=0.1), pytest.approx(4000))
    assert figure.get_supylabel() == "MAE of band gap (eV)"
    along = FIGURES["scaling_lines"](chosen(found, "source"), found.curves, "mae")
    assert along.axes[0].get_title(loc="left") == "50 target rows"


def test_lines_of_several_properties_make_several_figures(found):
    with pytest.raises(InputError, match="of one property and one kind of rows"):
        FIGURES["scaling_lines"](found.results, found.curves)
    with pytest.raises(InputError, match="0 results of one property"):
        FIGURES["scaling_lines"](found.results.iloc[:0], found.curves)


def test_only_scratch_has_a_figure_too():
    rows = results()
    alone = scaling_frames(scaling_table(rows[rows["strategy"] == "none"]))
    figure = FIGURES["scaling_lines"](chosen(alone, "target"), alone.curves)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [""]


def test_worth(found):
    figure = FIGURES["scaling_worth"](found.worth)
    (axes,) = figure.axes
    assert len(axes.get_legend().get_texts()) == 8
    assert "95 % intervals" in axes.get_title(loc="left")
    with pytest.raises(InputError, match="nothing to draw"):
        FIGURES["scaling_worth"](found.worth.assign(status="refused"))


def test_worth_with_open_and_unknown_intervals():
    rows = results()
    two = rows[rows["target_size"].isin([50, 400])]
    unknown = scaling_frames(scaling_table(two)).worth
    assert unknown["rows_low"].isna().all()
    FIGURES["scaling_worth"](unknown).draw_without_rendering()
    wild = np.tile([1, 1, 1.6, 1.6, 0.8, 0.8, 1.3, 1.3], len(rows) // 8)
    opened = scaling_frames(scaling_table(rows.assign(mae=rows["mae"] * wild)), reach=2).worth
    assert np.isinf(opened["rows_high"]).any()
    FIGURES["scaling_worth"](opened).draw_without_rendering()


def test_report_of_scaling(found, tmp_path):
    write_scaling_report(tmp_path / "out", found)
    files = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")}
    names = ("lines", "wanted", "worth", "crossings", "surfaces")
    assert files >= {"report.md", *(f"{name}.csv" for name in names), "figures/worth.png"}
    assert files >= {f"figures/{a}_rows-{p}.png" for a in ("target", "source")
                     for p in ("band_gap", "shear")}  # fmt: skip
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| band_gap, full (1,000 source rows) | target | 50 to 400 | 4 | 8 |" in text
    assert "![target_rows-band_gap](figures/target_rows-band_gap.png)" in text
    written = pd.read_csv(tmp_path / "out" / "lines.csv")
    assert written["alpha"].to_numpy() == pytest.approx(found.lines["alpha"].to_numpy())
    laws = pd.read_csv(tmp_path / "out" / "figures" / "target_rows-shear_laws.csv")
    assert set(laws["axis"]) == {"target"}
    terminal = scaling_text(found)
    assert terminal.startswith("Lines: mae ~ rows^-alpha\nline ")
    assert "0.2 eV" in terminal


def test_curves_of_a_budget():
    plan = plan_budget(ECONOMY, given_slopes(Given(0.12), Given(0.096)), budget=5e5)
    curves = budget_curves_frame(plan)
    figure = FIGURES["budget_curves"](curves, "core hours", 5e5)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "budget (core hours)"
    assert len(axes.get_legend().get_texts()) == 3
    with pytest.raises(InputError, match="no budget to draw"):
        FIGURES["budget_curves"](curves.iloc[:0])


def test_map_of_a_budget():
    path = pd.DataFrame({"target": [11e3, 5e4], "source": [178e3, 2e5]})
    figure = FIGURES["budget_map"](path, 4.0, (3.0, 5.0))
    (axes,) = figure.axes
    labels = [t.get_text() for t in axes.get_legend().get_texts()]
    assert labels == ["break-even ratio 4", "best purchases", "rows that exist"]
    line = axes.lines[0]
    assert line.get_ydata() / line.get_xdata() == pytest.approx(4.0)
    for wrong in (0.0, np.inf):
        with pytest.raises(InputError, match="has no line"):
            FIGURES["budget_map"](path, wrong)


def test_report_of_a_budget(tmp_path):
    slopes = given_slopes(Given(0.12, 0.01), Given(0.096, 0.01), error=30.0)
    plan = plan_budget(ECONOMY, slopes, unit="core hours", budget=5e5, wanted=20.0)
    write_budget_report(tmp_path / "out", plan)
    text = (tmp_path / "out" / "report.md").read_text()
    assert "The next core hour should go to target rows: there are 16.2 source rows per" in text
    assert "- as well as possible: 70,444 target and 147,778 source rows, error 0.7421" in text
    numbers = pd.read_csv(tmp_path / "out" / "budget.csv").iloc[0]
    assert numbers["best_target"] == pytest.approx(70444.44444444445)
    assert (tmp_path / "out" / "figures" / "budget_map.png").is_file()


def test_sentences_of_a_budget_that_has_no_break_even(tmp_path):
    useless = Economy(0.3, -0.1, 5.0, 1.0, 100.0, 1000.0)
    plan = plan_budget(useless, given_slopes(Given(0.3), Given(-0.1), error=1.0), wanted=1.5)
    words = " ".join(budget_sentences(plan))
    assert "to target rows: more source rows do not lower the error" in words
    assert "1.50 is reached with the rows that exist" in words
    far = plan_budget(useless, given_slopes(Given(0.3), Given(-0.1), error=1.0), wanted=1e-9)
    assert "out of reach of any budget" in budget_sentences(far)[-1]
    write_budget_report(tmp_path / "out", plan)
    assert not (tmp_path / "out" / "figures" / "budget_map.png").exists()
