"""Hyperparameters sought inside the outer folds."""

import inspect
import json
import sys

import numpy as np
import pytest

from epitaxy.cli.main import main
from epitaxy.core.errors import InputError
from epitaxy.fitting import runner as running
from epitaxy.fitting import tuning
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.candidates.family import TUNED
from epitaxy.fitting.entrants import Variant
from epitaxy.fitting.fit import fit, prepare_fit
from epitaxy.fitting.folds import FOLDS, pairs, partners
from epitaxy.fitting.learners import LEARNERS
from epitaxy.fitting.learners.boosting import boosted
from epitaxy.fitting.plan import TRIALS, Plan, make_plan
from epitaxy.fitting.protocol import nested
from epitaxy.fitting.runner import PROBLEM, Runner
from epitaxy.fitting.spaces import SPACES
from epitaxy.fitting.tuning import Search, Trial
from epitaxy.fitting.workshop import Workshop
from epitaxy.recipes.predict import predict
from epitaxy.training.config import TrainingConfig
from problems import FEW, problem_of
from salts import in_memory

KERNEL = "descriptors + kernel"
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(60, 5))
LABELS = np.sin(FEATURES[:, 0]) + 0.1 * FEATURES[:, 1]
NEW = RNG.normal(size=(20, 5))
SHALLOW = sorted(set(SPACES) & set(LEARNERS))


def started(problem, folder, *, threads=1):
    problem.save(folder / PROBLEM)
    return Runner(problem, folder, Workshop(threads))


def plan(problem, *, number=4, families=("constant", "descriptors"), kept=("constant", "kernel")):
    found = [c for name in families for c in FAMILIES[name].propose(problem)]
    shallow = tuple(c for c in found if c.settings["learner"] in kept)
    names = [c.name for c in shallow if c.family != "constant"]
    return Plan(shallow, "all", (), 1.0, trials=dict.fromkeys(names, number))


def test_every_learner_that_has_a_choice_has_a_space():
    # The wide kernel is a point of the space of the other one.
    assert set(SHALLOW) == set(LEARNERS) - {"constant", "kernel-wide", "ridge"}
    assert set(SPACES) - set(SHALLOW) == {n for n in FAMILIES if FAMILIES[n].is_network}


@pytest.mark.parametrize("name", SHALLOW)
def test_every_hyperparameter_does_something(name):
    allowed = inspect.signature(boosted if "boosting" in name else LEARNERS[name]).parameters
    for key, found in SPACES[name].items():
        assert allowed[key].kind is inspect.Parameter.KEYWORD_ONLY
        assert found.low <= found.start <= found.high
        ends = [LEARNERS[name](FEATURES, LABELS, 1, **{key: v}) for v in (found.low, found.high)]
        assert not np.array_equal(ends[0](NEW), ends[1](NEW)), key
        assert found.whole == isinstance(found.low, int)


@pytest.mark.parametrize("name", SHALLOW)
def test_a_search_starts_with_the_untuned_hyperparameters(name):
    starts = {key: found.start for key, found in SPACES[name].items()}
    plain, same = (LEARNERS[name](FEATURES, LABELS, 1, **given) for given in ({}, starts))
    np.testing.assert_allclose(same(NEW), plain(NEW), atol=1e-3)


@pytest.mark.parametrize("name", sorted(set(SPACES) - set(SHALLOW)))
def test_settings_of_networks_are_settings_of_a_training(name):
    starts = {key: found.start for key, found in SPACES[name].items()}
    assert TrainingConfig(**starts).model_fields_set == set(starts)


def test_a_tuned_candidate_is_judged_by_folds_for_which_it_was_not_tuned(problem):
    """Of three trials the first is best on fold 1, by luck; the others agree on the second."""
    variant = Variant(FAMILIES["descriptors"].propose(problem)[1])
    held = {1: (0, 1), 2: (0, 2), 3: (0, 3)}
    trials = [
        Trial({"penalty": 1.0}, {1: 0.1, 2: 0.8, 3: 0.8}),
        Trial({"penalty": 2.0}, {1: 0.9, 2: 0.5, 3: 0.5}),
        Trial({"penalty": 3.0}, {1: 0.9, 2: 0.4, 3: None}),
    ]
    entrant = Search(0, variant, held, 3).entrant(trials)
    # On all folds the first has 0.57 and the second 0.63; without fold 1, it is 0.8 and 0.5.
    assert entrant.variant.candidate.settings[TUNED] == {"penalty": 1.0}
    assert entrant.variant.name.endswith("kernel, tuned")
    judged = {i: t.candidate.settings[TUNED]["penalty"] for i, t in entrant.judged.items()}
    assert judged == {1: 2.0, 2: 1.0, 3: 1.0}
    assert {i: t.held for i, t in entrant.judged.items()} == held
    assert Search(0, variant, held, 3).entrant(trials[2:]) is None


