"""Losses over known labels, and schedules against torch's own."""

import math

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR
from torch.testing import assert_close

from epitaxy.training.config import TrainingConfig
from epitaxy.training.losses import learned_weights, make_loss
from epitaxy.training.optimisers import make_optimiser, set_rates, unfreeze
from epitaxy.training.schedules import Position, Rates, rates
from epitaxy.transfer.plan import ParameterGroup, apply_plan, make_plan
from tiny import model

NAN = float("nan")
LOSSES = {
    "mse": torch.nn.MSELoss(),
    "l1": torch.nn.L1Loss(),
    "huber": torch.nn.HuberLoss(delta=0.5),
}


@pytest.fixture(params=LOSSES)
def losses(request):
    """Return our loss and torch's."""
    delta = {"huber_delta": 0.5} if request.param == "huber" else {}
    return make_loss(TrainingConfig(loss=request.param, **delta), 3), LOSSES[request.param]


def test_without_gaps_it_is_the_loss_of_torch(losses):
    ours, theirs = losses
    prediction, target = torch.randn(2, 7, 3)
    assert_close(ours(prediction, target), theirs(prediction, target))


def test_unknown_labels_have_no_part_in_value_and_gradient(losses):
    ours, theirs = losses
    prediction = torch.randn(3, 2, requires_grad=True)
    target = torch.tensor([[0.0, NAN], [1.0, -2.0], [NAN, NAN]])
    known = torch.isfinite(target)
    loss = ours(prediction, target)
    assert_close(loss, theirs(prediction[known], target[known]))
    loss.backward()
    assert (prediction.grad[~known] == 0).all()
    assert (prediction.grad[known] != 0).all()


def test_a_batch_without_any_label_is_zero(losses):
    ours, _ = losses
    prediction = torch.randn(3, 2, requires_grad=True)
    loss = ours(prediction, torch.full((3, 2), NAN))
    loss.backward()
    assert loss == 0
    assert (prediction.grad == 0).all()


# Errors 1 and 3 of the first property, 8 of the second, nothing of the third.
ERRORS = torch.tensor([[1.0, 8.0, NAN], [3.0, NAN, NAN]])
BALANCED = {"labels": 12 / 3, "properties": (2 + 8) / 2, "uncertainty": 5.0, "published": 12 / 6}


def balanced(balance, prediction=None, n_properties=3):
    loss = make_loss(TrainingConfig(loss="l1", balance=balance), n_properties)
    prediction = torch.zeros(2, 3) if prediction is None else prediction
    return loss, loss(prediction, ERRORS)


@pytest.mark.parametrize("balance", BALANCED)
def test_how_several_properties_count(balance):
    assert balanced(balance)[1].item() == pytest.approx(BALANCED[balance])


@pytest.mark.parametrize("balance", BALANCED)
def test_absent_labels_have_no_gradient_however_properties_count(balance):
    prediction = torch.zeros(2, 3, requires_grad=True)
    balanced(balance, prediction)[1].backward()
    assert ((prediction.grad == 0) == torch.isnan(ERRORS)).all()


@pytest.mark.parametrize("balance", sorted(set(BALANCED) - {"published"}))
def test_a_row_without_labels_changes_nothing(balance):
    loss, value = balanced(balance)
    more = torch.cat([ERRORS, torch.full((1, 3), NAN)])
    assert loss(torch.zeros(3, 3), more).item() == pytest.approx(value.item())


def test_learned_weights_balance_the_errors():
    """The best log width of a property is the log of its mean error; one without labels stays."""
    loss, _ = balanced("uncertainty")
    optimiser = torch.optim.Adam(loss.parameters(), lr=0.1)
    for _ in range(500):
        optimiser.zero_grad()
        loss(torch.zeros(2, 3), ERRORS).backward()
        optimiser.step()
    assert_close(loss.log_widths.detach().exp(), torch.tensor([2.0, 8.0, 1.0]), rtol=1e-3, atol=0)


@pytest.mark.parametrize("balance", sorted(set(BALANCED) - {"uncertainty"}))
def test_other_balances_learn_nothing(balance):
    loss, _ = balanced(balance)
    assert not learned_weights(loss).parameters
    assert not loss.state_dict()


ROBUST = pytest.mark.parametrize("name", ["robust-l1", "robust-l2"])


@ROBUST
def test_the_width_that_a_robust_loss_learns_is_that_of_the_error(name):
    """Where all errors are 3, the standard deviation of L1 is sqrt(2) times that, of L2 3."""
    loss = make_loss(TrainingConfig(loss=name), 1)
    width = torch.zeros(1, 1, requires_grad=True)
    optimiser = torch.optim.Adam([width], lr=0.1)
    for _ in range(500):
        optimiser.zero_grad()
        loss(torch.zeros(1, 1), torch.full((1, 1), 3.0), width).backward()
        optimiser.step()
    expected = 3 * (math.sqrt(2) if name == "robust-l1" else 1)
    assert width.exp().item() == pytest.approx(expected, rel=1e-3)


@ROBUST
def test_unknown_labels_have_no_part_in_robust_losses(name):
    loss = make_loss(TrainingConfig(loss=name), 2)
    prediction, widths = torch.randn(2, 3, 2).requires_grad_().unbind()
    target = torch.tensor([[0.0, NAN], [1.0, -2.0], [NAN, NAN]])
    known = torch.isfinite(target)
    value = loss(prediction, target, widths)
    one = make_loss(TrainingConfig(loss=name), 1)
    alone = one(*(t[known][:, None] for t in (prediction, target, widths)))
    assert_close(value, alone)
    for slope in torch.autograd.grad(value, [prediction, widths]):
        assert ((slope == 0) == ~known).all()


