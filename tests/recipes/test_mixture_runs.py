"""Mixtures from files: experts by name, runs, resuming, published behaviour, the command line."""

import numpy as np
import pandas as pd
import pytest

from epitaxy.batches.scalers import TargetScaler
from epitaxy.checkpoints.model_files import zoo_names
from epitaxy.core.errors import InputError
from epitaxy.descriptors.table import feature_names
from epitaxy.models.cgcnn import CGCNN
from epitaxy.recipes.evaluate import evaluate
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.mixture import mixture, read_experts
from epitaxy.recipes.predict import predict
from epitaxy.recipes.train import train
from epitaxy.training import loop
from tiny import many, table

QUICK = {"epochs": 3, "batch_size": 8}
SMALL = {"encoder": {"width": 6, "layers": 2}, "model": "cgcnn"}


@pytest.fixture(scope="module")
def crystals():
    return table(many(24), gap=np.linspace(0.5, 4, 24), other=np.cos(np.arange(24.0)))


@pytest.fixture(scope="module")
def split(crystals):
    ids = [str(i) for i in crystals.ids]
    return {"train": ids[:14], "val": ids[14:19], "test": ids[19:]}


@pytest.fixture(scope="module")
def parents(crystals, split, tmp_path_factory):
    """Train two small networks."""
    folder = tmp_path_factory.mktemp("parents")
    return [
        train(crystals, "other", folder / name, split=split, seed=seed, **SMALL, **QUICK).folder
        for seed, name in enumerate(("first", "second"))
    ]


def quick(crystals, split, experts, out, **given):
    return mixture(crystals, "gap", experts, out, split=split, **{**QUICK, **given})


@pytest.mark.parametrize("aggregation", ["add", "concat", "ensemble"])
def test_a_run_predicts_what_it_says(crystals, split, parents, tmp_path, aggregation):
    run = quick(crystals, split, parents, tmp_path / "run", aggregation=aggregation)
    frame = run.predictions
    test = frame[frame["split"] == "test"].set_index("id")["y_pred"]
    again = predict(run.folder, crystals).set_index("id")["y_pred"]
    np.testing.assert_allclose(again[test.index], test, rtol=1e-5)
    assert set(run.model.encoder.gate_weights()) == {"first", "second"}
    gate = pd.read_csv(run.folder / "gate.csv").set_index("expert")["weight"]
    assert gate.to_dict() == pytest.approx(run.model.encoder.gate_weights())
    assert gate.is_monotonic_decreasing
    assert "<h2>Experts</h2>" in (run.folder / "report.html").read_text(encoding="utf-8")
    plan = pd.read_csv(run.folder / "plan.csv").set_index("group")
    assert not plan.loc["first/conv-1", "trainable"]
    assert plan.loc["second/conv-2", "trainable"]
    assert plan.loc["second/conv-2", "lr_scale"] == 0.5


def test_frozen_parts_stay_bit_identical(crystals, split, parents, tmp_path):
    run = quick(crystals, split, parents, tmp_path / "run")
    source = read_experts([parents[0]], "last-conv")[0].expert.encoder
    carried = run.model.encoder.encoders[0]
    assert isinstance(carried, CGCNN)
    for key, value in source.state_dict().items():
        same = bool((carried.state_dict()[key] == value).all())
        assert same == (not key.startswith("convs.1.")), key


def test_several_devices_change_no_number(crystals, split, parents, tmp_path):
    one = quick(crystals, split, parents, tmp_path / "one", device="cpu")
    two = quick(crystals, split, parents, tmp_path / "two", device="cpu,cpu:0")
    assert two.metrics == one.metrics
    with pytest.raises(InputError, match="give one device"):
        train(crystals, "gap", tmp_path / "no", split=split, device="cpu,cpu", **QUICK)


def test_the_same_command_twice(crystals, split, parents, tmp_path):
    runs = [quick(crystals, split, parents, tmp_path / str(i), k=1) for i in range(2)]
    files = [(run.folder / "model.safetensors").read_bytes() for run in runs]
    assert files[0] == files[1]


