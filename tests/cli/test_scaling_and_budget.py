"""``epitaxy scaling`` and ``epitaxy budget`` from the command line and from Python."""

import numpy as np
import pandas as pd
import pytest

import epitaxy as package
from options import replaced

PRICES = ("--cost-target", 5, "--cost-source", 1, "--have-target", 200, "--have-source", 10000)


@pytest.fixture
def table(tmp_path):
    """A CSV with None for no source, as people write it."""
    random = np.random.default_rng(0)
    kinds = [("None", 0, 6.0)] + [("gap", s, 3 * s**-0.1) for s in (1000, 10000, 100000)]
    rows = [
        (source, size, n, k, f"{scale * n**-0.4 * np.exp(0.02 * random.normal()):.5f}")
        for source, size, scale in kinds
        for n in (50, 100, 200, 400)
        for k in range(3)
    ]
    names = ["source", "source_size", "target_size", "seed", "mae"]
    path = tmp_path / "results.csv"
    pd.DataFrame(rows, columns=names).assign(unit="eV").to_csv(path, index=False)
    return path


def test_scaling(epitaxy, table, tmp_path):
    found = epitaxy("scaling", table, "--wanted", 0.1, "--out", "out")
    assert found.code == 0, found.err
    lines = found.out.splitlines()
    assert lines[0] == "Lines: mae ~ rows^-alpha"
    assert lines[2].split()[:6] == ["None", "target", "50", "to", "400", "4"]
    assert "0.1 eV takes " in found.out
    assert lines[-1] == "Folder: out (report.md)"
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {"report.md", "worth.csv", "figures"}
    # Text alone needs no folder, and is the same.
    again = epitaxy("scaling", table, "--wanted", 0.1)
    assert again.out.splitlines() == lines[:-1]
    python = package.scaling(table, wanted=0.1)
    assert python.text == again.out.rstrip("\n")
    assert python.folder is None
    assert "helped" in set(python.worth["status"])
    assert python.worth["rows"].max() > 300


def test_options_of_scaling(epitaxy, table):
    found = epitaxy(
        *("scaling", table, "--where", "source=gap,None", "--where", "source_size=0,1000"),
        *("--baseline", "source=None", "--column", "error=mae", "--by", "seed", "--level", "0.9"),
        *("--interval", "bootstrap", "--reach", "2", "--have", "100", "--wanted", "0.5"),
    )
    assert found.code == 0, found.err
    assert "90 %" in found.out
    assert "10,000" not in found.out
    # Seeds as a condition: one line each.
    assert "seed 0 (1,000 source rows)" in found.out
    assert "None, seed 2 " in found.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nosuch.csv"], "There is no table of results 'nosuch.csv'"),
        (["{table}", "--column", "mae"], "'mae' is not of the form COLUMN=VALUE"),
        (["{table}", "--where", "=1"], "'=1' is not of the form COLUMN=VALUE"),
        (["{table}", "--where", "source=gpa"], "Unknown value of 'source' 'gpa'; allowed: None"),
        (["{table}", "--baseline", "source=x"], "Unknown value of 'source' 'x'"),
        (["{table}", "--wanted", "0"], "The wanted error 0 is not allowed"),
        (["{table}", "--wanted", "0.1", "--reach", "0.1"], "A reach of 0.1 is not allowed"),
        (["{table}", "--interval", "t"], "Unknown kind of interval 't'"),
        (["{table}", "--out", "."], "was not written by epitaxy"),
    ],
)
def test_wrong_options_of_scaling(epitaxy, table, arguments, words):
    found = epitaxy("scaling", *(a.format(table=table) for a in arguments))
    assert words in found.sentence


