"""What gives the values: the choice, trained once more on everything."""

from collections import Counter

import numpy as np
import pytest

from epitaxy.evaluation.shallow import ShallowModel
from epitaxy.fitting import refitting
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.candidates.shallow import MODEL, fit_shallow
from epitaxy.fitting.entrants import Variant
from epitaxy.fitting.folds import FOLDS
from epitaxy.fitting.pace import Pace
from epitaxy.fitting.plan import Plan
from epitaxy.fitting.refitting import parts_of
from epitaxy.fitting.repeats import run_repeats
from epitaxy.fitting.workshop import Workshop

LEARNERS = {"constant", "kernel", "ridge"}


@pytest.fixture
def repeats(problem, tmp_path):
    """Return two repeats of the protocol with two learners."""
    found = [c for name in ("constant", "descriptors") for c in FAMILIES[name].propose(problem)]
    kept = tuple(c for c in found if c.settings["learner"] in LEARNERS)
    return run_repeats(
        problem, Plan(kept, "ring", (), 1.0, repeats=2), tmp_path, Workshop(1), Pace()
    )


def chosen(repeats):
    return [fold.choice.chosen for repeat in repeats for fold in repeat.outcome.outer]


def test_the_weights_are_the_mean_of_those_of_the_folds(repeats):
    blends = chosen(repeats)
    wanted = Counter()
    for blend in blends:
        wanted.update({name: weight / (2 * FOLDS) for name, weight in blend.items()})
    found = parts_of(repeats, blends)
    assert {p.task.held for p in found} == {()}
    assert {p.repeat for p in found} == {0}
    names = [Variant(p.task.candidate, p.task.transform).name for p in found]
    assert sorted(names) == sorted(wanted)
    assert [p.weight for p in found] == pytest.approx([wanted[name] for name in names])
    assert sum(p.weight for p in found) == pytest.approx(1)


def test_what_gives_the_values_has_seen_all_rows(repeats):
    problem, runner, _ = repeats[0]
    ridge = next(n for n in repeats[0].outcome.outer[0].variants if n.endswith("ridge"))
    (part,) = parts_of(repeats, [{ridge: 1.0}] * 2 * FOLDS)
    model = ShallowModel.load(runner.folder_of(part.task) / MODEL)
    own = fit_shallow(
        problem.blocks, problem.labels, blocks=problem.descriptors, learner="ridge",
        transform="identity", seed=0,
    )  # fmt: skip
    assert np.allclose(model(problem.blocks), own(problem.blocks), rtol=1e-12)


def test_tuned_candidates_of_one_name_stay_apart(repeats):
    """Each fold has its own hyperparameters; they are other models."""
    blends = []
    for number, fold in enumerate(repeats[0].outcome.outer):
        kernel = next(v for n, v in fold.variants.items() if n.endswith("kernel"))
        tuned = kernel.tuned({"penalty": 1.0 + number // 3})
        fold.variants[tuned.name] = tuned
        blends.append({tuned.name: 1.0})
    found = parts_of(repeats[:1], blends)
    assert [p.weight for p in found] == pytest.approx([0.6, 0.4])
    assert len({p.task.key(repeats[0].problem) for p in found}) == 2


def test_what_fails_on_everything_is_taken_from_the_folds(repeats, monkeypatch):
    blends = chosen(repeats)
    monkeypatch.setattr("epitaxy.fitting.runner.Runner.has_failed", lambda *_: True)
    found = parts_of(repeats, blends)
    assert sum(p.weight for p in found) == pytest.approx(1)
    assert {p.repeat for p in found} == {0, 1}
    assert {p.task.held for p in found} == {(f,) for f in range(FOLDS)}
    assert len(found) == sum(map(len, blends))


def test_networks_are_those_of_the_folds(repeats, monkeypatch):
    monkeypatch.setattr(refitting, "_is_network", lambda _: True)
    done = []
    monkeypatch.setattr(
        "epitaxy.fitting.runner.Runner.do", lambda _, tasks, *__, **___: done.extend(tasks)
    )
    found = parts_of(repeats, chosen(repeats))
    assert not done
    assert {p.task.held for p in found} == {(f,) for f in range(FOLDS)}
