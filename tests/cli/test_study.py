"""`epitaxy study`, and the example of its page."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from epitaxy.cli.study import _time
from epitaxy.core.properties import PropertySpec
from epitaxy.studies.study_file import ready_names, show_study
from salts import GAPS, IDS, in_memory

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


def test_the_shipped_studies_are_listed_and_shown(epitaxy):
    listed = epitaxy("study", "list")
    assert listed.code == 0
    lines = listed.out.splitlines()
    assert len(lines) == len(ready_names())
    assert [line.split()[0] for line in lines] == ready_names()
    assert "(245 combinations, quick 12; needs data_folder)" in listed.out
    assert epitaxy("study", "show", "sparsity").out == show_study("sparsity")
    assert "Did you mean 'sparsity'?" in epitaxy("study", "show", "sparsty").sentence


def test_what_is_shown_can_be_copied_and_run(epitaxy, tmp_path):
    task = "piezoelectric_tensor"
    in_memory().with_property(PropertySpec(name="target"), list(GAPS.values())).to_parquet(
        f"{task}.parquet"
    )
    parts = {"train": IDS[:20], "val": IDS[20:25], "test": IDS[25:]}
    Path(f"{task}.splits.json").write_text(json.dumps({"seed0": parts}))
    content = yaml.safe_load(epitaxy("study", "show", "sparsity").out)
    content["base"] |= {"recipe": "default", "training": {"epochs": 2}}
    content["axes"]["trial"] = [0]
    Path("mine.yaml").write_text(yaml.safe_dump(content))
    experts = "descriptors:composition,descriptors:geometry"
    options = ("--data-folder", tmp_path, "--experts", experts, "--set", "k=[1, 2]")
    found = epitaxy("study", "run", "mine.yaml", "--out", "out", *options, "--workers", 1)
    assert found.code == 0, found.err
    assert "2 runs: 2 finished now" in found.out
    again = epitaxy("study", "run", "out/study.yaml", "--out", "out")
    assert "0 finished now, 2 before" in again.out


def test_what_a_shipped_study_lacks_is_said(epitaxy, tmp_path):
    found = epitaxy("study", "run", "sparsity", "--out", "out")
    assert "(1) The parameter 'data_folder' needs a value: --data-folder FOLDER." in found.sentence
    assert "'experts' needs a value: --experts MODEL,MODEL,..." in found.sentence
    found = epitaxy("study", "run", "sparsity", "--out", "out", "--set", "expert=a")
    assert "Did you mean 'experts'?" in found.sentence
    assert not Path("out").exists()


def test_an_unknown_executor(epitaxy, file):
    found = epitaxy("study", "run", file, "--out", "out", "--executor", "rey")
    assert "Did you mean 'ray'?" in found.sentence
    assert not Path("out").exists()


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
    sentence = epitaxy("study", "run", "nosuch.yaml", "--out", "out").sentence
    assert "There is no study file 'nosuch.yaml'" in sentence
    assert "Did you mean 'study.yaml'?" in sentence
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
