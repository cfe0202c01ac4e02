"""`epitaxy study`, and the example of its page."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from epitaxy.cli.study import _time
from salts import in_memory

PAGE = Path(__file__).parents[2] / "docs" / "studies.md"
STUDY = """
name: tiny
base: {verb: train, data: salts.parquet, target: gap, epochs: 1, encoder: {width: 8, layers: 2}}
axes: {seed: [1, 2], loss: [l1, mse]}
compare: {over: seed, baseline: {loss: l1}}
"""


def example() -> str:
    return re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)[0]


@pytest.fixture
def file(epitaxy, tmp_path):
    """Return a study file in the current folder."""
    in_memory().to_parquet("salts.parquet")
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return path


@pytest.mark.slow
def test_a_study_from_file_to_report(epitaxy, file):
    command = ("study", "run", file, "--out", "out", "--workers", "1")
    planned = epitaxy(*command, "--dry-run")
    assert "4 runs, 4 of them to do; nothing was started." in planned.out
    assert "seed=2, loss=mse" in planned.out
    assert not Path("out").exists()
    done = epitaxy(*command)
    assert done.code == 0, done.err
    assert "4 runs: 4 finished now, 0 before, 0 not finished." in done.out
    assert "0 finished now, 4 before" in epitaxy(*command).out
    status = epitaxy("study", "status", "out").out
    assert re.search(r"done +4\n", status)
    assert "nothing is left to do" in status
    assert "4 rows of 4 finished runs" in epitaxy("study", "results", "out", "--out", "r.csv").out
    assert len(pd.read_csv("r.csv")) == 4
    report = epitaxy("study", "report", "out").out
    assert "| mse | gap |" in report


@pytest.mark.slow
def test_failures_are_listed(epitaxy, file):
    file.write_text(STUDY.replace("loss: [l1, mse]", "subset.size: [5, 500]"))
    file.write_text(file.read_text().replace("loss: l1", "subset.size: 5"))
    found = epitaxy("study", "run", file, "--out", "out", "--workers", "1")
    assert found.code == 1
    assert "2 finished now, 0 before, 2 not finished" in found.out
    assert "(seed=1, subset.size=500): 500 rows cannot be drawn" in found.out
    assert "Traceback" not in found.err
    status = epitaxy("study", "status", "out").out
    assert re.search(r"failed +2\n", status)
    assert "500 rows cannot be drawn" in status


def test_mistakes_are_one_sentence(epitaxy, file):
    file.write_text(STUDY.replace("seed:", "sed:").replace("target", "traget"))
    sentence = epitaxy("study", "run", file, "--out", "out").sentence
    assert "Did you mean 'target'?" in sentence
    assert "the axis 'sed'" in sentence.lower()
    assert "cannot be read" in epitaxy("study", "run", "nosuch.yaml", "--out", "out").sentence
    for command in (["status", "."], ["results", ".", "--out", "r.csv"], ["report", "."]):
        assert "is not the folder of a study" in epitaxy("study", *command).sentence


def test_times():
    assert [_time(s) for s in (0, 119, 120, 7300)] == ["0 s", "119 s", "2 min", "2.0 h"]


def test_the_example_of_the_page_has_no_mistakes(epitaxy, tmp_path):
    (tmp_path / "study.yaml").write_text(example())
    found = epitaxy("study", "run", "study.yaml", "--out", "gaps", "--dry-run")
    assert found.code == 0, found.err
    assert "24 runs, 24 of them to do" in found.out


@pytest.mark.slow
def test_the_example_of_the_page_runs(epitaxy, tmp_path):
    """With fewer epochs, which change nothing but the numbers."""
    content = yaml.safe_load(example())
    content["base"]["training"]["epochs"] = 1
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    found = epitaxy("study", "run", "study.yaml", "--out", "gaps", "--workers", "2")
    assert found.code == 0, found.err
    epitaxy("study", "results", "gaps", "--out", "results.csv")
    assert len(pd.read_csv("results.csv")) == 30
    report = epitaxy("study", "report", "gaps")
    assert report.code == 0
    table = pd.read_csv("gaps/report.csv")
    assert len(table) == 10
    assert table["pairs"].tolist() == [0] * 4 + [3] * 6
