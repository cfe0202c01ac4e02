"""The protocol as a whole: what is chosen, what is handed over, and what a killed run does."""

import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.fitting import plan as planning
from epitaxy.fitting import runner as running
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.candidates.family import Task
from epitaxy.fitting.fit import fit
from epitaxy.fitting.plan import Plan, make_plan
from epitaxy.fitting.problem import open_problem
from epitaxy.fitting.protocol import nested
from epitaxy.fitting.runner import PROBLEM, Runner
from epitaxy.fitting.verdict import judge
from epitaxy.fitting.workshop import Workshop
from problems import FEW, problem_of
from salts import content, program

SHALLOW = ["constant", "descriptors", "embeddings", "combined"]
SAME = ("predictions.parquet", "score.json", "candidates.csv", "fit.json", "README.md")


def started(problem, folder, *, threads=1):
    problem.save(folder / PROBLEM)
    return Runner(problem, folder, Workshop(threads))


def quick_plan(problem, learners=("constant", "kernel", "ridge")):
    found = [c for name in SHALLOW for c in FAMILIES[name].propose(problem)]
    kept = tuple(c for c in found if c.settings["learner"] in learners)
    return Plan(kept, "all", (), 1.0)


def test_a_problem_comes_back_from_its_folder(problem, tmp_path):
    problem.save(tmp_path / "p")
    again = open_problem(tmp_path / "p")
    assert again.key == problem.key
    assert again.sources == problem.sources
    assert np.array_equal(again.folds, problem.folds)


def test_guard_falls_back_when_the_source_is_unrelated(problem, tmp_path):
    """The source's vectors are noise, as those of a model trained on shuffled labels."""
    outcome = nested(problem, quick_plan(problem), started(problem, tmp_path))
    verdict = judge(problem, outcome)
    assert verdict.used_in == 0
    assert "Transfer did not help" in verdict.sentence
    assert "uses no transfer" in verdict.sentence
    assert np.array_equal(verdict.handed.predictions, outcome.plain)


def test_guard_takes_a_source_that_knows_more(tmp_path):
    problem = problem_of()
    blocks = {"composition": problem.blocks["other"], "other": problem.blocks["composition"]}
    object.__setattr__(problem, "blocks", blocks)
    outcome = nested(problem, quick_plan(problem), started(problem, tmp_path))
    verdict = judge(problem, outcome)
    assert verdict.used_in == 5
    assert verdict.sentence.startswith("Transfer helped: it was taken in 5 of 5 outer folds")
    assert (
        np.abs(outcome.chosen - problem.labels).mean()
        < 0.5 * np.abs(outcome.plain - problem.labels).mean()
    )


def test_the_outer_error_of_noise_is_not_too_good(tmp_path):
    """Nothing can be learned: the choice among many must not look better than a constant."""
    labels = np.random.default_rng(5).normal(size=30) + 10
    problem = problem_of(labels)
    blocks = {
        name: np.random.default_rng(6).normal(size=b.shape) for name, b in problem.blocks.items()
    }
    object.__setattr__(problem, "blocks", blocks)
    outcome = nested(problem, quick_plan(problem), started(problem, tmp_path))
    error = np.abs(outcome.chosen - labels).mean()
    constant = np.abs(np.median(labels) - labels).mean()
    assert error > 0.95 * constant
    best = min(min(fold.errors.values()) for fold in outcome.outer)
    assert best < error


def test_outer_rows_take_no_part_in_the_choice(problem, tmp_path):
    """Labels of one outer fold change: what is chosen for it, and predicted for it, does not."""
    labels = problem.labels.copy()
    rows = problem.outside((2,))
    labels[rows] = labels[rows][::-1] * 3
    other = problem_of()
    object.__setattr__(other, "table", other.table.with_property(other.spec, labels))
    outcomes = [
        nested(p, quick_plan(p), started(p, tmp_path / name))
        for name, p in (("a", problem), ("b", other))
    ]
    assert outcomes[0].outer[2].choice == outcomes[1].outer[2].choice
    assert np.array_equal(outcomes[0].chosen[rows], outcomes[1].chosen[rows])
    assert not np.array_equal(outcomes[0].chosen, outcomes[1].chosen)


def test_learning_scales_are_chosen_inside(tmp_path):
    problem = problem_of()
    labels = np.exp(4 * (problem.labels - problem.labels.mean()))
    skewed = problem_of(labels)
    assert skewed.transforms(0) == ("identity", "log")
    assert problem.transforms(0) == ("identity",)
    plan = quick_plan(skewed, ("constant", "ridge"))
    outcome = nested(skewed, plan, started(skewed, tmp_path))
    assert all(any("log" in name for name in f.choice.chosen) for f in outcome.outer)
    # Errors stay in physical units.
    assert np.abs(outcome.chosen - labels).mean() < np.abs(np.median(labels) - labels).mean()


def test_a_training_that_fails_ends_itself_alone(problem, tmp_path, monkeypatch):
    family = FAMILIES["descriptors"]
    train = type(family).train

    def failing(self, task, *rest):
        if task.candidate.settings["learner"] == "ridge":
            raise InputError("The loss became nan.")
        return train(self, task, *rest)

    monkeypatch.setattr(type(family), "train", failing)
    outcome = nested(problem, quick_plan(problem), started(problem, tmp_path))
    assert np.isfinite(outcome.chosen).all()
    assert not any("ridge" in name for name in outcome.outer[0].errors)
    assert list(tmp_path.rglob("failed.txt"))


