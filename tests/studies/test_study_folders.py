"""Studies that are run in this process: folders, states, tables and reports."""

import fcntl
import json
import math
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from epitaxy.core.errors import InputError
from epitaxy.recipes.running import read_run
from epitaxy.results.summary import mean_ranks, summary
from epitaxy.studies import status
from epitaxy.studies.config import Compare
from epitaxy.studies.expanding import Plan, PlannedRun
from epitaxy.studies.folder import StudyFolder
from epitaxy.studies.report import study_report
from epitaxy.studies.results import study_results
from epitaxy.studies.run import run_study
from epitaxy.studies.status import study_status
from epitaxy.studies.subsets import Subset, subset_split
from salts import IDS, in_memory

TUNED = 4


@pytest.fixture
def whole(study, here, tmp_path):
    """Return a finished study."""
    return run_study(study(), "out").folder


def test_everything_is_run_once(study, here, whole):
    plan = StudyFolder(whole).read().plan
    assert {p.name for p in (whole / "runs").iterdir()} == set(plan.runs)
    files = {p.name for p in whole.iterdir()}
    assert files == {".epitaxy", ".lock", "log.jsonl", "plan.json", "runs", "study.yaml"}
    assert not list(whole.rglob("report.html"))
    again = run_study(study(), "out")
    assert (again.finished_before, again.finished, again.failed) == (7, 0, {})
    more = run_study(study(lambda c: c["axes"]["trial"].append(3)), "out", dry_run=True)
    assert (len(more.plan.runs), more.finished_before) == (10, 7)
    assert len(StudyFolder(whole).read().plan.runs) == 7


def test_a_run_is_what_the_function_makes_of_its_arguments(whole, tmp_path):
    from epitaxy import finetune

    plan = StudyFolder(whole).read().plan
    run = next(r for r in plan.runs.values() if r.verb == "finetune")
    parent = whole / "runs" / run.needs[0]
    settings = {**run.arguments, "from_model": parent}
    alone = finetune(**settings, out=tmp_path / "alone")
    pd.testing.assert_frame_equal(alone.predictions, read_run(whole / "runs" / run.id).predictions)


def test_other_folders_and_other_studies_are_left_alone(study, here, whole, tmp_path):
    with pytest.raises(InputError, match="holds the study 'tiny', not 'other'"):
        run_study(study(name="other"), "out")
    run = next((whole / "runs").iterdir())
    with pytest.raises(InputError, match="something other than a study"):
        run_study(study(), run)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(InputError, match="was not written by epitaxy"):
        run_study(study(), "mine")
    for call in (study_status, study_results, study_report):
        with pytest.raises(InputError, match="is not the folder of a study"):
            call("mine")


def test_two_at_once_are_refused(study, here, whole, monkeypatch):
    monkeypatch.setattr("epitaxy.studies.folder.PATIENCE", 0.1)
    with (whole / ".lock").open("r") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert study_status(whole).is_running
        with pytest.raises(InputError, match="Another process is running the study"):
            run_study(study(), "out")
    assert not study_status(whole).is_running


def test_results_are_tidy(whole):
    frame = study_results(whole, "results.csv")
    assert list(frame) == [
        *("run", "role", "source", "strategy", "trial", "property"),
        *("mae", "rmse", "r2", "n", "unit", "mae_low", "mae_high", "baseline_mae"),
        *("seconds", "epochs"),
    ]
    assert len(frame) == 1 + 8
    assert set(frame["epochs"]) == {2}
    (source,) = frame[frame["role"] == "source:salts"].index
    assert frame.loc[source, ["source", "strategy", "trial"]].isna().all()
    for row in frame.itertuples():
        found = read_run(whole / "runs" / row.run)
        assert row.mae == found.mae()
        numbers = found.metrics["test"]["gap"]
        assert row.n == numbers["n"]
        assert [row.mae_low, row.mae_high] == numbers["mae_interval"]
        assert row.baseline_mae == numbers["baseline_mae"]
    written = pd.read_csv("results.csv")
    assert "2.0" not in (whole.parent / "results.csv").read_text().split("trial")[0]
    assert np.allclose(written["mae"], frame["mae"])
    with pytest.raises(InputError, match="Did you mean 'test'"):
        study_results(whole, part="tset")
    val = study_results(whole, part="val")
    assert not np.allclose(val["mae"], frame["mae"])
    (whole / "runs" / frame["run"][0] / "metrics.json").write_text("{")
    with pytest.raises(InputError, match=r"metrics\.json.*remove it"):
        study_results(whole)


