"""Repeats of the protocol with other compositions in the folds."""

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.evaluation.bundle import Bundle
from epitaxy.fitting import runner as running
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.fit import fit, prepare_fit
from epitaxy.fitting.folds import FOLDS
from epitaxy.fitting.pace import Pace
from epitaxy.fitting.plan import MOST_REPEATS, Plan, make_plan
from epitaxy.fitting.repeats import folds_of, merged, problem_of_repeat, run_repeats
from epitaxy.fitting.workshop import Workshop
from epitaxy.recipes.predict import predict
from problems import FEW, problem_of
from salts import GAPS, content, in_memory

TWICE = {**FEW, "candidates": "descriptors", "sources": (), "repeats": 2}
SAME = ("predictions.parquet", "score.json", "candidates.csv", "fit.json", "README.md")


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """Return a fit of two repeats; nobody may change it."""
    return fit(in_memory(), "gap", tmp_path_factory.mktemp("twice") / "run", **TWICE)


def done(problem, tmp_path, *, repeats=2):
    found = [c for name in ("constant", "descriptors") for c in FAMILIES[name].propose(problem)]
    kept = tuple(c for c in found if c.settings["learner"] in {"constant", "kernel", "ridge"})
    plan = Plan(kept, "ring", (), 1.0, repeats=repeats)
    return run_repeats(problem, plan, tmp_path, Workshop(1), Pace())


def test_a_repeat_has_other_folds_and_the_same_features(problem):
    first, again, third = (problem_of_repeat(problem, n) for n in (0, 1, 2))
    assert first is problem
    assert again.blocks is problem.blocks
    assert len({p.key for p in (first, again, third)}) == 3
    together = [f == f[:, None] for f in (first.folds, again.folds, third.folds)]
    assert not np.array_equal(together[0], together[1])
    assert not np.array_equal(together[1], together[2])
    same = np.array(problem.table.formulas)
    assert together[1][same == same[:, None]].all()
    assert np.array_equal(problem_of_repeat(problem, 1).folds, again.folds)


def test_a_crystal_is_predicted_by_models_of_every_repeat_that_did_not_see_it(problem, tmp_path):
    """Labels change in what one repeat holds out together; its own predictions of it do not."""
    parts = done(problem, tmp_path / "a")
    both = merged(parts)
    assert np.array_equal(both.chosen, (parts[0].outcome.chosen + parts[1].outcome.chosen) / 2)
    assert len(both.outer) == 2 * FOLDS
    rows = parts[1].problem.outside((2,))
    labels = problem.labels.copy()
    labels[rows] = labels[rows][::-1] * 3
    other = problem_of()
    object.__setattr__(other, "table", other.table.with_property(other.spec, labels))
    changed = done(other, tmp_path / "b")
    assert np.array_equal(changed[1].outcome.chosen[rows], parts[1].outcome.chosen[rows])
    assert not np.array_equal(changed[0].outcome.chosen[rows], parts[0].outcome.chosen[rows])


def test_outer_folds_are_numbered_through(problem, tmp_path):
    parts = done(problem, tmp_path)
    numbers = folds_of(parts)
    assert numbers.shape == (30, 2)
    assert np.array_equal(numbers[:, 0], problem.folds)
    assert np.array_equal(numbers[:, 1], FOLDS + parts[1].problem.folds)
    assert np.array_equal(folds_of(parts[:1]), problem.folds)


def test_a_repeated_fit_hands_over_the_models_of_all_repeats(twice):
    score, frame = twice.score, twice.predictions
    assert sorted(frame["id"]) == sorted(GAPS)
    assert twice.mae == pytest.approx((frame["y_true"] - frame["y_pred"]).abs().mean())
    assert score["n"] == 30
    assert score["repeats"] == len(score["repeat_maes"]) == 2
    # The mean of two models is not worse than the two are in the mean.
    assert twice.mae <= np.mean(score["repeat_maes"]) + 1e-12
    assert score["repeat_maes"][0] != score["repeat_maes"][1]
    each = ", ".join(f"{error:.3g}" for error in score["repeat_maes"])
    assert f"Each of the 2 repeats by itself: {each}." in twice.text()
    assert twice.candidates["chosen_in"].max() <= 2 * FOLDS
    assert "repeats: 2" in (twice.folder / "config.yaml").read_text()
    assert "5 outer folds, drawn 2 times" in (twice.folder / "README.md").read_text()
    bundle = Bundle.read(twice.folder)
    assert len(bundle.header.folds) == 2 * FOLDS
    assert bundle.calibration.conformal.folds.shape == (30, 2)
    found = predict(twice.folder, in_memory())
    assert (found["y_lower"] < found["y_pred"]).all()
    assert (found["y_pred"] < found["y_upper"]).all()


def test_the_first_repeat_is_what_one_repeat_finds(twice, tmp_path):
    once = fit(in_memory(), "gap", tmp_path / "run", **TWICE | {"repeats": 1})
    assert once.mae == twice.score["repeat_maes"][0]
    assert once.score["repeat_maes"] == [once.mae]


def test_an_interrupted_repeat_goes_on_and_ends_the_same(twice, tmp_path, monkeypatch):
    real, times = running.do_task, []

    def interrupted(place, task):
        times.append((place.name, task))
        if len([name for name, _ in times if name == "repeat-1"]) == 5:
            raise KeyboardInterrupt
        return real(place, task)

    monkeypatch.setattr(running, "do_task", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(in_memory(), "gap", tmp_path / "run", **TWICE)
    before = len(times)
    again = fit(in_memory(), "gap", tmp_path / "run", **TWICE)
    # What is trained on everything is trained last, in the folder of the first repeat.
    assert {name for name, task in times[before:] if task.held} == {"repeat-1"}
    assert {name for name, task in times[before:] if not task.held} == {"repeat-0"}
    assert not set(times[: before - 1]) & set(times[before:])
    for name in SAME:
        assert (again.folder / name).read_bytes() == (twice.folder / name).read_bytes(), name
    assert content(again.folder / "models") == content(twice.folder / "models")


def test_a_rich_budget_is_spent_on_repeats_that_try_the_same(problem):
    families = ["constant", "descriptors"]
    rich, poor = (make_plan(problem, families, budget, 1) for budget in (3600, 30))
    assert rich.repeats == MOST_REPEATS
    assert rich.seconds == pytest.approx(MOST_REPEATS * make_once(problem, 3600).seconds)
    assert poor.repeats < MOST_REPEATS
    # Asked for more, each has less.
    assert make_plan(problem, families, 30, 1, repeats=20).left_out
    assert "repeats        3, each with other compositions in the folds" in rich.lines()


def make_once(problem, budget):
    return make_plan(problem, ["constant", "descriptors"], budget, 1, repeats=1)


def test_wrong_numbers_of_repeats_are_input_errors():
    with pytest.raises(InputError, match="0 repeats are not possible; give 1 or more"):
        prepare_fit(in_memory(), "gap", **TWICE | {"repeats": 0})
