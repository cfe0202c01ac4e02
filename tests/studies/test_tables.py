"""What a run of a study reads: joined tables, excluded rows, drawn splits; and what is wrong."""

import json

import numpy as np
import pytest

from epitaxy.checkpoints.model_files import zoo_names
from epitaxy.core.errors import InputError
from epitaxy.recipes.running import read_run
from epitaxy.structures.matching import same_material
from epitaxy.structures.reading import read_table
from epitaxy.studies.results import study_results
from epitaxy.studies.run import plan_study, run_study
from epitaxy.studies.tables import DrawnSplit
from salts import GAPS, IDS, in_memory

TESTED = IDS[:6]


@pytest.fixture
def joined(study):
    """Return a function that writes a study of two properties, joined by structure."""
    known = {i: -GAPS[i] if n % 3 else np.nan for n, i in enumerate(IDS)}
    in_memory(gaps=known).to_parquet("other.parquet")
    with open("rows.json", "w") as file:  # noqa: PTH123
        json.dump({"test": list(TESTED)}, file)

    def write(change=None):
        def both(content):
            content["sources"] = {
                "joined": {
                    "verb": "merge",
                    "data": ["gap=salts.parquet", "other=other.parquet"],
                    "by": "id",
                },
                "salts": {
                    "verb": "train",
                    "data": "source:joined",
                    "target": "*",
                    "exclude_property": ["gap"],
                    "exclude_like": [{"data": "salts.parquet", "rows": "rows.json:test"}],
                    "split": {"test": 0, "val": 0.2, "seed": 3},
                    "encoder": {"width": 8, "layers": 2},
                    "epochs": 1,
                },
            }
            content["base"]["split"] = {"test": "rows.json:test", "val": 0.2}
            content["axes"] |= {"strategy": ["full"]}
            if change:
                change(content)

        return study(both)

    return write


def test_sources_are_joined_and_do_not_see_the_test_part(joined, here):
    done = run_study(joined(), "out")
    assert not done.failed
    plan = {run.source or run.verb: run for run in done.plan.runs.values()}
    table = read_table(done.folder / "runs" / plan["joined"].id / "table.parquet")
    assert list(table.properties) == ["gap", "other"]
    source = read_run(done.folder / "runs" / plan["salts"].id)
    seen = source.predictions
    assert set(seen["split"]) == {"train", "val"}
    assert set(seen["property"]) == {"other"}
    assert not set(seen["id"]) & set(TESTED)
    of_source = read_table("salts.parquet").select(
        read_table("salts.parquet").rows_of(tuple(seen["id"].unique()))
    )
    tested = in_memory(ids=TESTED)
    assert not same_material(of_source, tested).any()
    reasons = (source.folder / "dropped.csv").read_text()
    assert reasons.count("excluded as a material of") == len(TESTED)
    tuned = read_run(done.folder / "runs" / plan["finetune"].id).predictions
    assert set(tuned["id"][tuned["split"] == "test"]) == set(TESTED)
    frame = study_results(done.folder)
    assert set(frame["role"]) == {"run"}
    assert len(frame) == 4
    assert len(study_results(done.folder, part="val")) == 5


def test_seeds_draw_other_splits(joined, here):
    done = run_study(joined(), "out")
    trials = [run for run in done.plan.runs.values() if run.verb == "finetune"]
    parts = []
    for run in trials:
        frame = read_run(done.folder / "runs" / run.id).predictions
        parts.append(set(frame["id"][frame["split"] == "val"]))
    assert len(trials) == 2
    assert parts[0] != parts[1]


def test_drawn_splits():
    table = in_memory()
    split = DrawnSplit(test=0.2, val=0.1).draw(table, seed=1)
    assert [len(p) for p in (split.train, split.val, split.test)] == [21, 3, 6]
    assert split == DrawnSplit(test=0.2, val=0.1, seed=1).draw(table, seed=7)
    assert split != DrawnSplit(test=0.2, val=0.1).draw(table, seed=2)
    assert not DrawnSplit(test=0).draw(table, seed=1).test


WRONG = {
    "rows": (
        lambda s: s["salts"].update(exclude_like=[{"data": "salts.parquet", "rows": "r.json"}]),
        "There is no file 'r.json' with ids",
    ),
    "key of rows": (
        lambda s: s["salts"].update(exclude_like=[{"data": "salts.parquet", "row": "x"}]),
        "Did you mean 'rows'?",
    ),
    "table of rows": (
        lambda s: s["salts"].update(exclude_like=["salt.parquet"]),
        "Did you mean 'salts.parquet'?",
    ),
    "split": (lambda s: s["salts"].update(split={"tests": 0}), "Did you mean 'test'?"),
    "rows of split": (
        lambda s: (
            s["salts"].update(data="salts.parquet", target="gap", split={"test": "rows.js"})
            or s["salts"].pop("exclude_property")
        ),
        "There is no file 'rows.js' with ids",
    ),
    "joined property": (lambda s: s["salts"].update(target="othre"), "Did you mean 'other'?"),
    "excluded property": (
        lambda s: s["salts"].update(exclude_property=["gapp"]),
        "Did you mean 'gap'?",
    ),
    "data to be joined": (
        lambda s: s["joined"].update(data=["gap=salt.parquet"]),
        "salt.parquet",
    ),
    "no list": (lambda s: s["joined"].update(data="salts.parquet"), "must be a list of NAME=DATA"),
    "argument": (lambda s: s["joined"].update(kep="first"), "Did you mean 'keep'?"),
    "source of data": (lambda s: s["salts"].update(data="source:joind"), "Did you mean 'joined'?"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_named(joined, name):
    change, sentence = WRONG[name]
    with pytest.raises(InputError) as error:
        plan_study(joined(lambda content: change(content["sources"])))
    assert sentence in str(error.value)


def test_tables_are_no_models_and_models_no_tables(joined):
    def swapped(content):
        content["axes"]["source"]["salts"]["from_model"] = "source:joined"
        content["axes"]["source"]["more"] = {"data": "source:salts", "from_model": "source:salts"}

    with pytest.raises(InputError) as error:
        plan_study(joined(swapped))
    assert "'joined' makes a table, and no model" in str(error.value)
    assert "'salts' makes a model; 'data' needs a table" in str(error.value)

    def merged(content):
        content["base"] = {"verb": "merge", "data": ["gap=salts.parquet"], "target": "gap"}
        content["axes"] = {"by": ["id"]}
        content["sources"], content["compare"] = {}, None

    with pytest.raises(InputError, match="only a source can make a table"):
        plan_study(joined(merged))


def test_more_experts_than_there_are(study):
    def change(content):
        content["base"] |= {"verb": "mixture", "experts": "zoo:*"}
        content["axes"] = {"k": [1, 9]}
        content["sources"], content["compare"] = {}, None
        content["base"].pop("seed")

    with pytest.raises(
        InputError, match=f"'k' is 9, but the mixture has {len(zoo_names())} experts"
    ):
        plan_study(study(change))
