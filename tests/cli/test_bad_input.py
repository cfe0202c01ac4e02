"""Everything a user can get wrong: one sentence, exit code 2, nothing lost, nothing left behind."""

import errno
import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from epitaxy.checkpoints.model_files import zoo_names
from epitaxy.recipes import running
from salts import GAPS, IDS, cif, content, single_atom, write_folder

SHORT = ("--target", "gap", "--epochs", "1")


@pytest.fixture
def train(epitaxy, salts, no_report):
    """Train on the salts with further options; whatever is left at ``run`` is a mistake."""

    def run(*options, data=salts):
        return epitaxy("train", data, *SHORT, "--out", "run", *options)

    return run


@pytest.fixture(autouse=True)
def _data_is_left_alone(salts, trained):
    before = content(salts), content(trained)
    yield
    assert (content(salts), content(trained)) == before


def nothing_written(folder) -> bool:
    return not any(p.name.startswith(("run", ".run")) for p in folder.iterdir())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target", "gpa"], "no property 'gpa'; it has: gap. Did you mean 'gap'?"),
        (["--model", "cgcn"], "Unknown model 'cgcn'; allowed: alignn, cgat, cgcnn. Did you mean"),
        (["--recipe", "publishd"], "Unknown recipe 'publishd'; allowed: default, published. Did"),
        (["--units", "eV"], "Unknown units 'eV'; allowed: physical, published."),
        (["--units", "published"], "need a column 'gap_published' with the published values"),
        (["--transform", "logarithm"], "Unknown transform 'logarithm'; allowed: identity, log"),
        (["--split", "nosuch.json"], "'nosuch.json' is neither an existing JSON file"),
        (["--split", "random:x"], "must be a whole number, for example 'random:7'"),
        (["--config", "nosuch.yaml"], "'nosuch.yaml' cannot be read"),
        (["--set", "epoch=3"], "unknown key 'epoch'. Did you mean 'epochs'?"),
        (["--set", "epochs"], "A setting is written KEY=VALUE, but 'epochs' came"),
        (["--set", "epochs=[1"], "A setting is written KEY=VALUE"),
        (["--set", "loss=mae"], "loss = 'mae': Input should be 'mse', 'l1', 'huber', 'robust"),
        (["--set", "weight_decay=much"], "weight_decay = 'much': Input should be a valid number"),
        (["--set", "minimum_rate=1"], "minimum_rate must not exceed learning_rate"),
        (["--encoder", "widht=9"], "Wrong cgcnn encoder settings: unknown key 'widht'. Did you"),
        (["--encoder", "width=0"], "width = 0; it must be a positive number (int)"),
        (["--graph", "cutof=9"], "unknown key 'cutof'. Did you mean 'cutoff'?"),
        (["--graph", "cutoff"], "A setting is written KEY=VALUE, but 'cutoff' came"),
        (["--epochs", "0"], "epochs = 0: Input should be greater than or equal to 1"),
        (["--epochs", "many"], "Invalid value for '--epochs'"),
        (["--precision", "64"], "Invalid value for '--precision'"),
        (["--nosuch", "1"], "No such option: --nosuch"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_options(train, tmp_path, options, words):
    assert words in train(*options).sentence
    assert nothing_written(tmp_path)


@pytest.mark.parametrize("device", ["nosuch", "cpu:x", "cpu:0", "cuda:99"])
def test_device_that_does_not_exist(train, tmp_path, device):
    assert f"The device {device!r} cannot be used here" in train("--device", device).sentence
    assert not (tmp_path / "run").exists()


def test_every_wrong_setting_is_reported_at_once(train):
    sentence = train("--set", "epoch=3", "--set", "batch_size=0").sentence
    assert "unknown key 'epoch'" in sentence
    assert "batch_size = 0" in sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch: 3\n", "unknown key 'epoch'. Did you mean 'epochs'?"),
        ("a: [1\n b: 2\n", "cannot be read: while parsing a flow sequence"),
        ("1: 2\n", "must hold lines 'key: value'"),
        ("- epochs\n", "must hold lines 'key: value'"),
        ("", "must hold lines 'key: value'"),
        ("patience: many\n", "patience = 'many'"),
        ("epochs: !!python/object/apply:os.system ['touch executed']\n", "cannot be read"),
    ],
)
def test_wrong_settings_file(train, tmp_path, text, words):
    (tmp_path / "settings.yaml").write_text(text)
    assert words in train("--config", "settings.yaml").sentence
    assert nothing_written(tmp_path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"train": IDS[:9], "val": [], "test": IDS[9:]}, "val part of the split is empty"),
        ({"train": [], "val": IDS[:9], "test": IDS[9:]}, "train part of the split is empty"),
        ({"train": IDS[:9], "val": IDS[9:], "test": []}, "test part of the split is empty"),
        ({"train": IDS[:9], "val": ["salt-99"], "test": IDS[9:]}, "'salt-99' first. Did you mean"),
        ({"train": IDS[:9], "val": IDS[8:]}, "stand twice in the split, 'salt-08' first"),
        ({"train": "salt-00", "val": IDS[8:]}, "must be a list of ids"),
        ({"fold0": {}}, "choose one of its keys as FILE:KEY"),
    ],
)
def test_wrong_split_file(train, tmp_path, parts, words):
    (tmp_path / "split.json").write_text(json.dumps(parts))
    assert words in train("--split", "split.json").sentence
    assert nothing_written(tmp_path)


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_split_of_which_a_part_is_not_usable(train, tmp_path, part):
    data = write_folder(tmp_path / "data", gaps={"salt-00": ""})
    (data / "salt-01.cif").write_text(cif("salt-01", elements=("Lr", "Cl")))
    parts = {"train": IDS[2:10], "val": IDS[10:20], "test": IDS[20:], part: ["salt-01"]}
    (tmp_path / "split.json").write_text(json.dumps(parts))
    assert (
        f"The {part} part of the split has no usable crystal"
        in train("--split", "split.json", data=data).sentence
    )


