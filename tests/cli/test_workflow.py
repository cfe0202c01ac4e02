"""The way of a user from a folder of CIF files to predictions, and what each step leaves."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from epitaxy.checkpoints.model_files import load_model
from epitaxy.checkpoints.sharing_card import model_card
from epitaxy.cli.options import painted
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.predict import predict
from epitaxy.recipes.running import read_run
from epitaxy.recipes.train import train
from epitaxy.reports.baseline import error_text, verdict_of
from epitaxy.reports.numbers import interval_text, with_unit
from epitaxy.results.metrics import metrics
from epitaxy.transfer import STRATEGIES
from salts import FILES, GAPS, IDS, cif, content, write_folder

GROUPS = ["embedding", "conv-1", "conv-2", "conv-3", "conv-4", "head-hidden", "head-output"]
ARGUMENTS = {"freeze-to": ":conv-2"}
NEEDS_ANGLES = {"three-body"}
"""Strategies for which the model of these tests, a CGCNN, is refused."""
FEW = ["--epochs", "2"]


def table(path) -> pd.DataFrame:
    return pd.read_csv(path)


def scores(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture
def spoilt(tmp_path):
    """Return a folder with an empty, an absent, a broken and an extra CIF, and missing gaps."""
    gaps = {"salt-05": "", "salt-06": "nan", "salt-07": "inf", "salt-29": "na"}
    folder = write_folder(tmp_path / "spoilt", gaps=gaps)
    (folder / "salt-01.cif").write_text("")
    (folder / "salt-02.cif").unlink()
    (folder / "salt-03.cif").write_text("data_x\nnothing here\n")
    (folder / "salt-04.cif").write_text(cif("salt-04", occupancy=0.5))
    (folder / "extra.cif").write_text(cif("salt-00"))
    return folder


def test_train_predict_evaluate(epitaxy, salts, tmp_path):
    trained = epitaxy("train", salts, "--target", "gap", "--unit", "eV", "--out", "run", *FEW)
    assert trained.code == 0, trained.err
    assert "30 rows matched, 0 rows without a file, 0 files without a row" in trained.err
    run = tmp_path / "run"
    assert {p.name for p in run.iterdir()} == FILES
    assert {p.suffix for p in (run / "figures").iterdir()} == {".png", ".csv"}
    for part, numbers in scores(run).items():
        told = f"MAE {with_unit(numbers['gap']['mae'], 'eV', 3)} (n = {numbers['gap']['n']})"
        told = error_text(numbers["gap"]) if part == "test" else told
        assert f"{part:5s} gap: {told}\n" in trained.out
    assert [p.name for p in tmp_path.iterdir()] == ["run"]

    new = write_folder(tmp_path / "new", ids=IDS[:4], table="ignored.csv")
    (new / "broken.cif").write_text("data_x\n")
    found = epitaxy("predict", "run", new, "--out", "new.csv")
    assert found.code == 0, found.err
    assert "4 crystals predicted" in found.out
    assert "broken.cif" in found.err
    rows = table("new.csv")
    assert list(rows.columns) == ["id", "property", "y_pred", "y_lower", "y_upper", "unit"]
    assert list(rows["id"]) == list(IDS[:4])
    dropped = table("new.csv.dropped.csv")
    assert [row.split("/")[-1] for row in dropped["id"]] == ["broken.cif"]
    # Prediction is the function that the scores belong to.
    kept = read_run(run).predictions.set_index("id")
    np.testing.assert_allclose(rows["y_pred"], kept.loc[list(IDS[:4]), "y_pred"], rtol=1e-5)
    printed = epitaxy("--quiet", "predict", "run", new).out.splitlines()
    assert printed[0] == "id,property,y_pred,unit"
    assert len(printed) == 5

    judged = epitaxy("evaluate", "run", salts, "--target", "gap", "--out", "all.parquet")
    assert judged.code == 0, judged.err
    frame = pd.read_parquet("all.parquet").set_index("id").loc[kept.index]
    np.testing.assert_allclose(frame["y_pred"], kept["y_pred"], rtol=1e-5)
    error = np.abs(frame["y_pred"] - frame["y_true"]).mean()
    assert f"MAE {with_unit(error, 'eV', 3)} (95 % interval" in judged.out
    assert "n = 30)" in judged.out
    centre = kept.loc[kept["split"] == "train", "y_true"].median()
    constant = (frame["y_true"] - centre).abs().mean()
    assert f"predicting the median): {with_unit(constant, 'eV', 3)}" in judged.out
    assert "of the training values" in judged.out


def test_what_cannot_be_used_is_listed_with_reasons(epitaxy, spoilt, no_report):
    found = epitaxy("train", spoilt, "--target", "gap", "--out", "run", *FEW)
    assert found.code == 0, found.err
    assert "1 rows without a file (first 'salt-02')" in found.err
    assert "1 files without a row (first 'extra.cif')" in found.err
    assert "'gap': 4 of" in found.err
    assert "4 of 26 crystals have no label and are left out." in found.err
    reasons = dict(table("run/dropped.csv").to_numpy())
    words = {
        "salt-01": "empty",
        "salt-02": "no structure file",
        "salt-03": "CIF",
        "salt-04": "occupanc",
        "extra": "no row in id_prop.csv",
        **dict.fromkeys(["salt-05", "salt-06", "salt-07", "salt-29"], "no label"),
    }
    assert reasons.keys() == words.keys()
    for name, word in words.items():
        assert word in reasons[name], name
    used = {i for i in IDS if i not in words}
    assert set(pd.read_parquet("run/predictions.parquet")["id"]) == used
    assert sum(part["gap"]["n"] for part in scores(Path("run")).values()) == 22
    judged = epitaxy("evaluate", "run", spoilt, "--target", "gap")
    assert "n = 22)" in judged.out
    assert "left out: 9" in judged.out


@pytest.mark.parametrize(
    "strategy", [*sorted(set(STRATEGIES) - NEEDS_ANGLES), "full+new-head:linear"]
)
def test_every_strategy_makes_a_run_that_can_be_continued(
    *, epitaxy, salts, trained, no_report, tmp_path, strategy
):
    chosen = strategy + ARGUMENTS.get(strategy, "")
    found = epitaxy(
        *("finetune", salts, "--target", "gap", "--from", trained, "--strategy", chosen),
        # The split of the source, which has not learned the values of its test crystals.
        *("--out", f"tuned-{chosen}", "--unit", "eV", "--split", "random:1", *FEW),
    )
    assert found.code == 0, found.err
    run = tmp_path / f"tuned-{chosen}"
    plan = table(run / "plan.csv")
    assert list(plan["group"]) == GROUPS
    before, after = load_model(trained), load_model(run)
    for row in plan.itertuples():
        if row.trainable or row.origin != "copied":
            continue
        old, new = (m.depth_groups()[GROUPS.index(row.group)] for m in (before, after))
        for a, b in zip(old.parameters(), new.parameters(), strict=True):
            assert (a == b).all(), f"{row.group} is frozen, but changed"
    saved = predict(run, salts).set_index("id")["y_pred"]
    kept = read_run(run).predictions.set_index("id")
    np.testing.assert_allclose(saved.loc[kept.index], kept["y_pred"], rtol=1e-5)
    assert scores(run)["test"]["gap"]["mae"] == metrics(kept.reset_index())["test"]["gap"]["mae"]
    assert not (table(run / "history.csv")[["train_loss", "val_mae"]].isna()).any(axis=None)


def test_show_plan_writes_nothing(epitaxy, trained, tmp_path):
    found = epitaxy("finetune", "--from", trained, "--strategy", "freeze-to:conv-2", "--show-plan")
    assert found.code == 0
    lines = found.out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == GROUPS
    assert ["frozen" in line for line in lines[1:]] == [True] * 3 + [False] * 4
    assert not list(tmp_path.iterdir())


def test_command_line_and_library_give_the_same_numbers(
    epitaxy, salts, trained, no_report, tmp_path
):
    same = {"epochs": 2, "batch_size": 8, "learning_rate": 0.002, "seed": 3, "patience": 7}
    options = ["--epochs", "2", "--batch-size", "8", "--learning-rate", "0.002", "--seed", "3"]
    options += ["--set", "patience=7", "--unit", "eV", "--split", "random:5"]
    assert epitaxy("train", salts, "--target", "gap", "--out", "one", *options).code == 0
    two = train(salts, "gap", tmp_path / "two", unit="eV", split="random:5", **same)
    tuned = ["finetune", salts, "--target", "gap", "--from", trained, "--strategy", "head"]
    assert epitaxy(*tuned, "--out", "three", *options).code == 0
    four = finetune(
        *(salts, "gap", trained, tmp_path / "four"),
        strategy="head",
        unit="eV",
        split="random:5",
        training=same,
    )
    for name, run in (("one", two), ("three", four)):
        ours = content(tmp_path / name)
        theirs = content(run.folder)
        for file in ("metrics.json", "model.safetensors", "plan.csv", "config.yaml"):
            assert ours[file] == theirs[file], file
        history = [
            table(tmp_path / f / "history.csv").drop(columns="seconds") for f in (name, run.folder)
        ]
        pd.testing.assert_frame_equal(*history, check_exact=True)


def test_settings_file_assignments_and_options_win_in_this_order(epitaxy, salts, no_report):
    Path("settings.yaml").write_text("epochs: 9\nbatch_size: 9\nseed: 9\nloss: l1\n")
    order = ["--config", "settings.yaml", "--set", "epochs=8", "--set", "batch_size=8"]
    found = epitaxy("train", salts, "--target", "gap", "--out", "run", *order, "--epochs", "2")
    assert found.code == 0, found.err
    used = yaml.safe_load(Path("run/config.yaml").read_text())["training"]
    assert (used["epochs"], used["batch_size"], used["seed"], used["loss"]) == (2, 8, 9, "l1")


def test_settings_of_architecture_and_graphs(epitaxy, salts, no_report, tmp_path):
    options = ("--encoder", "width=8", "--encoder", "layers=2", "--graph", "cutoff=5.0")
    found = epitaxy("train", salts, "--target", "gap", "--out", "run", "--epochs", "1", *options)
    assert found.code == 0, found.err
    encoder = read_run(tmp_path / "run").model.encoder
    assert (encoder.width, encoder.recipe.cutoff) == (8, 5.0)
    assert encoder.recipe.neighbours == encoder.default_recipe.neighbours


def test_several_targets(epitaxy, tmp_path, no_report):
    folder = write_folder(tmp_path / "two", header="id,gap,volume", gaps={})
    lines = [f"{i},{GAPS[i] if n % 3 else ''},{n if n % 2 else ''}" for n, i in enumerate(IDS)]
    (folder / "id_prop.csv").write_text("\n".join(["id,gap,volume", *lines]) + "\n")
    found = epitaxy("train", folder, "--target", "gap", "--target", "volume", "--out", "run", *FEW)
    assert found.code == 0, found.err
    numbers = scores(tmp_path / "run")
    assert sum(part["gap"]["n"] for part in numbers.values() if "gap" in part) == 20
    assert sum(part["volume"]["n"] for part in numbers.values() if "volume" in part) == 15
    judged = epitaxy("evaluate", "run", folder, "--target", "volume")
    assert "n = 15)" in judged.out
    assert "left out: 15" in judged.out
    assert "name one of these" in epitaxy("evaluate", "run", folder, "--target", "x").sentence


def test_every_test_error_has_one_interval_and_a_baseline(epitaxy, salts, tmp_path):
    found = epitaxy("train", salts, "--target", "gap", "--unit", "eV", "--out", "run", *FEW)
    assert found.code == 0, found.err
    run = tmp_path / "run"
    numbers = scores(run)["test"]["gap"]
    interval = interval_text(numbers["mae_interval"], "eV")
    page = (run / "report.html").read_text().replace("&nbsp;", " ")
    card = model_card(run)
    for text in (found.out, page, card):
        assert interval in text
        assert with_unit(numbers["mae"], "eV", 3) in text
        assert with_unit(numbers["baseline_mae"], "eV", 3) in text
        assert "rough figure" in text
    assert read_run(run).metrics["test"]["gap"] == numbers
    # A few epochs on 24 crystals teach nothing: that is said first.
    said = verdict_of(numbers)
    assert said
    assert found.out.splitlines()[0] == said
    assert page.index(said) < page.index("were kept out of the training")
    assert said in card
    assert painted(found.out) == found.out.rstrip("\n").replace(
        said, f"\x1b[31m\x1b[1m{said}\x1b[0m"
    )


def test_a_model_without_its_training_rows_is_measured_against_these_values(
    epitaxy, salts, trained, tmp_path
):
    (tmp_path / "alone").mkdir()
    for file in ("model.json", "model.safetensors"):
        shutil.copy(trained / file, tmp_path / "alone")
    judged = epitaxy("evaluate", "alone", salts, "--target", "gap")
    assert judged.code == 0, judged.err
    gaps = np.array(list(GAPS.values()))
    constant = np.abs(gaps - np.median(gaps)).mean()
    assert f"predicting the median): {with_unit(constant, 'eV', 3)}" in judged.out
    assert "of these values" in judged.out