def test_tuned_and_untuned_compete(problem, tmp_path):
    outcome = nested(problem, plan(problem), started(problem, tmp_path))
    for fold in outcome.outer:
        assert set(fold.errors) == {"constant", KERNEL, f"{KERNEL}, tuned"}
    assert len(outcome.tuned) == FOLDS
    assert all(len(found.trials) == 4 for found in outcome.tuned)
    first = outcome.tuned[0]
    assert first.trials[0].parameters == {k: r.start for k, r in SPACES["kernel"].items()}
    assert first.trials[0].error() == pytest.approx(outcome.outer[0].errors[KERNEL], rel=0.05)
    # Labels are a smooth function of one feature: a wider kernel with a thin tube is better.
    assert np.mean([f.errors[f"{KERNEL}, tuned"] < f.errors[KERNEL] for f in outcome.outer]) > 0.5


def test_luck_of_a_search_is_no_advantage(tmp_path):
    """Where nothing can be learned the best of many trials looks good, what is judged does not."""
    labels = np.random.default_rng(5).normal(size=30) + 10
    problem = problem_of(labels)
    blocks = {n: np.random.default_rng(6).normal(size=b.shape) for n, b in problem.blocks.items()}
    object.__setattr__(problem, "blocks", blocks)
    outcome = nested(problem, plan(problem, number=10), started(problem, tmp_path))
    judged = np.mean([fold.errors[f"{KERNEL}, tuned"] for fold in outcome.outer])
    lucky = np.mean([min(t.error() for t in found.trials) for found in outcome.tuned])
    assert lucky < 0.97 * judged
    error = np.abs(outcome.chosen - labels).mean()
    assert error > 0.95 * np.abs(np.median(labels) - labels).mean()


def test_outer_rows_take_no_part_in_a_search(problem, tmp_path):
    labels = problem.labels.copy()
    rows = problem.outside((2,))
    labels[rows] = labels[rows][::-1] * 3
    other = problem_of()
    object.__setattr__(other, "table", other.table.with_property(other.spec, labels))
    one, two = (
        nested(p, plan(p), started(p, tmp_path / name))
        for name, p in (("a", problem), ("b", other))
    )
    assert one.tuned[2].trials == two.tuned[2].trials
    assert one.tuned[1].trials != two.tuned[1].trials
    assert one.outer[2].choice == two.outer[2].choice
    assert np.array_equal(one.chosen[rows], two.chosen[rows])
    for found in one.tuned:
        for inner, held in found.search.held.items():
            assert set(held) == {found.search.outer, inner}


def test_a_finished_search_is_not_repeated_and_an_interrupted_one_goes_on(
    problem, tmp_path, monkeypatch
):
    whole = nested(problem, plan(problem), started(problem, tmp_path / "whole"))
    real, times = running.do_task, []

    def interrupted(place, task):
        times.append(task)
        if len(times) == 60:
            raise KeyboardInterrupt
        return real(place, task)

    with monkeypatch.context() as patch:
        patch.setattr(running, "do_task", interrupted)
        with pytest.raises(KeyboardInterrupt):
            nested(problem, plan(problem), started(problem, tmp_path / "part"))
        assert not list((tmp_path / "part").rglob(f"{tuning.SEARCHES}/*.json"))
        again = nested(problem, plan(problem), started(problem, tmp_path / "part"))
    assert not set(times[:59]) & set(times[60:])
    assert again.tuned == whole.tuned
    assert np.array_equal(again.chosen, whole.chosen)
    monkeypatch.setattr(tuning, "require_optuna", lambda: pytest.fail("sought again"))
    third = nested(problem, plan(problem), started(problem, tmp_path / "part"))
    assert third.tuned == whole.tuned
    assert len(list((tmp_path / "part").rglob(f"{tuning.SEARCHES}/*.json"))) == FOLDS


def test_a_trial_that_fails_is_no_choice(problem, tmp_path, monkeypatch):
    family = type(FAMILIES["descriptors"])
    train = family.train

    def failing(self, task, *rest):
        if task.candidate.settings.get(TUNED, {}).get("width", 9) < 2:
            raise InputError("The loss became nan.")
        return train(self, task, *rest)

    monkeypatch.setattr(family, "train", failing)
    outcome = nested(problem, plan(problem, number=8), started(problem, tmp_path))
    failed = [t for found in outcome.tuned for t in found.trials if not np.isfinite(t.error())]
    assert failed
    for found in outcome.tuned:
        entrant = found.entrant
        assert entrant is None or entrant.variant.candidate.settings[TUNED]["width"] >= 2
    assert json.dumps([found.content() for found in outcome.tuned], allow_nan=False)