def test_files_that_are_no_table(epitaxy, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    for name in ("empty.csv", "binary.csv"):
        assert "is not a readable CSV table" in epitaxy("scaling", name).sentence
    (tmp_path / "folder").mkdir()
    assert epitaxy("scaling", "folder").code == 2


def test_the_folder_of_a_study(epitaxy, tmp_path, monkeypatch):
    """Its table has the axes between role and property."""
    frame = pd.DataFrame(
        [
            (f"r{n}{k}", "run", source, n, k, "gap", scale * n**-0.4, "eV")
            for source, scale in (("scratch", 6.0), ("bulk", 3.0))
            for n in (50, 100, 200)
            for k in range(2)
        ],
        columns=["run", "role", "source", "size", "trial", "property", "mae", "unit"],
    )
    (tmp_path / "study").mkdir()
    monkeypatch.setattr("epitaxy.studies.scaling.StudyFolder.read", lambda self: None)
    monkeypatch.setattr("epitaxy.studies.scaling.study_results", lambda path: frame)
    found = epitaxy("scaling", "study")
    assert found.code == 0, found.err
    assert "bulk" in found.out
    frame.to_csv(tmp_path / "results.csv", index=False)
    assert epitaxy("scaling", "results.csv").out == found.out


def test_budget_from_results(epitaxy, table, tmp_path):
    found = epitaxy("budget", table, *PRICES, "--budget", 500, "--wanted", 0.1, "--out", "out")
    assert found.code == 0, found.err
    assert found.out.startswith("The next hour should go to target rows: there are 50.0 source")
    assert "0.100 eV costs " in found.out
    assert (tmp_path / "out" / "budget.csv").is_file()
    prices = {"cost_target": 5, "cost_source": 1, "have_target": 200, "have_source": 10000}
    python = package.budget(table, budget=500, wanted=0.1, **prices)
    assert python.text + "\nFolder: out (report.md)\n" == found.out
    assert python.better == "target"
    assert python.economy.alpha == pytest.approx(0.4, abs=0.03)


def test_budget_from_numbers(epitaxy):
    paper = ("--cost-target", 5, "--cost-source", 1, "--have-target", 178000)
    slopes = ("--alpha", 0.12, "--beta", 0.096, "--unit", "core hours", "--budget", 500000)
    found = epitaxy("budget", *paper, "--have-source", 178000, *slopes)
    assert found.code == 0, found.err
    assert found.out.startswith("The next core hour should go to source rows")
    assert "0 target and 500,000 source rows, error 0.8795 times the present one" in found.out
    # Source rows that serve three properties cost each a third.
    even = ("--have-source", 712000, *slopes, "--error-now", 30, "--wanted", 25)
    assert "from 4.00 on" in epitaxy("budget", *paper, *even).out
    shared = epitaxy("budget", *paper, *even, "--targets", 3, "--alpha-error", 0.01)
    assert "from 12.0 (95 % interval " in shared.out
    assert "Target rows are better in 0 %" in shared.out
    assert "25.0 costs " in shared.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Neither results nor both exponents"),
        (["--alpha", 0.1], "Neither results nor both exponents"),
        (["--alpha", 0.1, "--beta", -1, "--budget", -5], "A budget of -5 is not allowed"),
        (["--alpha", 0, "--beta", 0], "neither kind of rows lowers the error"),
        (["--alpha", 0.1, "--beta", 0.1, "--wanted", 1], "without the present error"),
        (["--alpha", 0.1, "--beta", 0.1, "--error-now", 0], "A present error of 0 is not allowed"),
        (["--alpha", 0.1, "--beta", 0.1, "--targets", 0], "0 target properties is not allowed"),
        (["--alpha", 0.1, "--beta", 0.1, "--cost-target", 0], "A cost target of 0"),
        (["{table}", "--where", "source=None"], "All results are from scratch"),
        (["{table}", "--by", "seed"], "a budget needs one: keep its rows with"),
    ],
)
def test_wrong_options_of_budget(epitaxy, table, arguments, words):
    given = (str(a).format(table=table) for a in arguments)
    found = epitaxy("budget", *replaced(PRICES, *given))
    assert words in found.sentence
