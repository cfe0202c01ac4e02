"""Pages in a real browser, and checks of their text where there is none."""

import re
import subprocess

import pandas as pd
import pytest

from epitaxy.core.errors import InputError
from epitaxy.reports.run_report import write_run_report
from epitaxy.studies.report import study_report
from pages import FIGURES, browser, check_page, in_browser

RULES = """
name: Pairs of <metals> & oxides
axes: [source, target, size]
over: trial
baseline: {source: scratch}
unit: eV
"""
DRAWN = f"() => ({{ {FIGURES} }})"
USED = """() => {
  const texts = (selector) => [...document.querySelectorAll(selector)].map((e) => e.textContent);
  const table = document.querySelector("#conditions table");
  const column = (n) => [...table.tBodies[0].rows].filter((r) => !r.hidden)
    .map((r) => r.cells[n].textContent);
  const heads = texts("#conditions th button");
  const place = heads.indexOf("MAE");
  const click = () => table.tHead.rows[0].cells[place].firstChild.click();
  click(); const rising = column(place).map(Number);
  click(); const falling = column(place).map(Number);
  const search = document.querySelector("#conditions input");
  search.value = "copper gap"; search.dispatchEvent(new Event("input"));
  const left = column(0).length;
  const svg = document.querySelector(".plot svg");
  const box = () => svg.getAttribute("viewBox");
  const before = box();
  const tools = svg.parentElement.querySelectorAll(".tools button");
  tools[0].click(); const zoomed = box();
  tools[2].click(); const reset = box();
  tools[3].click(); const large = document.querySelector("dialog").open && !!svg.closest("dialog");
  tools[3].click();
  const cell = document.querySelector("[data-tips] path");
  cell.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: 90, clientY: 90 }));
  const tip = document.querySelector(".tip.shown")?.textContent ?? "";
  const data = document.querySelector("figcaption a[download]");
  return { rising, falling, left, before, zoomed, reset, large, tip,
    csv: atob(data.href.split(",")[1]).split("\\n")[0],
    dark: getComputedStyle(document.body).backgroundColor };
}"""


@pytest.fixture(scope="module")
def study_page(tmp_path_factory):
    """The page of a table with every kind of figure but one."""
    folder = tmp_path_factory.mktemp("study")
    rows = [
        (source, target, size, trial, (2 + i - 0.3 * j) / size**0.3 + 0.01 * trial * (1 + i + j))
        for i, target in enumerate(["iron", "copper", "zinc"])
        for j, source in enumerate(["scratch", "gap <eV>", "energy"])
        for size in (10, 30, 90)
        for trial in (1, 2, 3)
    ]
    columns = ["source", "target", "size", "trial", "mae"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "results.csv", index=False)
    (folder / "rules.yaml").write_text(RULES)
    return study_report(folder / "results.csv", folder / "out", rules=folder / "rules.yaml").folder


@pytest.fixture(scope="module")
def run_page(samples, tmp_path_factory):
    folder = samples.run(tmp_path_factory.mktemp("run") / "run", samples.predictions())
    return write_run_report(folder)


def test_a_study_page_stands_alone(study_page):
    check_page(study_page / "report.html")
    html = (study_page / "report.html").read_text()
    assert "Pairs of &lt;metals&gt; &amp; oxides" in html
    figures = {p.stem for p in (study_page / "figures").glob("*.png")}
    assert {"change_bars", "error_by_size", "interval_dots"} <= figures
    assert {f"transfer_heat_map-size-{n}" for n in (10, 30, 90)} <= figures
    assert html.count("<svg") == len(figures)
    for ending in ("csv", "pdf"):
        assert {p.stem for p in (study_page / "figures").glob(f"*.{ending}")} == figures
    text = (study_page / "report.md").read_text()
    assert "18 of 18 conditions have a better mean MAE" in text
    assert len(pd.read_csv(study_page / "report.csv")) == 27


def test_writing_again_gives_the_same_page(study_page):
    source = study_page.parent
    again = study_report(source / "results.csv", source / "again", rules=source / "rules.yaml")
    first = (study_page / "report.html").read_bytes()
    assert (again.folder / "report.html").read_bytes() == first


def test_what_is_no_study_is_said(study_page):
    table = study_page.parent / "results.csv"
    rules = study_page.parent / "rules.yaml"
    with pytest.raises(InputError, match=r"say with --rules FILE\.yaml"):
        study_report(table, "out")
    with pytest.raises(InputError, match="add --out FOLDER"):
        study_report(table, rules=rules)
    with pytest.raises(InputError, match="is no file; the rules of a study"):
        study_report(study_page, rules=rules)


def test_the_script_is_valid(study_page, tmp_path):
    """Only its syntax, where there is no browser but Node."""
    script = re.findall(
        r"<script>(.*?)</script>", (study_page / "report.html").read_text(), re.DOTALL
    )
    (tmp_path / "page.js").write_text(script[0])
    try:
        done = subprocess.run(
            ["node", "--check", tmp_path / "page.js"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("Node is not installed here")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 500])
@pytest.mark.parametrize("page", ["study", "run"])
def test_every_figure_is_drawn(study_page, run_page, tmp_path, page, width):
    path = study_page / "report.html" if page == "study" else run_page
    found = in_browser(path, tmp_path, script=DRAWN, width=width)
    assert found["errors"] == []
    assert found["broken"] == []
    assert found["overflow"] <= 0
    assert len(found["figures"]) == path.read_text().count("<svg")
    for figure in found["figures"]:
        assert figure["width"] > 0.7 * min(width - 80, 460)
        assert figure["height"] > 100
        assert figure["drawn"] > 15
        assert figure["texts"] > 5
        assert figure["tools"] == 4


@pytest.mark.slow
def test_tables_sort_and_figures_zoom(study_page, tmp_path):
    found = in_browser(study_page / "report.html", tmp_path, script=USED)
    assert found["rising"] == sorted(found["rising"])
    assert found["falling"] == sorted(found["falling"], reverse=True)
    assert len(found["rising"]) == 27
    assert found["left"] == 3
    assert found["zoomed"] != found["before"] == found["reset"]
    assert found["large"]
    assert "MAE" in found["tip"]
    assert found["csv"].startswith("source,target,")
    dark = in_browser(study_page / "report.html", tmp_path, script=USED, dark=True)
    assert dark["dark"] != found["dark"]


@pytest.mark.slow
def test_errors_of_a_page_are_noticed(run_page, tmp_path):
    """The probe itself: a broken link, a broken script and an empty figure are seen."""
    browser()
    html = run_page.read_text().replace("sortTables();", "nosuch();", 1)
    broken = tmp_path / "broken.html"
    broken.write_text(html.replace('id="plan"', 'id="plans"', 1))
    found = in_browser(broken, tmp_path, script=DRAWN)
    assert "nosuch" in found["errors"][0]
    assert found["broken"] == ["#plan"]