def test_without_the_package_a_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'epitaxy\[tune\]'"):
        prepare_fit(in_memory(), "gap", tune=True, candidates="descriptors", sources=(), **FEW)
    # Nothing else needs it.
    assert prepare_fit(in_memory(), "gap", candidates="descriptors", sources=(), **FEW)


def test_trials_are_planned_from_the_budget(problem):
    families = ["constant", "descriptors", "embeddings", "head"]
    budgets = (30, 120, 600, 1e5)
    found = [make_plan(problem, families, b, 1, repeats=1, tune=True) for b in budgets]
    for before, after, budget in zip(found, found[1:], budgets[1:], strict=False):
        assert all(after.trials.get(name, 0) >= n for name, n in before.trials.items())
        assert after.seconds <= budget
    numbers = [n for made in found for n in made.trials.values()]
    assert min(numbers) >= TRIALS[0]
    assert max(numbers) == TRIALS[1]
    assert found[-1].trials["head of other trained"] == TRIALS[1]
    assert not any("ridge" in name for made in found for name in made.trials)
    assert found == [make_plan(problem, families, b, 1, repeats=1, tune=True) for b in budgets]
    assert not make_plan(problem, families, 600, 1).trials
    assert any(line.startswith("tunes ") for line in found[-1].lines())


def test_tuning_that_cannot_be_paid_is_said(problem, monkeypatch):
    monkeypatch.setattr("epitaxy.fitting.plan.TRIALS", (10**6, 10**7))
    made = make_plan(problem, ["constant", "descriptors"], 60, 1, tune=True)
    assert not made.trials
    assert made.left_out[-1] == "tuning"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Return a tuned fit; nobody may change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("epitaxy.fitting.plan.TRIALS", (2, 4))
        settings = {"candidates": "descriptors", "sources": (), **FEW}
        out = tmp_path_factory.mktemp("tuned") / "run"
        return fit(in_memory(), "gap", out, tune=True, **settings)


def test_a_tuned_fit_is_handed_over(tuned):
    found = json.loads((tuned.folder / "tuning.json").read_text())
    assert {f["outer_fold"] for f in found} == set(range(FOLDS))
    assert {f["repeat"] for f in found} == {0}
    for one in found:
        errors = [trial["inner_mae"] for trial in one["trials"]]
        best = one["trials"][int(np.argmin(errors))]
        assert one["best"] == {k: v for k, v in best.items() if k != "inner_mae"}
    names = set(tuned.candidates["candidate"])
    tuned_names = {name for name in names if name.endswith(", tuned")}
    assert tuned_names
    assert {name.removesuffix(", tuned") for name in tuned_names} <= names
    assert "tuning.json" in (tuned.folder / "README.md").read_text()
    assert not [p for p in tuned.folder.rglob("*") if p.suffix in {".db", ".pkl", ".sqlite3"}]
    frame = predict(tuned.folder, in_memory())
    assert np.isfinite(frame[["y_pred", "y_lower", "y_upper"]]).all(axis=None)


def test_the_command_line_says_that_it_tunes(folder, tmp_path, capsys):
    options = ["--target", "gap", "--candidates", "descriptors", "--threads", "1", "--dry-run"]
    options += ["--tune", "--repeats", "2", "--budget", "5m", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit, match="0"):
        main(["fit", str(folder), *options])
    said = capsys.readouterr().out
    assert "tunes          in each outer fold the best of (trials): " in said
    assert "repeats        2, each with other compositions in the folds" in said


@pytest.mark.slow
def test_two_processes_make_the_same_trials(problem, tmp_path):
    one, two = (
        nested(problem, plan(problem), started(problem, tmp_path / str(n), threads=n))
        for n in (1, 2)
    )
    assert one.tuned == two.tuned
    assert np.array_equal(one.chosen, two.chosen)


@pytest.mark.slow
def test_networks_are_tuned(problem, tmp_path):
    networks = tuple(FAMILIES["head"].propose(problem))
    shallow = tuple(FAMILIES["constant"].propose(problem))
    made = Plan(shallow, "all", (), 1.0, networks, 0, 3, finalists=1, trials={networks[0].name: 2})
    outcome = nested(problem, made, started(problem, tmp_path))
    names = {"constant", "head of other trained, 3 epochs", "head of other trained, tuned"}
    for fold in outcome.outer:
        assert set(fold.errors) == names
    held = partners(pairs("ring"), 0)
    assert dict(outcome.tuned[0].search.held) == held
    assert {tuple(t.parameters) for f in outcome.tuned for t in f.trials} == {
        ("learning_rate", "weight_decay", "epochs")
    }
    assert np.isfinite(outcome.chosen).all()
