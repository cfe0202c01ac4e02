"""The loop: learning, best weights, early stopping, resuming, precision, caching."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch.testing import assert_close

from epitaxy.core.errors import InputError
from epitaxy.recipes.running import cacheable
from epitaxy.results.history import HistoryWriter, best_epoch, read_history
from epitaxy.training import loop
from epitaxy.training.loop import Errors
from epitaxy.training.resume import FILE
from epitaxy.transfer.plan import make_plan
from tiny import changed, job, model, run, tensors


def history(folder) -> pd.DataFrame:
    return read_history(folder / "history.csv").drop(columns="seconds")


def test_it_learns(tmp_path):
    net = model()
    progression = run(job(net, epochs=30, learning_rate=0.02, loss="mse"), tmp_path)
    rows = history(tmp_path)
    assert rows["epoch"].tolist() == list(range(1, 31))
    assert rows["val_mae"].min() < 0.5 * rows["val_mae"].iloc[0]
    assert rows["train_loss"].iloc[-1] < 0.5 * rows["train_loss"].iloc[0]
    assert progression.best_epoch == rows["val_mae"].argmin() + 1


def score(net, made):
    net.eval()
    errors = Errors(net)
    with torch.no_grad():
        for batch in made.val.epoch():
            errors.add(net(batch, start=made.start), batch.targets)
    return errors.score()


def decree(monkeypatch, scores):
    """Let validation find these errors, whatever the network does."""

    class Decreed(NamedTuple):
        error: float

        def score(self):
            return self.error

        def of_each(self):
            return {"gap": self.error}

    monkeypatch.setattr(loop, "validate", lambda *_: (0.0, Decreed(next(scores))))


@pytest.mark.parametrize("kept", ["best", "last"])
def test_which_weights_are_kept(tmp_path, monkeypatch, kept):
    """The third epoch is the best one by decree."""
    scores = iter([5.0, 3.0, 1.0, 2.0, 4.0])
    decree(monkeypatch, scores)
    net, weights = model(), []
    original = HistoryWriter.append
    monkeypatch.setattr(
        HistoryWriter, "append", lambda *a, **k: (weights.append(tensors(net)), original(*a, **k))
    )
    progression = run(job(net, epochs=5, weights=kept), tmp_path)
    assert progression.best_epoch == 3
    assert not changed(weights[2 if kept == "best" else 4], tensors(net))


def test_history_is_measured_on_the_weights_of_its_epoch(tmp_path):
    net = model()
    made = job(net, epochs=3, weights="last")
    run(made, tmp_path)
    assert score(net, made) == history(tmp_path)["val_mae"].iloc[-1]


@pytest.mark.parametrize(("patience", "last"), [(1, 4), (2, 5), (3, 6), (None, 6)])
def test_early_stopping(tmp_path, monkeypatch, patience, last):
    scores = iter([5.0, 3.0, 1.0, 2.0, 1.0, 4.0])
    decree(monkeypatch, scores)
    progression = run(job(model(), epochs=6, patience=patience), tmp_path)
    assert history(tmp_path)["epoch"].iloc[-1] == last
    assert progression.epoch == last
    assert progression.stopped == (patience is not None)


class Killed(Exception):  # noqa: N818 - it is not an error
    """Stands for the end of the process."""


def interrupted(made, folder, monkeypatch, after):
    """Run until the row after epoch ``after`` is to be written."""
    original = HistoryWriter.append

    def append(self, **row):
        if row["epoch"] > after:
            raise Killed
        original(self, **row)

    with monkeypatch.context() as patch:
        patch.setattr(HistoryWriter, "append", append)
        with pytest.raises(Killed):
            run(made, folder)


COMBINATIONS = [
    ("adam", "constant"),
    ("adamw", "one-cycle"),
    ("adamw", "triangular"),
    ("sgd", "cosine"),
    ("sgd", "one-cycle"),
]


@pytest.mark.parametrize(("optimiser", "schedule"), COMBINATIONS)
@pytest.mark.parametrize("checkpoint_seconds", [0.0, 1e9], ids=["resumed", "anew"])
def test_a_resumed_run_ends_with_the_same_bits(
    tmp_path, monkeypatch, optimiser, schedule, checkpoint_seconds
):
    settings = {
        "epochs": 5,
        "optimiser": optimiser,
        "schedule": schedule,
        "learning_rate": 0.02,
        "checkpoint_seconds": checkpoint_seconds,
        "patience": 4,
    }
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    whole = model()
    progression = run(job(whole, **settings), straight)
    interrupted(job(model(), **settings), resumed, monkeypatch, after=3)
    assert (resumed / FILE).exists() == (checkpoint_seconds == 0)
    assert len(history(resumed)) == 3
    parts = model(seed=5)  # other weights than those with which the first part began
    if checkpoint_seconds:
        parts = model()
    assert run(job(parts, **settings), resumed) == progression
    assert not changed(tensors(whole), tensors(parts))
    pd.testing.assert_frame_equal(history(straight), history(resumed), check_exact=True)


def with_dropout(net):
    mlp = net.heads[0].mlp
    mlp.act = torch.nn.Sequential(mlp.act, torch.nn.Dropout(0.4))
    return net


def test_resuming_a_network_that_draws_random_numbers(tmp_path, monkeypatch):
    whole, parts = with_dropout(model()), with_dropout(model())
    settings = {"epochs": 4, "checkpoint_seconds": 0, "weights": "last"}
    run(job(whole, **settings), tmp_path / "straight")
    interrupted(job(with_dropout(model()), **settings), tmp_path / "resumed", monkeypatch, after=2)
    torch.rand(17)
    run(job(parts, **settings), tmp_path / "resumed")
    assert not changed(tensors(whole), tensors(parts))


def test_resuming_with_several_properties(tmp_path, monkeypatch):
    """Learned weights of the properties, drawn rows and ranks of epochs go on, too."""

    def made(seed=0):
        return job(
            model(names=("a", "b", "c"), seed=seed),
            epochs=6,
            checkpoint_seconds=0,
            balance="uncertainty",
            sampling_temperature=2.0,
            learning_rate=0.02,
        )

    whole, parts = made(), made(seed=5)
    progression = run(whole, tmp_path / "straight")
    assert (whole.loss.log_widths != 0).all()
    interrupted(made(), tmp_path / "resumed", monkeypatch, after=3)
    assert run(parts, tmp_path / "resumed") == progression
    assert not changed(tensors(whole.model), tensors(parts.model))
    assert (whole.loss.log_widths == parts.loss.log_widths).all()
    found = history(tmp_path / "straight")
    assert best_epoch(found) == progression.best_epoch
    pd.testing.assert_frame_equal(found, history(tmp_path / "resumed"), check_exact=True)


def test_resuming_in_a_staged_transfer(tmp_path, monkeypatch):
    def made(net):
        plan = make_plan("full", net.depth_groups())
        rows = [r.model_copy(update={"from_epoch": i}) for i, r in enumerate(plan.rows[::-1])][::-1]
        plan = plan.model_copy(update={"rows": tuple(rows)})
        return job(net, plan, epochs=5, checkpoint_seconds=0, weights="last")

    whole, parts = model(), model(seed=5)
    run(made(whole), tmp_path / "straight")
    interrupted(made(model()), tmp_path / "resumed", monkeypatch, after=2)
    run(made(parts), tmp_path / "resumed")
    assert not changed(tensors(whole), tensors(parts))


def test_a_finished_run_is_not_trained_again(tmp_path):
    first, second = model(), model(seed=5)
    done = run(job(first, epochs=2), tmp_path)
    assert run(job(second, epochs=2), tmp_path) == done
    assert not changed(tensors(first), tensors(second))
    assert len(history(tmp_path)) == 2


def damage(path, how):
    data = path.read_bytes()
    header = int.from_bytes(data[:8], "little")
    other = model(hidden=(9,))
    if how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "noise":
        path.write_bytes(bytes(range(256)) * 20)
    elif how == "without note":
        path.write_bytes(
            data[:8] + data[8 : 8 + header].replace(b'"note"', b'"nose"') + data[8 + header :]
        )
    elif how == "of another model":
        run(job(other, epochs=1), path.parent)


@pytest.mark.parametrize("how", ["truncated", "empty", "noise", "without note", "of another model"])
def test_a_damaged_state_starts_anew(tmp_path, monkeypatch, how):
    settings = {"epochs": 3, "checkpoint_seconds": 0}
    fresh = model()
    run(job(fresh, **settings), tmp_path / "fresh")
    interrupted(job(model(), **settings), tmp_path / "damaged", monkeypatch, after=2)
    damage(tmp_path / "damaged" / FILE, how)
    again = model()
    run(job(again, **settings), tmp_path / "damaged")
    assert not changed(tensors(fresh), tensors(again))
    pd.testing.assert_frame_equal(
        history(tmp_path / "fresh"), history(tmp_path / "damaged"), check_exact=True
    )


@pytest.mark.parametrize("gradient_clip", [None, 1.0])
def test_a_loss_that_is_no_number(tmp_path, gradient_clip):
    made = job(model(), epochs=9, learning_rate=1e30, gradient_clip=gradient_clip, optimiser="sgd")
    match = r"loss became (nan|inf) in epoch \d; use a smaller learning rate than 1e\+30"
    with pytest.raises(InputError, match=match):
        run(made, tmp_path)


def test_clipping_bounds_the_step(tmp_path):
    def length(clip):
        net = model()
        made = job(
            net,
            n=4,
            epochs=1,
            optimiser="sgd",
            momentum=0,
            weight_decay=0,
            learning_rate=1,
            gradient_clip=clip,
            weights="last",
        )
        before = dict(net.named_parameters())
        start = {k: v.detach().clone() for k, v in before.items()}
        run(made, tmp_path / str(clip))
        return sum(((v - start[k]) ** 2).sum() for k, v in net.named_parameters()).sqrt().item()

    assert length(None) > 0.01
    assert abs(length(0.001) - 0.001) < 1e-5


def test_bfloat16_trains_close_to_float32(tmp_path):
    rows = {}
    for precision in ("32", "bf16"):
        net = model()
        folder = tmp_path / precision
        run(job(net, epochs=20, learning_rate=0.02, precision=precision), folder)
        rows[precision] = history(folder)
        assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert rows["bf16"]["val_mae"].iloc[0] == pytest.approx(rows["32"]["val_mae"].iloc[0], rel=0.05)
    assert rows["bf16"]["val_mae"].min() < 0.5 * rows["bf16"]["val_mae"].iloc[0]
    assert not rows["bf16"].equals(rows["32"])


@pytest.mark.parametrize("strategy", ["new-head", "last-conv", "head", "freeze-to:conv-2"])
def test_a_cached_prefix_trains_to_the_same_numbers(tmp_path, strategy):
    nets = {}
    for cached in (True, False):
        # In float64, because Adam makes as much of a gradient that is round-off as of any other.
        net = nets[cached] = model().double()
        plan = make_plan(strategy, net.depth_groups())
        probe = job(model(), strategy)
        start = cacheable(net, plan, probe.config) if cached else 0
        made = job(net, plan, start=start, epochs=4, learning_rate=0.01)
        net.double()  # the new head, too
        assert made.start == {True: 2 if strategy == "last-conv" else 4, False: 0}[cached]
        if cached:
            states = next(iter(made.train.epoch())).state
            assert states.keys() == {"atoms" if strategy == "last-conv" else "crystal"}
        run(made, tmp_path / str(cached))
    for key, value in nets[True].state_dict().items():
        assert_close(value, nets[False].state_dict()[key], rtol=1e-6, atol=1e-6)
    rows = [history(tmp_path / str(cached)) for cached in (True, False)]
    pd.testing.assert_frame_equal(*rows, rtol=1e-5, atol=1e-6)


def test_moving_statistics_forbid_the_cache():
    net = model()
    config = job(model(), "new-head", published_batchnorm=True).config
    assert cacheable(net, make_plan("new-head", net.depth_groups()), config) == 0


def test_missing_labels_of_several_properties(tmp_path):
    net = model(names=("a", "b"))
    made = job(net, epochs=3, learning_rate=0.01)
    for each in (made.train, made.val):
        each.targets = each.targets.copy()
        each.targets[::2, 0] = np.nan
        each.targets[:8, 1] = np.nan
    run(made, tmp_path)
    assert np.isfinite(history(tmp_path).to_numpy()).all()
    assert all(torch.isfinite(v).all() for v in tensors(net).values())


def test_without_any_validation_label_the_last_weights_are_kept(tmp_path):
    """Nothing says which epoch was best; the untrained weights certainly were not."""
    net = model()
    made = job(net, epochs=2)
    made.val.targets = np.full_like(made.val.targets, np.nan)
    before = tensors(net)
    progression = run(made, tmp_path)
    assert progression.best_epoch == 0
    assert "heads.0.mlp.output.weight" in changed(before, tensors(net))


def added(net, predicted, targets):
    errors = Errors(net)
    for rows in (slice(0, 1), slice(1, None)):
        errors.add(torch.tensor(predicted)[rows], torch.tensor(targets)[rows])
    return errors.score()


def test_the_score_of_one_property_is_in_physical_units():
    # scale 2: an error of 0.5 on the learning scale is 1 eV
    assert added(model(), [[0.0], [1.0], [2.0]], [[0.5], [np.nan], [2.0]]) == 0.5


def test_the_score_of_several_is_the_mean_on_their_learning_scales():
    net = model(names=("a", "b"))
    predicted, targets = [[0.0, 0.0], [1.0, 3.0]], [[0.5, np.nan], [np.nan, 4.0]]
    assert added(net, predicted, targets) == 0.75
    assert added(net, predicted, [[0.5, np.nan], [np.nan, np.nan]]) == 0.5
    assert added(net, predicted, [[np.nan] * 2] * 2) == np.inf


def test_a_prediction_that_is_no_number_is_not_overlooked():
    assert np.isnan(added(model(), [[0.0], [np.nan]], [[0.5], [1.0]]))


def test_runs_of_one_seed_are_equal_and_of_two_are_not(tmp_path):
    nets = []
    for i, seed in enumerate((0, 0, 1)):
        nets.append(model())
        run(job(nets[-1], seed=seed), tmp_path / str(i))
        torch.rand(3)
    assert not changed(tensors(nets[0]), tensors(nets[1]))
    assert changed(tensors(nets[0]), tensors(nets[2]))


def test_a_last_batch_of_one_crystal_trains(tmp_path):
    net = model()
    made = job(net, n=9, epochs=2, batch_size=4)
    assert [len(b) for b in made.train.epoch()] == [4, 4, 1]
    run(made, tmp_path)
    assert all(torch.isfinite(v).all() for v in tensors(net).values())