def test_an_interrupted_mixture_ends_with_the_same_weights(
    crystals, split, parents, tmp_path, monkeypatch
):
    settings = {"k": 1, "epochs": 5, "checkpoint_seconds": 0}
    whole = quick(crystals, split, parents, tmp_path / "whole", **settings)
    before, seen = loop._epoch, []

    def broken(*given):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(1)
        return before(*given)

    monkeypatch.setattr(loop, "_epoch", broken)
    with pytest.raises(KeyboardInterrupt):
        quick(crystals, split, parents, tmp_path / "cut", **settings)
    monkeypatch.setattr(loop, "_epoch", before)
    resumed = quick(crystals, split, parents, tmp_path / "cut", **settings)
    files = [(run.folder / "model.safetensors").read_bytes() for run in (whole, resumed)]
    assert files[0] == files[1]


def test_published_accidents(crystals, split, parents, tmp_path):
    run = quick(crystals, split, parents, tmp_path / "run", compat="chang2022")
    used = crystals.rows_of([*split["train"], *split["val"]])
    labels = np.zeros(len(crystals))
    labels[used] = crystals.values["gap"][used]
    assert run.model.scaler("gap") == TargetScaler.fit(labels, name="gap")
    source = read_experts([parents[0]], "last-conv")[0].expert.encoder
    moved = run.model.encoder.encoders[0].convs[0].bond_norm.running_mean
    assert not np.allclose(moved, source.convs[0].bond_norm.running_mean)


def test_descriptors_as_experts(crystals, split, parents, tmp_path):
    run = quick(crystals, split, [parents[0], "descriptors:composition"], tmp_path / "run")
    assert set(run.model.encoder.gate_weights()) == {"first", "composition"}
    again = predict(run.folder, crystals).set_index("id")["y_pred"]
    frame = run.predictions.set_index("id")["y_pred"]
    np.testing.assert_allclose(again[frame.index], frame, rtol=1e-4)


@pytest.mark.parametrize("aggregation", ["add", "ensemble"])
def test_descriptors_side_by_side_and_wider_layers(crystals, split, parents, tmp_path, aggregation):
    experts = [parents[0], "descriptors:composition+geometry"]
    given = {"aggregation": aggregation, "hidden": (5, 4)}
    run = quick(crystals, split, experts, tmp_path / "run", **given)
    joined = run.model.encoder.encoders[1]
    assert joined.width == len(feature_names("composition+geometry"))
    assert joined.reads_lengths
    network = (
        run.model.encoder.members[1] if aggregation == "ensemble" else run.model.head("gap").mlp
    )
    assert [layer.out_features for layer in network.hidden] == [5, 4]
    again = predict(run.folder, crystals).set_index("id")["y_pred"]
    frame = run.predictions.set_index("id")["y_pred"]
    np.testing.assert_allclose(again[frame.index], frame, rtol=1e-4)


def test_all_models_of_the_zoo():
    names = [
        source.expert.name for source in read_experts("zoo:*, descriptors:composition", "head")
    ]
    assert names[:-1] == zoo_names()
    assert names[-1] == "composition"
    assert all(s.expert.frozen == len(s.rows) for s in read_experts("zoo:*", "head"))


@pytest.mark.parametrize(
    ("experts", "given", "says"),
    [
        ("", {}, "No expert was named"),
        ("zoo:cgcnn-band-gab", {}, "Did you mean 'cgcnn-band-gap'?"),
        ("descriptors:compositon", {}, "Did you mean 'composition'?"),
        ("zoo:*", {"k": 9}, "k = 9 of 5 experts"),
        ("zoo:*", {"compat": "chang"}, "Did you mean 'chang2022'?"),
        ("zoo:*", {"strategy": "three-body"}, "needs"),
        ("zoo:*", {"hidden": (32, 0)}, "hidden = (32, 0) is not allowed"),
        ("descriptors:magpie+magpie", {}, "named twice"),
        ("zoo:*", {"aggregation": "sum"}, "Unknown aggregation 'sum'"),
    ],
)
def test_bad_input(crystals, tmp_path, experts, given, says):
    with pytest.raises(InputError) as error:
        mixture(crystals, "gap", experts, tmp_path / "run", **given)
    assert says in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_mixture_can_be_fine_tuned_and_evaluated(crystals, split, parents, tmp_path):
    experts = [parents[0], "descriptors:composition"]
    source = quick(crystals, split, experts, tmp_path / "source").folder
    run = finetune(crystals, "other", source, tmp_path / "tuned", split=split, **QUICK)
    assert set(run.model.encoder.gate_weights()) == {"first", "composition"}
    assert evaluate(run.folder, crystals, "other")["n"] == len(crystals)
