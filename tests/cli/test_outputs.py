"""Whatever a command is told to write: no file of the user is lost, and formats are as named."""

import json
import shutil

import pandas as pd
import pytest

from epitaxy.structures.reading import read_table
from salts import IDS, content, write_folder


@pytest.fixture
def place(salts, tmp_path):
    """The salts as a table, a split of them, and the labels of somebody."""
    read_table(salts).to_parquet(tmp_path / "salts.parquet")
    shutil.copyfile(salts / "id_prop.csv", tmp_path / "labels.csv")
    return tmp_path


COMMANDS = {
    "predict": ("predict", "RUN", "salts.parquet", "--out", "labels.csv"),
    "evaluate": ("evaluate", "RUN", "salts.parquet", "--target", "gap", "--out", "labels.csv"),
    "convert": ("data", "convert", "salts.parquet", "labels.parquet"),
    "select": ("data", "select", "salts.parquet", "labels.parquet", "--rows", "ids.txt"),
    "split": ("data", "split", "salts.parquet", "--out", "labels.json"),
    "merge": ("data", "merge", "salts.parquet", "--out", "labels.parquet"),
    "merge report": ("data", "merge", "salts.parquet", "--out", "m.parquet", "--report",
                     "labels.csv"),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_what_somebody_wrote_is_kept(epitaxy, trained, place, name):
    command = [trained if part == "RUN" else part for part in COMMANDS[name]]
    for ending in ("json", "parquet"):
        (place / f"labels.{ending}").write_text("theirs")
    (place / "ids.txt").write_text("\n".join(IDS[:9]))
    before = content(place)
    assert "--overwrite" in epitaxy(*command).sentence
    assert content(place) == before
    assert epitaxy(*command, "--overwrite").code == 0
    assert content(place) != before
    assert epitaxy(*command).code == 0


@pytest.mark.parametrize(
    "command",
    [
        ("data", "convert", "salts.parquet", "salts.parquet"),
        ("data", "select", "salts.parquet", "salts.parquet", "--rows", "ids.txt"),
        ("data", "merge", "salts.parquet", "--out", "salts.parquet"),
        ("data", "merge", "gap=salts.parquet:gap", "--out", "salts.parquet"),
        ("predict", "RUN", "salts.parquet", "--out", "salts.parquet"),
        ("evaluate", "RUN", "salts.parquet", "--target", "gap", "--out", "link.parquet"),
        ("predict", "RUN", "salts.parquet", "--out", "RUN/predictions.parquet"),
        ("export", "RUN", "--out", "RUN/model.safetensors"),
    ],
    ids=" ".join,
)
def test_an_input_is_not_an_output_even_if_overwriting_is_allowed(epitaxy, trained, place, command):
    run = shutil.copytree(trained, place / "run")
    (place / "ids.txt").write_text("\n".join(IDS[:9]))
    (place / "link.parquet").symlink_to("salts.parquet")
    before = content(place)
    line = [part.replace("RUN", str(run)) for part in command]
    found = epitaxy(*line, "--overwrite").sentence
    assert "is one of the inputs" in found or "which is read" in found
    assert content(place) == before


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_files_are_what_their_names_say(epitaxy, trained, place, verb):
    target = ["--target", "gap"] if verb == "evaluate" else []
    for name in ("p.csv", "p.json", "p.parquet"):
        found = epitaxy(verb, trained, "salts.parquet", *target, "--out", name)
        assert found.code == 0, found.err
    frames = [pd.read_csv("p.csv"), pd.DataFrame(json.loads((place / "p.json").read_text())),
              pd.read_parquet("p.parquet")]  # fmt: skip
    for frame in frames:
        assert tuple(frame["id"]) == IDS
        assert frame["y_pred"].to_numpy() == pytest.approx(frames[2]["y_pred"].to_numpy(), rel=1e-6)
    assert max(len(line.split(",")[-2]) for line in (place / "p.csv").read_text().split()) < 14
    for name in ("p.xlsx", "p", "p.csv.gz"):
        sentence = epitaxy(verb, trained, "salts.parquet", *target, "--out", name).sentence
        assert "must end in .csv, .json or .parquet" in sentence


def test_a_run_does_not_take_the_place_of_its_model(epitaxy, salts, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    before = content(run)
    command = ("finetune", salts, "--target", "gap", "--from", "run", "--out", "run")
    assert "is one of the inputs" in epitaxy(*command, "--overwrite").sentence
    assert "holds a model, a run or a study" in epitaxy("zoo", "push", trained, "run").sentence
    assert "is one of the inputs" in epitaxy("zoo", "push", "run", "run").sentence
    assert content(run) == before


def test_ids_that_are_formulas(epitaxy, trained, tmp_path):
    folder = write_folder(tmp_path / "data", ids=IDS[:3])
    (folder / "salt-00.cif").rename(folder / "=1+1.cif")
    (folder / "id_prop.csv").unlink()
    assert epitaxy("predict", trained, folder, "--out", "p.csv").code == 0
    assert "\n'=1+1,gap," in (tmp_path / "p.csv").read_text()
    (folder / "labels.csv").write_text("id,gap\n'=1+1,1\nsalt-01,2\nsalt-02,3\n")
    assert "=1+1" in read_table(folder).ids
