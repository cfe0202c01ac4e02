"""The folder of a finished run: what stands in it agrees with itself and can be made again."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from epitaxy.batches.scalers import TargetScaler
from epitaxy.checkpoints.model_files import load_model
from epitaxy.core.errors import InputError
from epitaxy.evaluation.predicting import predict_table
from epitaxy.recipes.data import composition_groups
from epitaxy.recipes.evaluate import evaluate
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.predict import predict
from epitaxy.recipes.running import read_run
from epitaxy.recipes.train import train
from epitaxy.results.metrics import metrics
from epitaxy.structures.splits import Split, random_split
from salts import FILES, GAPS, IDS, content

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"


def stored(run, name):
    return pd.read_csv(run.folder / name)


def test_the_files_are_those_of_the_documentation(finished):
    names = {p.name for p in finished.folder.iterdir()}
    assert names == FILES
    text = ARCHITECTURE.read_text()
    text = text[text.index("**Run folder.**") : text.index("**Command line.**")]
    assert not [n for n in FILES - {".epitaxy", "plan.csv", "figures"} if f"`{n}`" not in text]
    assert "`dropped.csv`" in text
    history = stored(finished, "history.csv")
    assert not [c for c in history.columns if f"`{c}`" not in text]
    assert not [c for c in finished.predictions.columns if f"`{c}`" not in text]


def test_metrics_are_those_of_the_predictions(finished, table):
    written = json.loads((finished.folder / "metrics.json").read_text())
    groups = composition_groups(table)
    assert written == metrics(finished.predictions, groups=groups)
    assert written == finished.metrics
    frame = finished.predictions
    for part, numbers in written.items():
        rows = frame[frame["split"] == part]
        errors = rows["y_pred"] - rows["y_true"]
        assert numbers["gap"]["mae"] == pytest.approx(errors.abs().mean())
        assert numbers["gap"]["rmse"] == pytest.approx((errors**2).mean() ** 0.5)
        assert (numbers["gap"]["n"], numbers["gap"]["unit"]) == (len(rows), "eV")
    assert finished.mae() == written["test"]["gap"]["mae"]


def test_every_crystal_stands_once_with_its_label(finished, table):
    frame = finished.predictions.set_index("id")
    assert sorted(frame.index) == sorted(IDS)
    np.testing.assert_array_equal(frame["y_true"], [GAPS[i] for i in frame.index])
    split = random_split(table, seed=0)
    for part in ("train", "val", "test"):
        assert set(frame.index[frame["split"] == part]) == set(getattr(split, part))


def test_the_saved_model_makes_the_saved_predictions(finished, table):
    kept = finished.predictions.set_index("id")["y_pred"]
    again = predict(finished.folder, table).set_index("id")["y_pred"]
    np.testing.assert_allclose(again.loc[kept.index], kept, rtol=1e-5)
    scored = evaluate(finished.folder, table, "gap")
    parts = finished.metrics.values()
    mean = sum(p["gap"]["mae"] * p["gap"]["n"] for p in parts) / len(IDS)
    assert scored["mae"] == pytest.approx(mean, rel=1e-5)
    low, high = scored["mae_interval"]
    assert low < scored["mae"] < high


def test_history_and_plan(finished):
    history = stored(finished, "history.csv")
    assert list(history["epoch"]) == list(range(1, 13))
    assert np.isfinite(history.to_numpy()).all()
    plan = stored(finished, "plan.csv")
    groups = finished.model.depth_groups()
    assert list(plan["group"]) == [g.name for g in groups]
    assert set(plan["origin"]) == {"new"}
    assert plan["parameters"].sum() == sum(p.numel() for p in finished.model.parameters())


def test_configuration_can_be_fed_back(finished, table, no_report, tmp_path):
    config = yaml.safe_load((finished.folder / "config.yaml").read_text())
    assert config["target"] == ["gap"]
    assert config["rows"] == {"train": 24, "val": 3, "test": 3}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(config["training"]))
    again = train(
        *(table, "gap", tmp_path / "again"),
        encoder=config["encoder"],
        graph=config["graph"],
        head=config["head"],
        unit="eV",
        training=tmp_path / "settings.yaml",
    )
    assert again.metrics == finished.metrics
    first, second = content(finished.folder), content(again.folder)
    assert first["model.safetensors"] == second["model.safetensors"]
    assert first["config.yaml"] == second["config.yaml"]


def test_the_seed_decides(quick):
    same, again, other = quick(seed=1), quick(seed=1), quick(seed=2)
    assert same.metrics == again.metrics
    pd.testing.assert_frame_equal(same.predictions, again.predictions, check_exact=True)
    assert same.metrics != other.metrics


def test_best_weights_are_restored_before_scoring(quick):
    """The rate is so large that the last epoch is not the best one."""
    options = {"epochs": 8, "schedule": "constant", "learning_rate": 0.03, "batch_size": 8}
    best, last = quick(**options), quick(**options, weights="last")
    history = stored(best, "history.csv")["val_mae"]
    assert history.iloc[-1] > history.min()
    assert best.mae("val") == pytest.approx(history.min(), rel=1e-5)
    assert last.mae("val") == pytest.approx(history.iloc[-1], rel=1e-5)


def test_finetuning_remembers_its_parent(finished, table, no_report, tmp_path):
    tuned = finetune(table, "gap", finished.folder, tmp_path / "tuned", strategy="head", epochs=2)
    parent = load_model(tuned.folder).provenance["parent"]
    assert parent["from"] == str(finished.folder)
    assert parent["data"] == load_model(finished.folder).provenance["data"]
    assert set(stored(tuned, "plan.csv")["origin"]) == {"copied"}
    again = finetune(table, "gap", finished.folder, tmp_path / "2", strategy="head", epochs=2)
    assert again.metrics == tuned.metrics


def test_finetuning_starts_where_the_parent_ended(finished, table, no_report, tmp_path):
    """With a vanishing rate and the same rows the copied network predicts the same numbers."""
    tuned = finetune(
        *(table, "gap", finished.folder, tmp_path / "tuned"),
        strategy="head",
        epochs=1,
        learning_rate=1e-12,
    )
    before = finished.predictions.set_index("id")["y_pred"]
    after = tuned.predictions.set_index("id")["y_pred"]
    np.testing.assert_allclose(after.loc[before.index], before, rtol=1e-4)


def test_split_without_a_test_part(quick):
    run = quick(split=Split(IDS[:20], IDS[20:], allow_empty_test=True))
    assert run.metrics.keys() == {"train", "val"}


def test_scalers_come_from_the_training_part(quick):
    split = {"train": IDS[:10], "val": IDS[10:20], "test": IDS[20:]}
    labels = np.array([GAPS[i] for i in IDS[:10]])
    expected = {
        "standardise": TargetScaler(shift=labels.mean(), scale=labels.std(ddof=1)),
        "min-max": TargetScaler(
            shift=(labels.max() + labels.min()) / 2, scale=(labels.max() - labels.min()) / 2
        ),
        "none": TargetScaler(),
    }
    for scaling, scaler in expected.items():
        found = quick(split=split, scaling=scaling, epochs=1).model.scaler("gap")
        assert found.shift == pytest.approx(scaler.shift)
        assert found.scale == pytest.approx(scaler.scale)


@pytest.mark.parametrize("transform", ["log", "log1p"])
def test_transforms_are_undone_in_every_number(quick, table, transform):
    run = quick(transform=transform, epochs=1)
    assert run.model.scaler("gap").transform == transform
    frame = run.predictions
    np.testing.assert_array_equal(frame["y_true"], [GAPS[i] for i in frame["id"]])
    limit = 0 if transform == "log" else -1
    assert (frame["y_pred"] > limit).all()
    model = run.model
    scaled = model.scaler("gap").forward(predict_table(model, table).values)
    assert np.isfinite(scaled).all()
    history = stored(run, "history.csv")
    assert run.mae("val") == pytest.approx(history["val_mae"].iloc[0], rel=1e-5)


def test_read_run_needs_a_finished_run(finished, tmp_path):
    assert read_run(finished.folder).metrics == finished.metrics
    with pytest.raises(InputError, match="not the folder of a finished run"):
        read_run(tmp_path)


def test_evaluate_refuses_another_unit(finished, table):
    spec = table.properties["gap"].model_copy(update={"unit": "meV"})
    with pytest.raises(InputError, match="is in meV, but the model predicts 'gap' in eV"):
        evaluate(finished.folder, table.with_property(spec, table.values["gap"]), "gap")


def test_predict_takes_models_and_tables(finished, table):
    frames = [
        predict(finished.folder, table),
        predict(str(finished.folder), table),
        predict(finished.model, table),
    ]
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frame, frames[0])
    assert set(frames[0]["split"]) == {"new"}
    assert frames[0][["y_true", "y_lower", "y_upper"]].isna().all(axis=None)


def test_predictions_do_not_depend_on_company(finished, table):
    together = predict(finished.folder, table)["y_pred"].to_numpy()
    alone = [predict(finished.folder, table.select([row]))["y_pred"][0] for row in (0, 7, 29)]
    np.testing.assert_allclose(alone, together[[0, 7, 29]], rtol=1e-5)


@pytest.mark.parametrize("published", [True, False])
def test_statistics_of_frozen_layers_move_only_as_published(
    *, finished, table, no_report, tmp_path, published
):
    tuned = finetune(
        *(table, "gap", finished.folder, tmp_path / "tuned"),
        strategy="freeze-to:conv-2",
        epochs=2,
        published_batchnorm=published,
    )
    before, after = finished.model.state_dict(), tuned.model.state_dict()
    moved = {k for k in before if "encoder" in k and not before[k].equal(after[k])}
    assert bool(moved) is published
    assert all("running" in name for name in moved)


def test_logger_whose_package_is_missing(quick, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_lightning", None)
    monkeypatch.setitem(sys.modules, "pytorch_lightning.loggers", None)
    with pytest.raises(InputError, match=r"pip install 'epitaxy\[wandb\]'"):
        quick(logger=("wandb",))
