"""From one functional to another: what trains, whose scale counts, and widths of errors."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from epitaxy.checkpoints.model_files import load_model
from epitaxy.core.errors import InputError
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.predict import predict
from epitaxy.transfer import STRATEGIES
from tiny import SMALL

CGAT = SMALL["cgat"]


@pytest.fixture
def source(quick):
    return quick()


@pytest.fixture
def costly(table):
    """Return the same crystals with values of another functional."""
    spec = table.properties["gap"].model_copy(update={"name": "gap_scan"})
    return table.with_property(spec, 1.4 * table.values["gap"] + 3)


def tuned(costly, source, out, **options):
    return finetune(costly, "gap_scan", source.folder, out, **{"epochs": 3, **options})


def scaler(run):
    return json.loads((run.folder / "model.json").read_text())["heads"]["gap_scan"]["scaler"]


def test_the_scale_is_that_of_the_target_or_that_of_the_source(costly, source, tmp_path):
    fitted = tuned(costly, source, tmp_path / "fitted")
    kept = tuned(costly, source, tmp_path / "kept", scaling="source")
    train = fitted.predictions.query("split == 'train'")["y_true"]
    assert scaler(fitted)["shift"] == pytest.approx(train.mean())
    assert scaler(fitted)["scale"] == pytest.approx(train.std())
    header = json.loads((source.folder / "model.json").read_text())
    assert scaler(kept) == header["heads"]["gap"]["scaler"]
    assert fitted.metrics != kept.metrics
    assert "scaling: source" in (kept.folder / "config.yaml").read_text()


def test_a_scale_can_only_be_kept_where_there_is_one(quick, costly, source, tmp_path):
    with pytest.raises(InputError, match=r"'source' of 'gap' keeps .* none is fine-tuned here"):
        quick(scaling="source")
    with pytest.raises(InputError, match=r"keeps the scale 'identity' .* learned on 'log1p'"):
        tuned(costly, source, tmp_path / "run", scaling="source", transform="log1p")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("model", ["cgcnn", "cgat"])
def test_none_head_and_full(table, costly, no_report, tmp_path, model):
    """The same test rows for all; the head alone leaves the encoder as it was."""
    from epitaxy.recipes.train import train

    shape = CGAT if model == "cgat" else {"width": 8, "layers": 2}
    options = {"model": model, "encoder": shape, "epochs": 2, "split": "random:3"}
    first = train(table, "gap", tmp_path / "source", **options)
    none = train(costly, "gap_scan", tmp_path / "none", **options)
    found = {
        strategy: tuned(costly, first, tmp_path / strategy, strategy=strategy, split="random:3")
        for strategy in ("regression-head", "full")
    }
    tested = [
        set(run.predictions.query("split == 'test'")["id"]) for run in (none, *found.values())
    ]
    assert tested[0] == tested[1] == tested[2]
    before = dict(first.model.encoder.named_parameters())
    for strategy, run in found.items():
        same = [torch.equal(p, before[n]) for n, p in run.model.encoder.named_parameters()]
        assert all(same) == (strategy == "regression-head")


def test_the_regression_head_takes_no_argument():
    with pytest.raises(InputError, match="takes no argument"):
        STRATEGIES["regression-head"]([], "x")


# --- widths of errors ----------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["robust-l1", "robust-l2"])
def test_a_robust_loss_adds_a_width_that_is_learned_and_kept(quick, table, loss):
    run = quick(loss=loss, epochs=4)
    head = load_model(run.folder).head("gap")
    assert head.log_width is not None
    start = quick(loss=loss, epochs=1, learning_rate=1e-12).model.head("gap").log_width
    assert not torch.allclose(head.log_width.weight, start.weight)
    assert np.isfinite(pd.read_csv(run.folder / "history.csv")).all(axis=None)
    assert np.isfinite(predict(run.folder, table)["y_pred"]).all()


def test_widths_come_and_stay_in_fine_tuning(quick, costly, source, tmp_path):
    robust = quick(loss="robust-l1")
    plain = tuned(costly, source, tmp_path / "to", loss="robust-l1")
    assert plain.model.head("gap_scan").log_width is not None
    for number, strategy in enumerate(("full", "full+new-head", "regression-head")):
        for loss in ("robust-l1", "l1"):
            out = tmp_path / f"{number}-{loss}"
            run = tuned(costly, robust, out, strategy=strategy, loss=loss, epochs=2)
            assert run.model.head("gap_scan").log_width is not None


def test_one_width_per_property(quick, table):
    spec = table.properties["gap"].model_copy(update={"name": "other"})
    holes = np.where(np.arange(len(table)) % 3, table.values["gap"] ** 2, np.nan)
    run = quick(table.with_property(spec, holes), ["gap", "other"], loss="robust-l1")
    widths = [run.model.head(name).log_width.weight for name in ("gap", "other")]
    assert not torch.equal(*widths)


def test_models_without_widths_are_written_as_before(source):
    header = json.loads((source.folder / "model.json").read_text())
    assert "log_width" not in header["heads"]["gap"]["config"]
    assert source.model.head("gap").log_width is None
