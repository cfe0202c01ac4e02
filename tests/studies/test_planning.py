"""From a study file to runs: combinations, ids, shared sources, and everything that is wrong."""

import json

import pytest

from epitaxy.core.errors import InputError
from epitaxy.studies.config import Study
from epitaxy.studies.expanding import combinations, filled, nested, normalised, plan, update
from epitaxy.studies.run import plan_study, run_study
from epitaxy.studies.study_file import read_study
from epitaxy.studies.verbs import arguments_of


def planned(path):
    return plan_study(path)[1]


def complaints(path) -> str:
    with pytest.raises(InputError) as error:
        plan_study(path)
    return str(error.value)


def test_what_does_not_differ_is_one_run(study):
    made = planned(study())
    assert len(made.cells) == 8
    # Training from scratch takes no strategy, and all fine-tuning starts from one model.
    assert len(made.runs) == 2 + 1 + 4
    order = list(made.runs.values())
    (source,) = [run for run in order if run.source]
    assert source.source == "salts"
    tuned = [run for run in order if run.verb == "finetune"]
    assert all(run.needs == (source.id,) for run in tuned)
    assert all(run.arguments["from_model"] == f"source:{source.id}" for run in tuned)
    assert order.index(source) < min(map(order.index, tuned))


def test_ids_are_of_the_content(study):
    before = planned(study())
    again = planned(study(name="other", compare=None))
    assert list(again.runs) == list(before.runs)

    def other_way(content):
        content["base"] |= {"training.epochs": content["base"].pop("epochs"), "unit": None}

    assert list(planned(study(other_way)).runs) == list(before.runs)
    more = planned(study(lambda c: c["axes"]["trial"].append(3)))
    assert set(before.runs) < set(more.runs)
    assert len(more.runs) == len(before.runs) + 3


def test_a_changed_source_changes_what_starts_from_it(study):
    before = planned(study()).runs
    after = planned(study(lambda c: c["sources"]["salts"].update(epochs=3))).runs
    assert {r.verb for i, r in before.items() if i in after} == {"train"}
    assert len(before.keys() & after.keys()) == 2


def test_source_sizes_are_sources_of_their_own(study):
    def sizes(content):
        content["sources"]["salts"]["subset"] = {"size": "{source size}"}
        content["axes"]["source size"] = [5, 10]

    def named(content):
        content["sources"]["salts"]["subset.size"] = "{source_size}"
        content["axes"]["source_size"] = [5, 10]

    assert "no argument" in complaints(study(sizes))
    made = planned(study(named))
    assert [r.arguments["subset"] for r in made.runs.values() if r.source] == [
        {"size": 5},
        {"size": 10},
    ]
    assert len(made.runs) == 2 + 2 + 8


def test_excluded_combinations(study):
    made = planned(study(exclude=[{"trial": 2, "source": ["scratch", "salts"]}]))
    assert {labels["trial"] for _, labels in made.cells} == {1}
    assert "everything is excluded" in complaints(study(exclude=[{"trial": [1, 2]}]))


def test_axes_of_values_with_names(study):
    def change(content):
        content["axes"]["training.learning_rate"] = {"slow": 1e-3, "fast": 1e-2}
        content["axes"]["trial"] = [1]

    made = planned(study(change))
    rates = {r.arguments["training"].get("learning_rate") for r in made.runs.values()}
    assert rates == {None, 1e-3, 1e-2}
    assert {labels["training.learning_rate"] for _, labels in made.cells} == {"slow", "fast"}


def test_pieces():
    assert update({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}) == {
        "a": {"b": 3, "c": 2},
        "d": 4,
    }
    assert nested({"a.b": 1, "a.c": 2}) == {"a": {"b": 1, "c": 2}}
    assert filled(["{a}", "{a}-{b}", "{nosuch}"], {"a": 1, "b": 2}) == [1, "1-2", "{nosuch}"]
    assert normalised({"seed": 1, "k": None, "training": {"seed": 2, "patience": None}}) == {
        "training": {"seed": 1, "patience": None}
    }
    study = Study(name="x", base={}, axes={"seed": [1, 2], "t": ["a"]})
    assert [c.configuration for c in combinations(study, ())] == [{"seed": 1}, {"seed": 2}]


def test_thousand_runs_are_planned_quickly(study):
    made = planned(study(lambda c: c["axes"].update(trial=list(range(333)))))
    assert len(made.runs) == 1 + 333 * 3
    assert len(json.dumps([run._asdict() for run in made.runs.values()])) > 1000


