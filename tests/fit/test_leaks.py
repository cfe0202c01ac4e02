"""What sources have learned of the crystals of a fit, and what it is told of them."""

import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest

from epitaxy.checkpoints.learned import FILE, Learned, Materials, read_learned
from epitaxy.checkpoints.relations import Relation
from epitaxy.checkpoints.sharing import zoo_push
from epitaxy.core.checksums import protect
from epitaxy.core.errors import InputError
from epitaxy.fitting.fit import fit, prepare_fit
from epitaxy.fitting.folds import KNOWN
from epitaxy.fitting.leaks import unlike, usable_sources
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.leakage import LEARNED_BY_SOURCE, familiarity
from epitaxy.recipes.mixture import mixture
from epitaxy.recipes.train import train
from problems import FEW, problem_of
from salts import GAPS, IDS, in_memory

QUICK = {**FEW, "candidates": "embeddings,combined"}
SMALL = {"width": 8, "layers": 2}
LABELS = np.array(list(GAPS.values()))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a function that trains a run on the gaps of the first salts, once for each number."""
    folder, made = tmp_path_factory.mktemp("sources"), {}

    def of_first(n):
        if n not in made:
            ids = (IDS[: n - 2], IDS[n - 2 : n], IDS[n:])
            split = dict(zip(("train", "val", "test"), ids, strict=True))
            out = folder / f"first-{n}"
            made[n] = train(in_memory(), "gap", out, split=split, encoder=SMALL, epochs=1).folder
        return made[n]

    return of_first


@pytest.fixture
def scores_few(monkeypatch):
    """Let more crystals go without a score than of so few may."""
    monkeypatch.setattr("epitaxy.fitting.leaks.SMALL_SHARE", 0.5)
    monkeypatch.setattr("epitaxy.fitting.leaks.FEWEST_ROWS", 10)


def noted(folder, table, labels, target):
    """Return a copy of a run that says that it has learned other values."""
    shutil.copytree(folder, target)
    Learned.of_table(table, labels[:, None], ["gap"]).write(target)
    protect(target)
    return target


def test_a_run_says_what_it_has_learned_and_the_next_one_inherits(trained, tmp_path):
    table = in_memory()
    assert int(read_learned(trained(24)).knows(table.formulas).sum()) == 24
    split = {"train": IDS[24:28], "val": IDS[28:29], "test": IDS[29:]}
    run = finetune(table, "gap", trained(24), tmp_path / "next", split=split, epochs=1)
    assert int(read_learned(run.folder).knows(table.formulas).sum()) == 29


@pytest.mark.parametrize("start", [finetune, mixture])
def test_trap_test_crystals_known_from_pre_training(trained, tmp_path, caplog, start):
    split = {"train": IDS[24:26], "val": IDS[26:28], "test": [*IDS[:8], *IDS[28:]]}
    with caplog.at_level(logging.WARNING):
        run = start(in_memory(), "gap", trained(24), tmp_path / "out", split=split, epochs=1)
    assert "Skipped 8 of the 10 test crystals" in caplog.text
    assert run.metrics["test"]["gap"]["n"] == 2
    dropped = (run.folder / "dropped.csv").read_text()
    assert dropped.count(LEARNED_BY_SOURCE) == 8


def test_without_any_unknown_test_crystal_there_is_no_test_error(trained, tmp_path):
    split = {"train": IDS[24:28], "val": IDS[28:], "test": IDS[:8]}
    run = finetune(in_memory(), "gap", trained(24), tmp_path / "out", split=split, epochs=1)
    assert set(run.metrics) == {"train", "val"}


def test_nothing_is_said_of_other_crystals(trained, tmp_path, caplog):
    split = {"train": IDS[:4], "val": IDS[4:6], "test": IDS[24:]}
    with caplog.at_level(logging.WARNING):
        run = finetune(in_memory(), "gap", trained(24), tmp_path / "out", split=split, epochs=1)
    assert "Skipped" not in caplog.text
    assert run.metrics["test"]["gap"]["n"] == 6


def test_fit_leaves_out_a_source_that_knows_most_answers(trained, tmp_path):
    made = fit(in_memory(), "gap", tmp_path / "out", sources=[trained(24)], **QUICK)
    assert made.score["transfer_used_in"] == 0
    assert made.score["n"] == 30
    for text in (made.text(), (made.folder / "README.md").read_text()):
        assert "Skipped" in text
        assert "24 of your 30 materials (gap)" in text


def test_crystals_that_a_source_knows_are_learned_from_but_not_scored(
    trained, tmp_path, scores_few
):
    made = prepare_fit(in_memory(), "gap", sources=[trained(6)], **QUICK)
    problem = made.ready.problem
    assert set(problem.table.ids[problem.folds == KNOWN]) == set(IDS[:6])
    assert set(IDS[:6]) <= set(problem.table.ids[problem.inside((0, 1))])
    assert list(problem.sources) == ["first-6"]
    settings = {**QUICK, "repeats": 2}
    made = fit(in_memory(), "gap", tmp_path / "out", sources=[trained(6)], **settings)
    assert "6 of your 30 materials (gap): they are used for training" in made.text()
    assert set(made.predictions["id"]) == set(IDS[6:])
    assert (made.score["n"], made.score["unscored"]) == (24, 6)
    assert "crystals that no source has seen" in made.text()
    assert np.isfinite([made.mae, *made.interval, *made.score["repeat_maes"]]).all()
    assert np.isfinite(made.predictions[["y_lower", "y_upper"]].to_numpy()).all()


def test_sources_that_know_most_are_left_out_first(trained, scores_few):
    models = {"knowing": str(trained(24)), "few": str(trained(6))}
    models["other"] = "zoo:cgcnn-formation-energy"
    usable = usable_sources(models, in_memory(), "gap")
    assert list(usable.models) == ["few", "other"]
    assert int((usable.kinds == Relation.SAME).sum()) == 6
    assert list(usable_sources(models, in_memory(), "gap", most=0).models) == ["other"]


def test_a_source_is_left_out_where_the_scored_crystals_would_be_unlike_the_others(
    trained, tmp_path, scores_few
):
    """A source that knows all crystals with a gap would leave only zeros to be scored."""
    gaps = np.where(np.arange(30) < 14, LABELS, 0.0)
    table = in_memory(gaps=dict(zip(IDS, gaps.tolist(), strict=True)))
    knowing = noted(trained(6), table.select(range(14)), gaps[:14], tmp_path / "knowing")
    usable = usable_sources({"knowing": str(knowing)}, table, "gap")
    assert usable.models == {}
    assert "unlike" in usable.told[0]
    assert not (usable.kinds == Relation.SAME).any()


def test_what_is_unlike():
    gaps = np.concatenate([np.zeros(40), np.linspace(1, 5, 40)])
    random = np.random.default_rng(0).permutation(80) < 20
    assert unlike(gaps, np.arange(80) >= 60)
    assert unlike(gaps, (np.arange(80) < 20))
    assert not unlike(gaps, random)
    assert not unlike(gaps, np.zeros(80, dtype=bool))


def test_a_related_property_is_told_apart(trained, tmp_path):
    """A computed gap for a measured one: its crystals are scored, but not in the headline."""
    table = in_memory()
    there = 0.6 * LABELS + np.random.default_rng(0).normal(0, 0.22, 30)
    knowing = noted(trained(6), table.select(range(10)), there[:10], tmp_path / "computed")
    found = familiarity(knowing, Materials(table), LABELS)
    assert found.count(Relation.RELATED) == 10
    assert found.named(Relation.RELATED) == "gap"
    made = fit(table, "gap", tmp_path / "out", sources=[knowing], **QUICK)
    assert made.score["n"] == 20
    assert made.score["by_kind"]["related"] == {"n": 10}
    frame = made.predictions
    assert set(frame[frame["split"] == "other"]["id"]) == set(IDS[:10])
    test = frame[frame["split"] == "test"]
    assert made.mae == pytest.approx((test["y_pred"] - test["y_true"]).abs().mean())


def test_the_user_says_which_kind_will_be_predicted():
    problem = problem_of()
    kinds = np.repeat([Relation.UNKNOWN, Relation.RELATED], [6, 24]).astype(np.int8)
    for expected, n in {"unknown": 0, "related": 24, "any": 30}.items():
        found = replace(problem, kinds=kinds, expected=expected)
        assert len(found.headline) == n
        assert len(found.told) == (n or 30)
        assert found.judges.sum() == 30
    with pytest.raises(InputError, match="Did you mean 'unknown'"):
        prepare_fit(in_memory(), "gap", sources=(), expect="unknwon", **QUICK)


def test_too_few_unknown_crystals_are_said_instead_of_a_number(trained, tmp_path):
    table = in_memory()
    there = 0.6 * LABELS + np.random.default_rng(0).normal(0, 0.22, 30)
    knowing = noted(trained(6), table.select(range(24)), there[:24], tmp_path / "computed")
    made = fit(table, "gap", tmp_path / "out", sources=[knowing], **QUICK)
    assert made.score["mae"] is None
    assert np.isnan(made.mae)
    for text in (made.text(), (made.folder / "README.md").read_text()):
        assert "Only 6 of 30" in text
    assert made.score["by_kind"]["related"]["n"] == 24
    assert (made.folder / "report.html").is_file()


@pytest.fixture
def unlisted(trained, tmp_path):
    """Return a model without a list of what it has learned."""
    folder = shutil.copytree(trained(24), tmp_path / "unlisted")
    (folder / FILE).unlink()
    return folder


def test_a_source_that_does_not_say_what_it_learned_is_scored_apart(unlisted, tmp_path):
    made = fit(in_memory(), "gap", tmp_path / "out", sources=[unlisted], **QUICK)
    assert made.score["n"] == 30
    assert made.score["transfer_used_in"] == 0
    assert made.score["apart"]["sources"] == [str(unlisted)]
    assert made.score["apart"]["n"] == 30
    assert "does not say what it has learned" in made.text()
    assert "--trust-sources" in made.text()
    names = {m.name for m in made.bundle.header.whole}
    assert not any("unlisted" in name for name in names)
    assert made.bundle.header.sources == ()
    trusted = prepare_fit(in_memory(), "gap", sources=[unlisted], trust_sources=True, **QUICK)
    assert list(trusted.ready.problem.sources) == ["unlisted"]
    assert not trusted.ready.problem.apart


def test_fine_tuning_from_it_says_so_and_hands_it_on(unlisted, tmp_path, caplog):
    split = {"train": IDS[:4], "val": IDS[4:6], "test": IDS[24:]}
    with caplog.at_level(logging.WARNING):
        run = finetune(in_memory(), "gap", unlisted, tmp_path / "out", split=split, epochs=1)
    assert "does not say what it has learned" in caplog.text
    assert not read_learned(run.folder).is_complete


def test_a_model_that_was_given_away_is_still_known(tmp_path):
    """Without its labels, its predictions tell whether it learned this property."""
    split = {"train": IDS[:20], "val": IDS[20:24], "test": IDS[24:]}
    training = {"epochs": 60, "batch_size": 4}
    run = train(in_memory(), "gap", tmp_path / "run", split=split, training=training)
    zoo_push(run.folder, tmp_path / "pushed", licence="MIT")
    pushed = tmp_path / "pushed"
    assert not (pushed / FILE).exists()
    found = familiarity(pushed, Materials(in_memory()), LABELS)
    assert found.is_complete
    assert found.count(Relation.SAME) == 24
    other = np.random.default_rng(1).permutation(LABELS)
    assert familiarity(pushed, Materials(in_memory()), other).count(Relation.SAME) == 0