def test_robust_losses_of_several_properties_have_one_kind_of_width():
    with pytest.raises(ValueError, match="robust losses learn widths themselves"):
        TrainingConfig(loss="robust-l1", balance="uncertainty")


STEPS, EPOCHS = 5, 8


def ours(**settings):
    """Return the rates of every step of a run."""
    config = TrainingConfig(epochs=EPOCHS, **settings)
    return [rates(config, Position(i // STEPS, i, STEPS)) for i in range(EPOCHS * STEPS)]


def parameter_group(**settings):
    return torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], **settings)


@pytest.mark.parametrize("minimum_rate", [0.0, 0.002])
def test_cosine_is_that_of_torch(minimum_rate):
    optimiser = parameter_group(lr=0.02)
    theirs = CosineAnnealingLR(optimiser, EPOCHS, minimum_rate)
    found = ours(schedule="cosine", learning_rate=0.02, minimum_rate=minimum_rate)
    for epoch in range(EPOCHS):
        for step in range(STEPS):
            now = found[epoch * STEPS + step]
            assert math.isclose(now.learning_rate, optimiser.param_groups[0]["lr"])
            assert now.momentum == 0.9
        optimiser.step()
        theirs.step()


def test_one_cycle_is_that_of_torch():
    optimiser = parameter_group(lr=0.02)
    theirs = OneCycleLR(optimiser, 0.02, epochs=EPOCHS, steps_per_epoch=STEPS)
    for i, now in enumerate(ours(schedule="one-cycle", learning_rate=0.02)):
        group = optimiser.param_groups[0]
        assert math.isclose(now.learning_rate, group["lr"]), i
        assert math.isclose(now.momentum, group["betas"][0]), i
        optimiser.step()
        if i + 1 < EPOCHS * STEPS:
            theirs.step()


def test_triangular_goes_from_a_tenth_to_one_and_back():
    found = [r.learning_rate for r in ours(schedule="triangular", schedule_epochs=4)]
    for i, rate in enumerate(found):
        phase = i // STEPS % 4 / 4
        expected = 0.1 + 0.9 * min(2 * phase, 2 - 2 * phase)
        assert math.isclose(rate, 3e-3 * expected), i
    assert math.isclose(max(found), 3e-3)
    assert math.isclose(min(found), 3e-4)


def test_constant():
    assert set(ours(schedule="constant", momentum=0.8)) == {Rates(3e-3, 0.8)}


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle", "triangular"])
def test_schedule_length(schedule):
    short = ours(schedule=schedule, schedule_epochs=4)
    exact = [
        rates(TrainingConfig(epochs=4, schedule=schedule), Position(i // STEPS, i, STEPS))
        for i in range(4 * STEPS)
    ]
    assert short[: len(exact)] == exact
    rest = [r.learning_rate for r in short[len(exact) :]]
    if schedule == "triangular":
        assert rest == pytest.approx([r.learning_rate for r in exact])
    else:  # the end of the schedule is kept
        assert rest == [min(r.learning_rate for r in short)] * len(rest)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_one_cycle_of_a_few_steps_stays_in_its_bounds(steps):
    config = TrainingConfig(epochs=1, learning_rate=1.0)
    found = [rates(config, Position(0, i, steps)) for i in range(steps)]
    assert all(1 / 25e4 <= r.learning_rate <= 1 for r in found)
    assert all(0.85 <= r.momentum <= 0.95 for r in found)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_decay_is_for_matrices_only(name):
    net = model()
    groups = apply_plan(net, make_plan("layer-decay:0.5", net.depth_groups()), seed=0)
    config = TrainingConfig(optimiser=name, weight_decay=0.3, momentum=0.7)
    optimiser = make_optimiser(config, groups)
    found = {id(p): g for g in optimiser.param_groups for p in g["params"]}
    assert len(found) == len(list(net.parameters()))
    for parameter in net.parameters():
        assert found[id(parameter)]["weight_decay"] == (0.3 if parameter.ndim > 1 else 0.0)
    momenta = {g["momentum"] if name == "sgd" else g["betas"][0] for g in optimiser.param_groups}
    assert momenta == {0.7}
    assert type(optimiser).__name__.lower() == name


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_rates_reach_every_group(name):
    weights = [torch.nn.Parameter(torch.zeros(2, 2)) for _ in range(2)]
    groups = [ParameterGroup("a", weights[:1], 1.0, 0), ParameterGroup("b", weights[1:], 0.5, 0)]
    optimiser = make_optimiser(TrainingConfig(optimiser=name), groups)
    set_rates(optimiser, Rates(0.2, 0.6))
    assert [g["lr"] for g in optimiser.param_groups] == [0.2, 0.1]
    for group in optimiser.param_groups:
        assert group["momentum"] == 0.6 if name == "sgd" else group["betas"] == (0.6, 0.999)


def test_groups_train_from_their_epoch_on():
    weight = torch.nn.Parameter(torch.zeros(2))
    optimiser = make_optimiser(TrainingConfig(), [ParameterGroup("a", [weight], 1.0, 3)])
    states = []
    for epoch in range(5):
        unfreeze(optimiser, epoch)
        states.append(weight.requires_grad)
    assert states == [False, False, False, True, True]