def test_numbers_and_keys_of_yaml(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("name: x\nbase: {}\naxes: {learning_rate: [1e-3, 1E2, 0.5, a1e3]}\n")
    assert read_study(path)[0].axes["learning_rate"] == [0.001, 100.0, 0.5, "a1e3"]
    path.write_text("name: x\nbase: {}\naxes:\n  k: [1]\n  k: [2]\n")
    with pytest.raises(InputError, match="'k' stands twice, again in line 5"):
        read_study(path)


WRONG = {
    "unknown key": (lambda c: c.update(axis={}), "no key 'axis'. Did you mean 'axes'?"),
    "key of compare": (lambda c: c["compare"].update(ower=1), "Did you mean 'over'?"),
    "no name": (lambda c: c.pop("name"), "The key 'name' is missing"),
    "kind": (lambda c: c.update(axes=[]), "'axes' is []"),
    "verb": (lambda c: c["base"].update(verb="finetun"), "Did you mean 'finetune'?"),
    "no verb": (lambda c: c["base"].pop("verb"), "'verb' is missing in 'base'"),
    "argument": (lambda c: c["base"].update(strateg="x"), "Did you mean 'strategy'?"),
    "argument of no verb here": (lambda c: c["base"].update(k=2), "no argument 'k' of finetune"),
    "out": (lambda c: c["base"].update(out="x"), "'out' is decided by the study"),
    "no target": (lambda c: c["base"].pop("target"), "lacks 'target'"),
    "type": (lambda c: c["base"].update(unit=[1]), "'unit' is [1]; it must be str | None"),
    "training": (lambda c: c["base"].update(batch_size=0), "batch_size = 0"),
    "settings": (lambda c: c["base"].update(training="x.yaml"), "it must be settings"),
    "encoder": (
        lambda c: c["sources"]["salts"].update(encoder={"widht": 3}),
        "Did you mean 'width'?",
    ),
    "model": (lambda c: c["sources"]["salts"].update(model="cgcn"), "Did you mean 'cgcnn'?"),
    "data": (lambda c: c["base"].update(data="salt.parquet"), "Did you mean 'salts.parquet'?"),
    "property": (lambda c: c["base"].update(target="gpa"), "Did you mean 'gap'?"),
    "split": (lambda c: c["base"].update(split="s.json"), "The split 's.json' is neither"),
    "strategy": (lambda c: c["axes"].update(strategy=["ful"]), "Did you mean 'full'?"),
    "addition": (lambda c: c["axes"].update(strategy=["full+newhead"]), "'new-head'?"),
    "zoo": (
        lambda c: c["axes"]["source"].update(zoo={"from_model": "zoo:cgcnn-gap"}),
        "Unknown zoo model",
    ),
    "subset": (lambda c: c["base"].update(subset={"siz": 3}), "Did you mean 'size'?"),
    "source": (
        lambda c: c["axes"]["source"]["salts"].update(from_model="source:salt"),
        "no source 'salt' for 'source:salt'. Did you mean 'salts'?",
    ),
    "unused source": (
        lambda c: c["sources"].update(idle=c["sources"]["salts"]),
        "The source 'idle' is used nowhere",
    ),
    "circle": (
        lambda c: c["sources"]["salts"].update(verb="finetune", from_model="source:salts"),
        "The source 'salts' needs itself",
    ),
    "field": (lambda c: c["base"].update(unit="{trail}"), "Did you mean 'trial'?"),
    "axis": (lambda c: c["axes"].update(trail=[1]), "The axis 'trail' is no argument"),
    "empty axis": (lambda c: c["axes"].update(trial=[]), "The axis 'trial' has no value"),
    "twice": (lambda c: c["axes"].update(trial=[1, 1]), "has the value '1' twice"),
    "reserved": (lambda c: c["axes"].update(epochs=[1]), "call it 'training.epochs'"),
    "excluded axis": (lambda c: c.update(exclude=[{"tril": 1}]), "Did you mean 'trial'?"),
    "excluded value": (lambda c: c.update(exclude=[{"trial": 7}]), "has no value 7"),
    "over": (lambda c: c["compare"].update(over="trails"), "Did you mean 'trial'?"),
    "baseline": (
        lambda c: c["compare"]["baseline"].update(source="scrath"),
        "Did you mean 'scratch'?",
    ),
    "baseline of trials": (
        lambda c: c["compare"]["baseline"].update(trial=1),
        "cannot be the baseline too",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_named(study, name):
    change, sentence = WRONG[name]
    assert sentence in complaints(study(change))


def test_all_mistakes_are_told_at_once_and_nothing_is_started(study, tmp_path):
    def change(content):
        for name in ("unknown key", "argument", "property", "model", "over", "zoo", "subset"):
            WRONG[name][0](content)

    path = study(change)
    with pytest.raises(InputError, match="has 7 mistakes, and nothing was started") as error:
        run_study(path, tmp_path / "out")
    found = str(error.value)
    assert all(WRONG[n][1] in found for n in ("unknown key", "argument", "property", "model"))
    assert not (tmp_path / "out").exists()


def test_every_verb_that_trains_takes_a_subset():
    taken = arguments_of()
    assert taken.keys() == {"train", "finetune", "mixture", "merge"}
    assert all("data" in names for names in taken.values())
    assert {verb for verb, names in taken.items() if "subset" not in names} == {"merge"}
    assert not any({"out", "overwrite", "options"} & names for names in taken.values())


def test_mixtures_of_sources(study):
    def change(content):
        content["base"] |= {"verb": "mixture", "experts": ["source:salts", "zoo:cgcnn-band-gap"]}
        content["axes"] = {"k": [1, 2], "trial": [1]}
        content["compare"] = None

    made = planned(study(change))
    (source,) = [run.id for run in made.runs.values() if run.source]
    mixed = [run for run in made.runs.values() if run.verb == "mixture"]
    assert [run.arguments["k"] for run in mixed] == [1, 2]
    assert all(run.arguments["experts"][0] == f"source:{source}" for run in mixed)
    assert all(run.needs == (source,) for run in mixed)


def test_a_plan_knows_no_order_of_axes_values(study):
    study_file = read_study(study())[0]
    turned = study_file.model_copy(update={"axes": {**study_file.axes, "trial": [2, 1]}})
    takes = arguments_of()
    assert plan(turned, takes).runs.keys() == plan(study_file, takes).runs.keys()