def test_more_folds_than_rows(epitaxy, salts, tmp_path):
    found = epitaxy("data", "split", salts, "--method", "kfold", "--k", "31", "--out", "s.json")
    assert "31 folds of 30 different formulas are not possible" in found.sentence
    assert not list(tmp_path.iterdir())


def test_all_labels_missing(train, tmp_path):
    data = write_folder(tmp_path / "data", gaps=dict.fromkeys(IDS, "nan"))
    assert "'gap' has no usable value in any of 30 rows" in train(data=data).sentence


def test_labels_that_are_words(train, tmp_path):
    data = write_folder(tmp_path / "data", gaps=dict.fromkeys(IDS, "wide"))
    assert "holds text such as 'wide'" in train(data=data).sentence


def test_two_rows_with_one_id(train, tmp_path):
    data = write_folder(tmp_path / "data")
    with (data / "id_prop.csv").open("a") as file:
        file.write("salt-03,1.0\n")
    assert "stands twice with the same structure but 'gap' is" in train(data=data).sentence


def test_no_rows(train, tmp_path):
    data = write_folder(tmp_path / "data")
    (data / "id_prop.csv").write_text("id,gap\n")
    assert "0 rows" in train(data=data).sentence
    (data / "id_prop.csv").write_text("")
    assert "id_prop.csv" in train(data=data).sentence


def test_too_few_rows(train, tmp_path):
    data = write_folder(tmp_path / "data", ids=IDS[:2])
    assert "part would be empty" in train(data=data).sentence


def test_no_table_beside_the_structures(train, tmp_path):
    data = write_folder(tmp_path / "data")
    (data / "id_prop.csv").unlink()
    assert "must hold one table of ids and values (found: none)" in train(data=data).sentence


def test_data_that_does_not_exist(train):
    assert "There is no file or folder 'nosuch'" in train(data="nosuch").sentence


def test_not_one_structure_can_be_read(train, tmp_path):
    data = write_folder(tmp_path / "data", ids=IDS[:3])
    for path in data.glob("*.cif"):
        path.write_text("")
    assert "None of 3 crystals" in train(data=data).sentence


def test_heavy_elements_are_left_out_with_a_reason(train, tmp_path):
    data = write_folder(tmp_path / "data")
    (data / "salt-00.cif").write_text(cif("salt-00", elements=("Lr", "Cl")))
    found = train(data=data)
    assert found.code == 0, found.err
    assert "1 crystals have no graph and are left out, first salt-00" in found.err
    dropped = dict(pd.read_csv("run/dropped.csv").to_numpy())
    assert list(dropped) == ["salt-00"]
    assert "103" in dropped["salt-00"]


