"""Learners as arrays: the same numbers as scikit-learn, before and after a file."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.errors import InputError
from epitaxy.evaluation.learned_arrays import Constant
from epitaxy.evaluation.shallow import ShallowModel, limits, standardised
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.learners import LEARNERS, boosting, extra_trees, kernel, mlp, ridge
from epitaxy.models.fixed_vectors import column_statistics

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(120, 7)) * [1, 10, 0.1, 1, 1, 1, 0] + [0, 5, 0, 0, 0, 0, 3]
LABELS = np.sin(FEATURES[:, 0]) + 0.1 * FEATURES[:, 1] + 0.05 * RNG.normal(size=120)
NEW = RNG.normal(size=(50, 7)) * 3


def reference(name):
    """Return scikit-learn's own estimator with the settings of the learner."""
    from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.svm import SVR

    loss = "absolute_error" if name == "boosting-l1" else "squared_error"
    if name == "extra-trees":
        return ExtraTreesRegressor(extra_trees.TREES, max_features=1 / 3, random_state=5)
    if name == "kernel":
        gamma = 1 / (7 * FEATURES.var() * kernel.WIDTH**2)
        return SVR(C=kernel.PENALTY, epsilon=kernel.TUBE, gamma=gamma)
    if name == "kernel-wide":
        gamma = 1 / (7 * FEATURES.var() * kernel.WIDE**2)
        return SVR(C=kernel.WIDE_PENALTY, epsilon=kernel.TUBE, gamma=gamma)
    if name == "ridge":
        return RidgeCV(ridge.STRENGTHS)
    return HistGradientBoostingRegressor(
        loss=loss,
        learning_rate=boosting.RATE,
        max_iter=boosting.STEPS,
        max_leaf_nodes=boosting.LEAVES,
        min_samples_leaf=6,
        max_features=boosting.SHARE,
        early_stopping=False,
        random_state=5,
    )


@pytest.mark.parametrize("name", sorted(set(LEARNERS) - {"constant", "mlp"}))
def test_arrays_predict_what_scikit_learn_predicts(name):
    learned = LEARNERS[name](FEATURES, LABELS, 5)
    expected = reference(name).fit(FEATURES, LABELS).predict(NEW)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(learned(NEW), expected, rtol=0, atol=1e-12)


def test_perceptrons_predict_what_torch_predicts():
    learned = LEARNERS["mlp"](FEATURES, LABELS, 5)
    parts = [torch.as_tensor(array) for array in learned.arrays().values()]
    new = torch.as_tensor(NEW, dtype=torch.float32).expand(mlp.MEMBERS, -1, -1)
    expected = mlp.forward(new, parts[:3], parts[3:]).mean(dim=0)
    np.testing.assert_allclose(learned(NEW), expected, rtol=1e-5, atol=1e-5)
    # Products of another number of rows may be summed in another order, by the processor.
    np.testing.assert_allclose(learned(NEW)[7:9], learned(NEW[7:9]), rtol=1e-6)


def test_perceptrons_learn_what_no_line_can():
    few, new = FEATURES[:, :1], np.linspace(-2, 2, 101)[:, None]
    errors = {
        name: np.abs(LEARNERS[name](few, np.abs(few[:, 0]), 0)(new) - np.abs(new[:, 0])).mean()
        for name in ("ridge", "mlp")
    }
    assert errors["mlp"] < 0.5 * errors["ridge"]


def test_perceptrons_differ_by_their_seed_only():
    one, again, other = (LEARNERS["mlp"](FEATURES, LABELS, seed)(NEW) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_a_file_gives_back_the_same_model(name, tmp_path):
    centre, scale = column_statistics(FEATURES)
    scaler = TargetScaler.fit(LABELS + 5, name="gap", transform="log")
    scaled = scaler.forward(LABELS + 5)
    learned = LEARNERS[name](standardised(FEATURES, centre, scale), scaled, 1)
    model = ShallowModel(("a", "b"), centre, scale, learned, scaler, limits(scaled))
    model.save(tmp_path / "m.safetensors")
    blocks = {"b": NEW[:, 3:], "other": NEW, "a": NEW[:, :3]}
    loaded = ShallowModel.load(tmp_path / "m.safetensors")
    assert np.array_equal(loaded(blocks), model(blocks))
    assert (loaded(blocks) > 0).all()


def test_rounding_is_no_feature():
    noise = RNG.normal(size=(120, 2)) * [1e-16, 1e-8] + [0.0, 1.0]
    centre, scale = column_statistics(np.hstack([FEATURES, noise]))
    assert np.isinf(scale).tolist() == [False] * 6 + [True] * 3
    assert not standardised(np.hstack([FEATURES, noise]), centre, scale)[:, 7:].any()


def test_predictions_stay_near_the_training_labels():
    centre, scale = column_statistics(FEATURES)
    learned = LEARNERS["ridge"](standardised(FEATURES, centre, scale), LABELS, 0)
    bounds = limits(LABELS)
    model = ShallowModel(("x",), centre, scale, learned, TargetScaler(), bounds)
    far = model({"x": NEW * 1e6})
    assert far.min() >= bounds[0]
    assert far.max() <= bounds[1]
    assert bounds[1] - bounds[0] == pytest.approx(2 * np.ptp(LABELS))


def test_a_damaged_file_is_an_input_error(tmp_path):
    path = tmp_path / "m.safetensors"
    model = ShallowModel((), np.zeros(0), np.zeros(0), Constant(1.5), TargetScaler(), (0, 2))
    assert model({"x": np.zeros((3, 2))}).tolist() == [1.5] * 3
    model.save(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="damaged"):
        ShallowModel.load(path)


def test_each_source_also_stands_alone_beside_the_descriptors(problem):
    blocks = {**problem.blocks, "second": problem.blocks["other"] + 1}
    several = replace(problem, blocks=blocks, sources=dict.fromkeys(("other", "second"), "zoo:x"))
    found = {c.name: c.settings["blocks"] for c in FAMILIES["combined"].propose(several)}
    assert found["descriptors and embeddings + boosting"] == ["composition", "other", "second"]
    assert found["descriptors and embedding of second + kernel-wide"] == ["composition", "second"]
    assert "descriptors and embedding of other + boosting" not in found  # too slow for so many
    one = [c.name for c in FAMILIES["combined"].propose(problem)]
    assert all(name.startswith("descriptors and embeddings + ") for name in one)
    assert not FAMILIES["combined"].propose(replace(problem, sources={}))
