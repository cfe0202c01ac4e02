"""The clock of a fit: without a deadline it decides nothing, with one it is obeyed."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.evaluation.bundle import Bundle
from epitaxy.fitting import pace as clock
from epitaxy.fitting import runner as running
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.candidates.family import Task
from epitaxy.fitting.ending import SIMPLEST, ending_cost, finals, payable
from epitaxy.fitting.fit import fit, prepare_fit
from epitaxy.fitting.folds import FOLDS
from epitaxy.fitting.pace import Deadline, Pace
from epitaxy.fitting.plan import Plan
from epitaxy.fitting.protocol import nested
from epitaxy.fitting.runner import PROBLEM, Runner
from epitaxy.fitting.workshop import Workshop
from epitaxy.recipes.predict import predict
from problems import FEW
from salts import content, in_memory, program

PLAIN = {**FEW, "candidates": "descriptors", "sources": ()}
LONG = 60.0


class Clock:
    """In place of `time` in `pace`: stands still but for what each training adds."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def ticking(monkeypatch):
    """Return a function that lets the clock go on by so many seconds with each training."""

    def start(step: float) -> Clock:
        hands, real = Clock(step), running.do_task

        def do_task(folder, task):
            hands.now += hands.step
            return real(folder, task)

        monkeypatch.setattr(clock, "time", hands)
        monkeypatch.setattr(running, "do_task", do_task)
        monkeypatch.setattr(running.Runner, "_stays_here", lambda *_: True)
        return hands

    return start


def plan_of(problem):
    found = [c for name in ("constant", "descriptors") for c in FAMILIES[name].propose(problem)]
    learners = {"constant", "kernel", "ridge", "extra-trees"}
    return Plan(tuple(c for c in found if c.settings["learner"] in learners), "all", (), 1.0)


def timed(problem, folder, seconds):
    problem.save(folder / PROBLEM)
    return Runner(problem, folder, Workshop(1), Pace(deadline=Deadline.after(seconds), rows=30))


def test_a_deadline_ends_what_may_be_left_out_and_says_what(problem, tmp_path, ticking):
    hands = ticking(1.0)
    runner = timed(problem, tmp_path, 60.0)
    outcome = nested(problem, plan_of(problem), runner)
    assert hands.now < 66
    assert np.isfinite(outcome.chosen).all()
    tried = {name for fold in outcome.outer for name in fold.errors}
    assert set(SIMPLEST) <= tried
    assert "descriptors + extra-trees" not in tried
    assert runner.was_stopped
    record = runner.pace.record()
    assert record["seconds"] == 60
    assert any("of 40 trainings done" in said for said in record["left_out"])


def test_a_deadline_that_has_passed_leaves_the_simplest(problem, tmp_path, ticking):
    hands = ticking(0.1)
    runner = timed(problem, tmp_path, 60.0)
    hands.now = 100.0
    outcome = nested(problem, plan_of(problem), runner)
    assert {name for fold in outcome.outer for name in fold.errors} == set(SIMPLEST)
    assert {name for fold in outcome.outer for name in fold.choice.chosen} <= set(SIMPLEST)
    assert np.isfinite(outcome.chosen).all()


def test_a_far_deadline_changes_nothing(problem, tmp_path):
    runner = timed(problem, tmp_path / "a", 1e6)
    problem.save(tmp_path / "b" / PROBLEM)
    with runner.workshop:
        one = nested(problem, plan_of(problem), runner)
    two = nested(problem, plan_of(problem), Runner(problem, tmp_path / "b", Workshop(1)))
    assert np.array_equal(one.chosen, two.chosen)
    assert [fold.errors for fold in one.outer] == [fold.errors for fold in two.outer]
    assert runner.pace.record() is None


def test_what_cannot_be_trained_in_time_is_not_chosen(problem, tmp_path, monkeypatch):
    problem.save(tmp_path / PROBLEM)
    runner = Runner(problem, tmp_path, Workshop(1))
    outer = nested(problem, plan_of(problem), runner).outer
    dear = [replace_choice(fold, {"descriptors + extra-trees": 1.0}) for fold in outer]
    hands = Clock(0.0)
    monkeypatch.setattr(clock, "time", hands)
    runner.pace = Pace(deadline=Deadline.after(1e6))
    assert payable(runner, dear) == dear
    needed = ending_cost(runner, dear) + clock.RESERVE
    runner.pace = Pace(deadline=Deadline.after(0.9 * needed))
    names = {t.candidate.name for t in finals(payable(runner, dear))}
    assert "descriptors + extra-trees" not in names
    assert any("takes more than" in said for said in runner.pace.left_out)


def replace_choice(fold, blend):
    from dataclasses import replace

    return replace(fold, choice=fold.choice._replace(chosen=blend, plain=blend))


def test_slowness_is_that_of_the_trainings_and_of_the_last_ones_if_slower():
    pace = Pace(factor=2.0, contention=3.0)
    assert pace.slowness == 3.0
    for _ in range(20):
        pace.note(1.0, 2 * (1.0 + clock.PER_TASK))
    assert pace.slowness == pytest.approx(1.0)
    for _ in range(clock.RECENT):
        pace.note(1.0, 8 * (1.0 + clock.PER_TASK))
    assert pace.slowness == pytest.approx(4.0)
    assert pace.seconds(10.0) == pytest.approx(80.0)
    assert pace.spare(1e9) == np.inf