def test_isolated_atoms_and_single_atoms_train(train, epitaxy, tmp_path):
    data = write_folder(tmp_path / "data")
    (data / "salt-00.cif").write_text(single_atom("Cu", 2.6))
    (data / "salt-01.cif").write_text(single_atom("Ne", 20.0))
    found = train(data=data)
    assert found.code == 0, found.err
    assert "1 atom(s) have no neighbour within 8 Å and no bonds, in " in found.err
    frame = pd.read_parquet("run/predictions.parquet").set_index("id")
    assert frame.loc[["salt-00", "salt-01"], "y_pred"].notna().all()
    alone = epitaxy("predict", "run", data / "salt-01.cif")
    assert alone.code == 0
    assert "salt-01,gap," in alone.out


@pytest.mark.parametrize("value", ["0", "-1"])
def test_logarithm_of_what_has_none(train, tmp_path, value):
    data = write_folder(tmp_path / "data", gaps={"salt-00": value})
    parts = {"train": IDS[:10], "val": IDS[10:20], "test": IDS[20:]}
    (tmp_path / "split.json").write_text(json.dumps(parts))
    sentence = train("--transform", "log", "--split", "split.json", data=data).sentence
    assert f"needs values of 'gap' above 0, but the smallest is {value}" in sentence
    assert not (tmp_path / ".run.unfinished").exists()
    parts = {"train": IDS[10:20], "val": ["salt-00"], "test": IDS[20:]}
    (tmp_path / "split.json").write_text(json.dumps(parts))
    sentence = train("--transform", "log", "--split", "split.json", data=data).sentence
    assert "val part of the split has no value for which the transform is defined" in sentence


def test_training_that_explodes(train, tmp_path):
    sentence = train("--set", "optimiser=sgd", "--set", "learning_rate=1e30", "--epochs", "9")
    assert "use a smaller learning rate" in sentence.sentence
    assert not (tmp_path / "run").exists()


OUTPUTS = {
    "file": "is an existing file; give a folder",
    "file/run": "a part of that path is a file",
    "file/run/deeper": "a part of that path is a file",
    "theirs": "exists and was not written by epitaxy",
    "n" * 300: "the name is too long",
}


@pytest.mark.parametrize("out", OUTPUTS, ids=lambda out: out[:20])
@pytest.mark.parametrize("verb", ["train", "finetune"])
def test_output_that_is_not_ours(*, epitaxy, salts, trained, tmp_path, verb, out):
    (tmp_path / "file").write_text("theirs")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.tex").write_text("theirs")
    before = content(tmp_path)
    source = ["--from", trained] if verb == "finetune" else []
    found = epitaxy(verb, salts, *SHORT, *source, "--out", out)
    assert OUTPUTS[out] in found.sentence
    assert content(tmp_path) == before
    found = epitaxy(verb, salts, *SHORT, *source, "--out", out, "--overwrite")
    assert OUTPUTS[out] in found.sentence
    assert content(tmp_path) == before


def test_output_that_becomes_somebody_elses_meanwhile(train, tmp_path, monkeypatch):
    score = running._score

    def scored(*arguments):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "thesis.tex").write_text("theirs")
        score(*arguments)

    monkeypatch.setattr(running, "_score", scored)
    assert "was not written by epitaxy" in train().sentence
    assert content(tmp_path / "run") == {"thesis.tex": b"theirs"}
    shutil.rmtree(tmp_path / "run")
    monkeypatch.setattr(running, "_score", score)
    assert "Continuing" in train().err


@pytest.mark.parametrize("damage", ["", "- a list\n", "a: [1\n", "title: edited\n"])
def test_a_run_with_a_damaged_configuration_is_kept(train, trained, tmp_path, damage):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "config.yaml").write_text(damage)
    before = content(run)
    assert "holds something other than a finished run" in train().sentence
    assert content(run) == before


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EACCES, "writing there is not permitted"), (errno.EROFS, "that disk is read-only")],
)
def test_read_only_output(train, tmp_path, monkeypatch, number, words):
    """Simulated, because nothing is read-only to a superuser."""

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("epitaxy.recipes.workspace.fcntl.flock", refuse)
    assert words in train().sentence
    assert not (tmp_path / ".run.unfinished").exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nosuch", "There is no model in 'nosuch'"),
        ("zoo:nosuch", "Unknown zoo model 'nosuch'"),
        ("zoo:../recipes", "Unknown zoo model"),
        (".", "There is no model in '.'"),
    ],
)
def test_model_that_is_none(epitaxy, salts, tmp_path, source, words):
    tuned = epitaxy("finetune", salts, *SHORT, "--from", source, "--out", "run")
    assert words in tuned.sentence
    assert words in epitaxy("finetune", "--from", source, "--show-plan").sentence
    assert words in epitaxy("predict", source, salts).sentence
    assert words in epitaxy("evaluate", source, salts, "--target", "gap").sentence
    assert nothing_written(tmp_path)


