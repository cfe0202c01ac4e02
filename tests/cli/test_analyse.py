"""``epitaxy analyse`` from the command line."""

import shutil

import pandas as pd
import pytest
import yaml

from salts import write_folder

DEMO = "demo:semiconductors"
GAP, ENERGY = "zoo:cgcnn-band-gap", "zoo:cgcnn-formation-energy"


def test_shift_of_a_folder_from_two_sources(epitaxy, salts, tmp_path):
    found = epitaxy(
        *("analyse", "shift", salts, "--target", "gap", "--out", "shift", "--resamples", "5"),
        *("--source", f"{GAP}={DEMO}:gap", "--source", f"{ENERGY}={salts}", "--closest", "1"),
    )
    assert found.code == 0, found.err
    lines = found.out.splitlines()
    assert lines[0].split() == ["source", "source_rows", "feature_cmd", "label_cmd", "note"]
    assert lines[1].split() == ["cgcnn-formation-energy", "30", "0.0000", "0.0000"]
    assert lines[2].split()[:2] == ["cgcnn-band-gap", "191"]
    assert lines[3:] == [
        "mean of the 1 nearest in features: 0.0000",
        "mean of the 1 nearest in labels: 0.0000",
        "Folder: shift (report.html)",
    ]
    table = pd.read_csv("shift/shift.csv")
    assert table[["feature_low", "label_high"]].notna().all(axis=None)
    assert (tmp_path / "shift" / "figures" / "shift_scatter.png").is_file()
    assert "30 crystals with a value" in (tmp_path / "shift" / "report.html").read_text()
    again = epitaxy(
        *("--quiet", "analyse", "shift", salts, "--target", "gap", "--source", GAP),
        *("--out", "shift"),
    )
    assert (again.code, again.err) == (0, "")
    assert "no source table, hence no distance" in again.out
    assert not (tmp_path / "shift" / "figures").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--source", ENERGY], "Missing option '--target'"),
        (["--target", "gap"], "Missing option '--source'"),
        (["--target", "gpa", "--source", ENERGY], "no property 'gpa'; it has: gap. Did you mean"),
        (["--target", "gap", "--source", f"{ENERGY}=nosuch"], "no file or folder 'nosuch'"),
        (["--target", "gap", "--source", "nosuch"], "There is no model in 'nosuch'"),
        (["--target", "gap", "--source", f"{ENERGY}={DEMO}", "--group", "conv-9"], "'conv-9'"),
        (["--target", "gap", "--source", ENERGY, "--transform", "ln"], "Unknown transform 'ln'"),
        (["--target", "gap", "--source", ENERGY, "--closest", "0"], "at least 1"),
        (["--target", "gap", "--source", ENERGY, "--resamples", "1"], "0 or at least 2"),
    ],
)
def test_wrong_options_of_shift(epitaxy, salts, tmp_path, options, words):
    found = epitaxy("analyse", "shift", salts, "--out", "out", *options)
    assert words in found.sentence
    assert not list(tmp_path.iterdir())


def test_outputs_that_are_not_ours_to_write(epitaxy, salts, trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "run")
    before = sorted(p.name for p in copy.iterdir())
    command = ("analyse", "shift", salts, "--target", "gap", "--source", "run", "--out")
    assert "holds a model or a run" in epitaxy(*command, "run").sentence
    assert "was not written by epitaxy" in epitaxy(*command, salts).sentence
    assert sorted(p.name for p in copy.iterdir()) == before


def test_gates_of_runs(epitaxy, trained, tmp_path, monkeypatch):
    from types import SimpleNamespace

    weights = {"run-0": {"a": 0.9, "b": 0.1}, "run-1": {"a": 1.0, "b": 0.0}}
    for seed, name in enumerate(weights):
        (tmp_path / name).mkdir()
        config = {"data": "x.csv", "target": ["gap"], "training": {"seed": seed}}
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump(config))

    def load(folder):
        encoder = SimpleNamespace(gate_weights=lambda: weights[str(folder)])
        return SimpleNamespace(architecture="mixture", encoder=encoder)

    with monkeypatch.context() as patch:
        patch.setattr("epitaxy.recipes.analyse_gates.load_model", load)
        found = epitaxy("analyse", "gates", "run-0", "run-1", "--out", "gates", "--top", "1")
    assert found.code == 0, found.err
    assert found.out.splitlines()[1].split() == ["gap", "2", "1.00", "0.50", "1.00"]
    assert pd.read_csv("gates/gates.csv").shape == (2, 5)
    assert (tmp_path / "gates" / "figures" / "gate_heat_map.png").is_file()
    refused = epitaxy("analyse", "gates", trained, "--out", "other")
    assert "is a cgcnn, which has no gate; give mixture runs" in refused.sentence
    assert not (tmp_path / "other").exists()


def test_a_source_table_beside_a_run(epitaxy, trained, tmp_path):
    data = write_folder(tmp_path / "data")
    found = epitaxy(
        *("analyse", "shift", data, "--target", "gap", "--source", f"{trained}={data}:gap"),
        *("--out", "out", "--group", "embedding"),
    )
    assert found.code == 0, found.err
    assert pd.read_csv("out/shift.csv").loc[0, "group"] == "embedding"