def test_what_fails_is_listed_and_the_rest_goes_on(study, here, monkeypatch):
    from epitaxy.studies.executors import EXECUTORS

    class Fails(EXECUTORS["local"]):
        def submit(self, task):
            if task.id in broken:
                self.done.append(task.id)
            else:
                super().submit(task)

        def wait(self):
            outcome = super().wait()
            reason = "the disk is on fire" if outcome.id in broken else ""
            return replace(outcome, reason=reason)

    path = study()
    plan = run_study(path, "out", dry_run=True).plan
    broken = [run.id for run in plan.runs.values() if run.source]
    monkeypatch.setitem(EXECUTORS.table, "local", "epitaxy.studies.run:Fails")
    monkeypatch.setattr("epitaxy.studies.run.Fails", Fails, raising=False)
    done = run_study(path, "out")
    assert (done.finished, len(done.failed)) == (2, 1 + TUNED)
    assert done.failed[broken[0]] == "the disk is on fire"
    found = study_status("out")
    assert [found.count(s) for s in status.STATES] == [2, 0, 1, TUNED, 0]
    assert found.labels[broken[0]] == "source:salts"
    assert found.seconds_left == 0


def log(folder, *events):
    study = StudyFolder(folder)
    for kind, more in events:
        study.record(kind, **more)


def test_states_come_from_folders_and_log(study, here, monkeypatch, tmp_path):
    done = run_study(study(), "out", dry_run=True)
    folder = StudyFolder("out")
    folder.root.mkdir()
    from epitaxy.studies.study_file import read_study

    folder.write(read_study(study())[0], done.plan, "")
    first, second, third, *rest = done.plan.runs
    assert study_status("out").seconds_left is None
    log("out", ("began", {"workers": 2}), ("started", {"run": first}))
    assert study_status("out").states[first] == "waiting"  # its process is gone
    with folder.locked():
        assert study_status("out").states[first] == "running"
        (folder.root / "runs" / first).mkdir()
        log("out", ("finished", {"run": first, "seconds": 10.0}))
        log("out", ("failed", {"run": second, "seconds": 1.0, "reason": "why"}))
        log("out", ("not run", {"run": third, "reason": "because"}))
        found = study_status("out")
        assert list(found.states.values()) == ["done", "failed", "not run", *["waiting"] * 4]
        assert found.reasons == {second: "why", third: "because"}
        assert found.seconds_left == pytest.approx(4 * 10 / 2)
        log("out", ("started", {"run": rest[0]}))
        assert study_status("out").seconds_left == pytest.approx(4 * 10 / 2, abs=1)
    with (folder.root / "log.jsonl").open("a") as file:
        file.write('{"event": "star')  # killed in the middle of a line
    log("out", ("began", {"workers": 1}))
    assert study_status("out").states[second] == "waiting"
    assert study_status("out").workers == 1


def test_a_status_of_a_thousand_runs_is_quick(study, here):
    path = study(lambda c: c["axes"].update(trial=list(range(333))))
    plan = run_study(path, "out", dry_run=True).plan
    folder = StudyFolder("out")
    folder.root.mkdir()
    from epitaxy.studies.study_file import read_study

    folder.write(read_study(path)[0], plan, "")
    log("out", ("began", {"workers": 2}))
    for identity in plan.runs:
        (folder.root / "runs" / identity).mkdir()
        log("out", ("started", {"run": identity}), ("finished", {"run": identity, "seconds": 1.0}))
    began = time.perf_counter()
    assert study_status("out").count("done") == 1000
    assert time.perf_counter() - began < 1.0