def test_zoo_name_with_a_typing_error(epitaxy, salts):
    for name in zoo_names():
        sentence = epitaxy("predict", f"zoo:{name[:-1]}", salts).sentence
        assert f"Did you mean '{name}'" in sentence


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("hed", "Unknown strategy 'hed'"),
        ("full:3", "takes no argument, but '3' came"),
        ("freeze-to", "'freeze-to' needs a depth group"),
        ("freeze-to:conv-9", "Unknown depth group 'conv-9'"),
        ("freeze-to:head-output", "trains nothing"),
        ("layer-decay:2", "must lie in (0, 1]"),
    ],
)
def test_wrong_strategy(*, epitaxy, salts, trained, tmp_path, strategy, words):
    command = ("finetune", salts, *SHORT, "--from", trained, "--strategy", strategy)
    assert words in epitaxy(*command, "--out", "run").sentence
    assert not (tmp_path / "run").exists()


def test_finetune_without_its_options(epitaxy, salts, trained):
    for given in ([salts], ["--target", "gap"], ["--out", "run"], []):
        sentence = epitaxy("finetune", "--from", trained, *given).sentence
        assert "needs the data, --target and --out" in sentence
    assert "--from is missing" in epitaxy("finetune", salts, *SHORT, "--from", "").sentence
    assert "Missing option '--from'" in epitaxy("finetune", salts, *SHORT).sentence


def damaged_model(trained, folder, file, change):
    copy = shutil.copytree(trained, folder)
    path = copy / file
    path.write_bytes(change(path.read_bytes()))
    return copy


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("model.json", lambda b: b[: len(b) // 2], "cannot be read as JSON"),
        (
            "model.json",
            lambda b: b.replace(b"epitaxy-model", b"other-model"),
            "not the description",
        ),
        ("model.json", lambda b: b.replace(b'"version": 1', b'"version": 99'), "version 99"),
        ("model.json", lambda b: b.replace(b'"layers": 4', b'"layers": 3'), "do not fit the model"),
        ("model.safetensors", lambda b: b[:-100], "cannot be read"),
        ("model.safetensors", lambda _: b"", "cannot be read"),
    ],
)
def test_damaged_model(*, epitaxy, salts, trained, tmp_path, file, change, words):
    copy = damaged_model(trained, tmp_path / "copy", file, change)
    assert content(copy) != content(trained)
    assert words in epitaxy("predict", copy, salts, "--out", "p.csv").sentence
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "the file is empty"), ("nonsense", "CIF"), (cif("salt-00", occupancy=0.3), "occupanc")],
)
def test_predict_without_one_usable_structure(epitaxy, trained, tmp_path, text, words):
    (tmp_path / "new.cif").write_text(text)
    (tmp_path / "p.csv").write_text("older predictions")
    assert words in epitaxy("predict", trained, "new.cif", "--out", "p.csv").sentence
    assert (tmp_path / "p.csv").read_text() == "older predictions"


def test_predict_where_no_graph_can_be_built(epitaxy, trained, tmp_path):
    (tmp_path / "new.cif").write_text(cif("salt-00", elements=("Lr", "Cl")))
    assert "No crystal could be predicted" in epitaxy("predict", trained, "new.cif").sentence
    assert "no usable" not in epitaxy("predict", trained, "nosuch.cif").sentence


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_the_input_is_never_the_output(epitaxy, trained, tmp_path, verb):
    rows = [f'{i},{GAPS[i]},"{cif(i)}"' for i in IDS[:5]]
    data = tmp_path / "data.csv"
    data.write_text("\n".join(["id,gap,cif", *rows]) + "\n")
    before = data.read_bytes()
    target = ["--target", "gap"] if verb == "evaluate" else []
    found = epitaxy(verb, trained, "data.csv", *target, "--out", f"../{tmp_path.name}/data.csv")
    assert "is one of the inputs; give another file" in found.sentence
    assert data.read_bytes() == before
    assert epitaxy(verb, trained, "data.csv", *target, "--out", "other.csv").code == 0


