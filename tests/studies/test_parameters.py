"""Parameters and the quick size of a study file, and what is wrong with them."""

import pytest
import yaml

from epitaxy.core.errors import InputError
from epitaxy.studies.folder import StudyFolder
from epitaxy.studies.parameters import overlaid, resolve
from epitaxy.studies.run import plan_study, run_study
from epitaxy.studies.study_file import read_study

FILE = {
    "parameters": {"folder": None, "epochs": 5, "sizes": [10, 20]},
    "base": {"data": "${folder}/a.parquet", "epochs": "${epochs}", "note": "${epochs} epochs"},
    "axes": {"size": "${sizes}", "trial": [1, 2]},
    "quick": {"parameters": {"epochs": 1}, "base": {"k": 2}, "axes": {"trial": [1]}},
}


def test_values_take_the_place_of_names():
    found = resolve(FILE, {"folder": "here"}, quick=False)
    assert not found.mistakes
    assert found.content == {
        "base": {"data": "here/a.parquet", "epochs": 5, "note": "5 epochs"},
        "axes": {"size": [10, 20], "trial": [1, 2]},
    }
    quick = resolve(FILE, {"folder": "here", "sizes": [3]}, quick=True).content
    assert quick["base"] == {"data": "here/a.parquet", "epochs": 1, "note": "1 epochs", "k": 2}
    assert quick["axes"] == {"size": [3], "trial": [1]}


def test_the_quick_size_replaces_what_it_names():
    whole = {"base": {"training": {"epochs": 9, "seed": 1}}, "exclude": [{"a": 1}], "name": "x"}
    small = {"base": {"training": {"epochs": 1}}, "exclude": []}
    assert overlaid(whole, small) == {
        "base": {"training": {"epochs": 1, "seed": 1}},
        "exclude": [],
        "name": "x",
    }


WRONG = [
    ({}, {}, False, "The parameter 'folder' needs a value: --set folder=VALUE."),
    ({"floder": "x"}, {}, False, "no parameter 'floder' to be set; the study has folder, epochs"),
    ({"floder": "x"}, {}, False, "Did you mean 'folder'?"),
    ({}, {"base": {"data": "${foldre}"}}, False, "Did you mean 'folder'?"),
    ({"folder": "x"}, {"base": {}}, False, "The parameter 'folder' is used nowhere."),
    ({"folder": "x"}, {"quick": {"axis": {}}}, True, "no section 'axis'. Did you mean 'axes'?"),
    ({"folder": "x"}, {"quick": {"axes": {"tril": [1]}}}, True, "Did you mean 'trial'?"),
    ({"folder": "x"}, {"quick": None}, True, "no quick size"),
    ({"folder": "x"}, {"parameters": ["folder"]}, False, "'parameters' must hold lines"),
]


@pytest.mark.parametrize(("given", "change", "quick", "sentence"), WRONG)
def test_mistakes(given, change, quick, sentence):
    content = {key: value for key, value in {**FILE, **change}.items() if value is not None}
    assert sentence in " ".join(resolve(content, given, quick=quick).mistakes)


def with_parameters(content):
    content["parameters"] = {"folder": None, "target": "gap"}
    content["base"] |= {"data": "${folder}/salts.parquet", "target": "${target}"}
    content["quick"] = {"axes": {"trial": [1], "strategy": ["head"]}}


def test_a_study_with_parameters_is_run(study, here, tmp_path):
    path = study(with_parameters)
    done = run_study(path, "out", parameters={"folder": str(tmp_path)}, quick=True)
    assert (done.finished, done.failed) == (3, {})
    copy = StudyFolder("out").root / "study.yaml"
    assert "${" not in copy.read_text()
    assert yaml.safe_load(copy.read_text())["axes"]["trial"] == [1]
    again = run_study(copy, "out")
    assert (again.finished_before, again.finished) == (3, 0)
    whole = run_study(path, "out", parameters={"folder": str(tmp_path)}, dry_run=True)
    assert whole.finished_before == 3
    assert len(whole.plan.runs) == 7


def test_missing_values_hide_no_other_mistake(study):
    def change(content):
        with_parameters(content)
        content["base"]["strateg"] = "x"
        content["compare"]["over"] = "trails"

    with pytest.raises(InputError, match="has 3 mistakes") as error:
        plan_study(study(change))
    found = str(error.value)
    assert "'folder' needs a value" in found
    assert "Did you mean 'strategy'?" in found
    assert "Did you mean 'trial'?" in found
    with pytest.raises(InputError, match=r"no parameter 'x' to be set; the study has none"):
        plan_study(study(), {"x": 1})


def test_neither_file_nor_name():
    with pytest.raises(InputError, match=r"these are: 2d-materials, .*Did you mean 'pair-wise'"):
        read_study("pairwise")