def test_status_needs_no_torch():
    import subprocess
    import sys

    code = (
        "import sys, epitaxy.cli.study, epitaxy.studies.status\n"
        "sys.exit(str({'torch', 'matplotlib', 'pandas'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() in {"", "set()"}


def rows(**errors):
    """Return results of runs called SOURCE_STRATEGY, one error per trial."""
    found = []
    for name, values in errors.items():
        source, strategy = name.split("_")
        for trial, mae in enumerate(values, 1):
            labels = {"source": source, "strategy": strategy, "trial": trial}
            found.append({**labels, "property": "gap", "unit": "eV", "mae": mae, "rmse": 2 * mae})
    return pd.DataFrame(found)


AXES = ("source", "strategy", "trial")


def test_summary_by_hand():
    """Trials 10, 12, 11 against 8, 9, 10: difference -2 ± 4.303 / sqrt(3), t = -3.464."""
    frame = rows(scratch_full=[10, 12, 11], gap_full=[8, 9, 10], gap_head=[20, 24])
    compare = Compare(over="trial", baseline={"source": "scratch"})
    labels = frame[list(AXES)].to_dict("records")
    table = summary(frame, AXES, compare, labels).set_index(["source", "strategy"])
    base, full, head = (
        table.loc[key] for key in [("scratch", "full"), ("gap", "full"), ("gap", "head")]
    )
    assert (base["n"], base["mae"], base["pairs"]) == (3, 11, 0)
    assert full["mae"] == 9
    assert full["change_percent"] == pytest.approx(100 * 2 / 11)
    assert full["difference"] == -2
    reach = 4.302653 / math.sqrt(3)
    assert (full["difference_low"], full["difference_high"]) == pytest.approx(
        (-2 - reach, -2 + reach)
    )
    assert full["p_t"] == pytest.approx(0.0741799)
    assert full["p_wilcoxon"] == pytest.approx(0.25)
    # From scratch there is one strategy, so that it is the baseline of all.
    assert (head["pairs"], head["difference"]) == (2, 11)
    # Differences 10 and 12: t = 11 with one degree of freedom, p = 2 arctan(1 / 11) / pi.
    assert head["p_t"] == pytest.approx(2 * math.atan(1 / 11) / math.pi)
    assert full["p_holm"] == head["p_holm"] == pytest.approx(2 * head["p_t"])
    by_rmse = Compare(over="trial", metric="rmse")
    plain = summary(frame, AXES, by_rmse, labels)
    assert list(plain) == ["source", "strategy", "property", "unit", "n", "rmse", "low", "high"]
    assert plain["rmse"][0] == 22


def test_unfinished_baselines_are_not_those_of_other_conditions():
    planned = rows(scratch_full=[1, 2], scratch_head=[1, 2], gap_full=[1, 2], gap_head=[1, 2])
    finished = rows(scratch_full=[1, 2], gap_full=[3, 4], gap_head=[5, 7])
    compare = Compare(over="trial", baseline={"source": "scratch"})
    table = summary(finished, AXES, compare, planned[list(AXES)].to_dict("records"))
    assert table["pairs"].tolist() == [0, 2, 0]


def test_ranks_of_complete_blocks():
    frame = rows(
        scratch_full=[3, 3, 9], gap_full=[1, 4], gap_head=[2, 2, 2], scratch_head=[2, 4, 5]
    )
    ranks = mean_ranks(frame, AXES, Compare(over="trial", baseline={"source": "scratch"}))
    # gap wins, loses (full); ties, wins, wins (head)
    assert ranks.to_dict("records") == [
        {"source": "gap", "mean_rank": 1.3, "blocks": 5},
        {"source": "scratch", "mean_rank": 1.7, "blocks": 5},
    ]
    assert mean_ranks(frame, AXES, Compare(over="trial")).empty


def test_report(study, here, whole):
    found = study_report(whole)
    assert found.table["n"].tolist() == [2] * 4
    assert found.table["pairs"].tolist() == [0, 0, 2, 2]
    text = (whole / "report.md").read_text()
    assert "against source scratch: positive is better" in text
    assert text.count("\n| ") == 2 + 4 + 2 + 2
    assert len(pd.read_csv(whole / "report.csv")) == 4
    run_study(study(compare=None), "out")
    with pytest.raises(InputError, match="does not say what to average over"):
        study_report(whole)


def test_a_report_needs_something_finished(study, here, whole):
    import shutil

    shutil.rmtree(whole / "runs")
    assert study_results(whole).empty
    with pytest.raises(InputError, match="no finished run yet"):
        study_report(whole)


def test_subsets_are_nested_and_leave_the_test_part_alone(study):
    study()
    given = {"data": "salts.parquet", "target": "gap", "split": "random:0"}
    made = {n: subset_split(Subset(size=n, seed=3), given) for n in (6, 12, 20)}
    assert set(made[6].train) < set(made[12].train) < set(made[20].train)
    assert len({s.test for s in made.values()}) == 1
    assert [len(s.train) for s in made.values()] == [6, 12, 20]
    assert [len(s.val) for s in made.values()] == [1, 2, 2] or made[20].sizes[1] <= 3
    other = subset_split(Subset(size=6), {**given, "training": {"seed": 3}})
    assert other.train == made[6].train
    assert subset_split(Subset(size=6, seed=4), given).train != made[6].train
    even = subset_split(Subset(size=6, sampling="uniform", seed=3), given)
    assert set(even.train) != set(made[6].train)
    with pytest.raises(InputError, match="cannot be drawn from"):
        subset_split(Subset(size=1000), given)
    assert set(made[20].train) <= set(IDS)


def test_subset_of_several_properties(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = in_memory()
    from epitaxy.core.properties import PropertySpec

    column = np.where(np.arange(30) % 2, table.column("gap"), np.nan)
    table.with_property(PropertySpec(name="half"), column).to_parquet("two.parquet")
    given = {"data": "two.parquet", "target": ["*"], "split": "random:0"}
    assert subset_split(Subset(size=5), given).sizes[0] == 5
    with pytest.raises(InputError, match="values of one property"):
        subset_split(Subset(size=5, sampling="weighted"), given)


def test_labels_of_runs_that_stand_for_several_combinations():
    run = PlannedRun("a", "train", {}, (), None)
    cells = (("a", {"s": 1, "t": 1}), ("a", {"s": 1, "t": 2}))
    assert status.run_labels(Plan({"a": run}, cells)) == {"a": "s=1"}
    assert status.run_labels(Plan({"a": run}, (("a", {}),))) == {"a": "the only run"}


def test_the_plan_is_json(whole):
    assert json.loads((whole / "plan.json").read_text())["axes"] == ["source", "strategy", "trial"]