def test_processes_in_the_middle_of_something_are_killed(problem, tmp_path, monkeypatch):
    """A training that would take hours is ended, and others take its place."""
    monkeypatch.setattr(running, "START_UP", -1.0)
    problem.save(tmp_path / PROBLEM)
    (dear,) = FAMILIES["head"].propose(problem)
    pace = Pace(deadline=Deadline.after(20.0))
    runner = Runner(problem, tmp_path, Workshop(2), pace)
    tasks = [Task(dear, held, epochs=10**6) for held in ((0, 1), (1, 2))]
    monkeypatch.setattr(Runner, "seconds", lambda *_: 1.0)
    began = time.monotonic()
    with runner.workshop as workshop:
        runner.do(tasks, "Comparing networks", tail=lambda _: 0.0)
        assert not workshop.has_begun
    assert time.monotonic() - began < 20
    assert pace.record()["left_out"] == ["comparing networks (0 of 2 trainings done)"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_the_fit(how, tmp_path):
    in_memory().to_parquet(tmp_path / "salts.parquet")
    options = ("--target", "gap", "--budget", "10m", "--threads", "2", "--candidates", "mixture")
    fit_it = ("--quiet", "fit", tmp_path / "salts.parquet", *options, "--out", tmp_path / "run")
    process = program(*fit_it)
    end = time.monotonic() + LONG
    while len(found := workers(process.pid)) < 2:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.05)
    os.kill(process.pid, how)
    process.communicate()
    end = time.monotonic() + 5
    while any(Path(f"/proc/{n}").exists() and not is_zombie(n) for n in found):
        assert time.monotonic() < end
        time.sleep(0.05)


def workers(process) -> list[int]:
    tasks = Path(f"/proc/{process}/task")
    return [int(n) for t in tasks.glob("*/children") for n in t.read_text().split()]


def is_zombie(process) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_fit_that_was_ended_is_whole_and_goes_on(tmp_path, ticking):
    table, out = in_memory(), tmp_path / "run"
    hands = ticking(1.0)
    ended = fit(table, "gap", out, deadline=60, **PLAIN)
    assert hands.now < 66
    assert ended.score["deadline"]["seconds"] == 60
    sentence = "The deadline of 60 s ended the search"
    assert sentence in ended.text()
    assert sentence in (out / "README.md").read_text()
    assert len(predict(out, table)) == 30
    assert not (out / "work").exists()
    hands.step = 0.0
    before = set(tmp_path.glob(".run.unfinished/work/*/tasks/*/held.npy"))
    assert before
    longer = fit(table, "gap", out, **PLAIN)
    assert longer.score["deadline"] is None
    assert not list(tmp_path.glob(".run.*"))
    whole = fit(table, "gap", tmp_path / "whole", **PLAIN)
    for name in ("score.json", "fit.json", "README.md"):
        assert (out / name).read_bytes() == (whole.folder / name).read_bytes()
    assert content(out / "models") == content(whole.folder / "models")
    assert Bundle.read(out).header.whole
    # Finished by itself, it is as safe as any other.
    with pytest.raises(InputError, match="other settings"):
        fit(table, "gap", out, **PLAIN | {"budget": "1h"})


def test_only_a_fit_of_the_same_question_goes_on(tmp_path, ticking):
    ticking(1.0)
    fit(in_memory(), "gap", tmp_path / "run", deadline=60, **PLAIN)
    with pytest.raises(InputError, match="other settings"):
        fit(in_memory(), "gap", tmp_path / "run", seed=1, **PLAIN)


def test_a_deadline_without_a_budget_is_the_budget():
    settings = PLAIN | {"budget": None}
    made = prepare_fit(in_memory(), "gap", deadline="100s", **settings)
    assert 80 < made.seconds < 90
    assert prepare_fit(in_memory(), "gap", deadline="100s", **PLAIN).seconds == 30
    with pytest.raises(InputError, match="deadline 'soon' is no duration"):
        prepare_fit(in_memory(), "gap", deadline="soon", **settings)


def test_the_calibration_is_that_of_the_folder(tmp_path, monkeypatch):
    settings = PLAIN | {"calibration": None}
    monkeypatch.setattr("epitaxy.fitting.fit.machine_factor", lambda: 2.0)
    fit(in_memory(), "gap", tmp_path / "run", **settings)
    assert "calibration: 2.0" in (tmp_path / "run" / "config.yaml").read_text()
    monkeypatch.setattr("epitaxy.fitting.fit.machine_factor", lambda: pytest.fail("measured"))
    fit(in_memory(), "gap", tmp_path / "run", **settings)
    with pytest.raises(InputError, match="calibration 0"):
        prepare_fit(in_memory(), "gap", **settings | {"calibration": 0.0})


def test_folds_of_a_plan_do_not_depend_on_the_clock():
    made = [prepare_fit(in_memory(), "gap", **PLAIN | {"deadline": d}) for d in (None, 1e6)]
    assert made[0].plan == made[1].plan
    assert len(made[0].plan.shallow) > FOLDS
    assert json.dumps(made[0].plan.lines()) == json.dumps(made[1].plan.lines())