@pytest.mark.parametrize("out", ["theirs", "file/out.csv"])
@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_output_file_that_cannot_be_written(*, epitaxy, salts, trained, tmp_path, verb, out):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "file").write_text("theirs")
    target = ["--target", "gap"] if verb == "evaluate" else []
    assert "Could not write" in epitaxy(verb, trained, salts, *target, "--out", out).sentence
    assert content(tmp_path) == {"file": b"theirs"}


def test_evaluate_with_the_wrong_column_or_no_usable_row(epitaxy, salts, trained, tmp_path):
    sentence = epitaxy("evaluate", trained, salts, "--target", "gpa").sentence
    assert "Did you mean 'gap'?" in sentence
    data = write_folder(tmp_path / "data", gaps=dict.fromkeys(IDS[1:], ""))
    (data / "salt-00.cif").write_text(cif("salt-00", elements=("Lr", "Cl")))
    sentence = epitaxy("evaluate", trained, data, "--target", "gap").sentence
    assert "No crystal with a value of 'gap' could be predicted" in sentence


class Evil:
    """Creates a file when unpickled by a loader that obeys."""

    def __reduce__(self):
        return os.system, ("touch executed",)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: torch.save({"state_dict": Evil()}, path), "nothing was executed"),
        (lambda path: torch.save({"weights": {}}, path), "is not a CGCNN checkpoint"),
        (lambda path: torch.save([1, 2], path), "not a dictionary"),
        (lambda path: path.write_bytes(b"PK\x03\x04 cut"), "damaged or ends early"),
        (lambda path: path.write_text("id,gap\n"), "is not a torch checkpoint"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: None, "does not exist"),
    ],
    ids=["code", "other", "list", "truncated", "text", "empty", "absent"],
)
def test_import_of_something_else(epitaxy, tmp_path, write, words):
    write(tmp_path / "x.pth.tar")
    before = content(tmp_path)
    assert words in epitaxy("import", "x.pth.tar", "--out", "model").sentence
    assert content(tmp_path) == before


def test_import_does_not_replace_a_run(epitaxy, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    before = content(run)
    assert "holds a model or a run" in epitaxy("import", "x.pth", "--out", "run").sentence
    assert content(run) == before
    sentence = epitaxy("import", "x.pth", "--out", "m", "--kind", "cgcn").sentence
    assert "Unknown checkpoint format 'cgcn'; allowed: alignn, alignn-mpt, cgcnn." in sentence


def test_data_commands_refuse_what_makes_no_sense(epitaxy, salts, tmp_path):
    for arguments, words in {
        ("convert", salts, "out.csv"): "must end in .parquet",
        ("convert", salts, "out.parquet", "--unit", "gap"): "must be NAME=TEXT",
        ("convert", salts, "out.parquet", "--unit", "gpa=eV"): "Did you mean 'gap'?",
        ("info", "nosuch"): "There is no file or folder",
        ("split", salts, "--out", "s.json", "--fractions", "a,b"): "must be numbers like",
        ("split", salts, "--out", "s.json", "--fractions", "1,1,1"): "add up to 1",
        ("split", salts, "--out", "s.json", "--method", "x"): "Invalid value for '--method'",
        ("merge", salts, "nosuch", "--out", "m.parquet"): "There is no file or folder",
    }.items():
        assert words in epitaxy("data", *arguments).sentence
    assert not list(tmp_path.iterdir())


def test_faults_of_ours_are_told_apart(epitaxy, salts, trained, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("unexpected")

    monkeypatch.setattr("epitaxy.recipes.predict.predict", fail)
    found = epitaxy("predict", trained, salts)
    assert found.code == 1
    assert "RuntimeError: unexpected" in found.err
    assert found.err.splitlines()[-1].startswith("epitaxy: this is a fault of the program")


def test_path_with_a_colon(train, tmp_path, epitaxy, salts):
    assert train("--out", "freeze:conv-1/run").code == 0
    assert "already finished" in train("--out", "freeze:conv-1/run").err
    assert epitaxy("data", "convert", salts, "a:b/c.parquet").code == 0
    assert epitaxy("evaluate", "freeze:conv-1/run", "a:b/c.parquet", "--target", "gap").code == 0
    assert Path("a:b/c.parquet").is_file()