def networks(problem, *, epochs=2, screening=1):
    names = [c for name in ("head", "finetune") for c in FAMILIES[name].propose(problem)]
    shallow = tuple(c for c in FAMILIES["constant"].propose(problem))
    return Plan(shallow, "all", (), 1.0, tuple(names), screening, epochs, finalists=1)


@pytest.mark.slow
def test_networks_are_screened_and_the_best_goes_on(problem, tmp_path):
    outcome = nested(problem, networks(problem), started(problem, tmp_path))
    for fold in outcome.outer:
        assert sum("1 epochs" in name for name in fold.screened) == 2
        assert not any("1 epochs" in name for name in fold.errors)
        assert sum("2 epochs" in name for name in fold.errors) == 1
        assert not any("1 epochs" in name for name in fold.variants)
    assert np.isfinite(outcome.chosen).all()


def test_networks_are_planned_as_far_as_the_budget_goes(problem):
    object.__setattr__(problem, "speeds", {"other": 5e-3, "cgcnn": 5e-3})
    families = [*SHALLOW, "head", "finetune"]
    few, more, all_ = (make_plan(problem, families, b, 1) for b in (30, 150, 3600))
    assert "finetune" not in {c.family for c in few.networks}
    assert "finetune" in {c.family for c in more.networks}
    assert min(planning.EPOCHS) <= more.epochs < all_.epochs == max(planning.EPOCHS)
    for plan, budget in ((few, 30), (more, 150), (all_, 3600)):
        assert plan.seconds <= budget
    assert make_plan(problem, families, 150, 2).epochs > more.epochs


@pytest.mark.slow
def test_two_processes_find_the_same_numbers(problem, tmp_path):
    plan = quick_plan(problem, ("constant", "kernel", "ridge", "extra-trees"))
    one = nested(problem, plan, started(problem, tmp_path / "1"))
    runner = started(problem, tmp_path / "2", threads=2)
    with runner.workshop as workshop:
        two = nested(problem, plan, runner)
        assert workshop.has_begun
    assert np.array_equal(one.chosen, two.chosen)
    assert [f.errors for f in one.outer] == [f.errors for f in two.outer]


def test_an_interrupted_fit_goes_on_and_ends_the_same(finished, folder, tmp_path, monkeypatch):
    settings = {"candidates": "descriptors,embeddings", "sources": "zoo:cgcnn-band-gap"}
    settings |= {"unit": "eV", **FEW}
    real, times = running.do_task, []

    def interrupted(place, task):
        times.append(task)
        if len(times) == 20:
            raise KeyboardInterrupt
        return real(place, task)

    monkeypatch.setattr(running, "do_task", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(folder, "gap", tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()
    before = len(times)
    again = fit(folder, "gap", tmp_path / "run", **settings)
    assert len(set(times[:19]) & set(times[before:])) == 0
    for name in SAME:
        assert (again.folder / name).read_bytes() == (finished.folder / name).read_bytes(), name
    assert content(again.folder / "models") == content(finished.folder / "models")


@pytest.mark.slow
def test_killed_at_random_moments_the_answer_is_the_same(folder, tmp_path):
    """Kill the same command ten times at random moments, then let it end."""
    options = ("--target", "gap", "--budget", "30s", "--threads", "2")
    options = ("--quiet", "fit", folder, *options, "--candidates", "descriptors,head")
    whole = subprocess.run([*command(options, tmp_path / "whole")], check=True, cwd=tmp_path)
    assert whole.returncode == 0
    assert "head of" in (tmp_path / "whole" / "candidates.csv").read_text()
    random = np.random.default_rng(3)
    for _ in range(10):
        process = program(*options, "--out", tmp_path / "run", start_new_session=True)
        time.sleep(float(random.uniform(2, 12)))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    end = program(*options, "--out", tmp_path / "run")
    _, err = end.communicate()
    assert end.returncode == 0, err
    for name in SAME:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert content(tmp_path / "run" / "models") == content(tmp_path / "whole" / "models")


def command(options, out):
    return [sys.executable, "-m", "epitaxy", *map(str, options), "--out", str(out)]


def test_tasks_are_known_by_their_content(problem):
    candidate = FAMILIES["descriptors"].propose(problem)[0]
    keys = {
        Task(candidate, held, scale).key(problem)
        for held in ((0,), (0, 1))
        for scale in ("identity", "log")
    }
    assert len(keys) == 4
    assert Task(candidate, (0,)).key(problem_of(seed=1)) not in keys


def test_progress_tells_the_best_so_far(problem, tmp_path, caplog):
    logging.getLogger("epitaxy").propagate = True
    with caplog.at_level(logging.INFO, "epitaxy"):
        nested(problem, quick_plan(problem), started(problem, tmp_path))
    assert any("best so far: " in r.getMessage() for r in caplog.records)


def test_guard_wants_transfer_in_half_of_the_outer_folds(problem, tmp_path):
    outcome = nested(problem, quick_plan(problem), started(problem, tmp_path))
    folds = tuple(
        replace(fold, choice=fold.choice._replace(transfers=fold.number < 2))
        for fold in outcome.outer
    )
    verdict = judge(problem, replace(outcome, outer=folds))
    assert "in only 2 of the 5 outer folds" in verdict.sentence
    assert verdict.used_in == 0
    assert np.array_equal(verdict.handed.predictions, outcome.plain)
