"""The mixture against numbers computed with the code of Chang, Wang and Ertekin (2022).

Their training switches every normalisation to batch statistics, and evaluates the first extractor
once more before each step; both are repeated here.
"""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from epitaxy.batches.batch import collate
from epitaxy.batches.scalers import TargetScaler
from epitaxy.checkpoints.cgcnn import import_cgcnn
from epitaxy.checkpoints.foreign import read_torch_file
from epitaxy.core.properties import PropertySpec
from epitaxy.models.heads import Head
from epitaxy.models.mixture import Expert, Mixture
from epitaxy.models.property_model import PropertyModel
from golden_cgcnn import reference, stored_graphs

pytestmark = pytest.mark.shared

CLOSE = {"rtol": 2e-5, "atol": 2e-5}
FROZEN = 4
"""All but the last convolution."""


@pytest.fixture(scope="module")
def golden(shared):
    return reference(shared)


@pytest.fixture(scope="module")
def batch(golden):
    return collate(stored_graphs(golden)).double()


def mixture(shared, golden, k):
    experts = []
    for name in map(str, golden["extractor_names"]):
        path = shared / "checkpoints" / "chang2022" / f"{name}.pth.tar"
        model = import_cgcnn(read_torch_file(path), PropertySpec(name="y"), path.name)
        experts.append(Expert(name, "cgcnn", model.encoder, act="softplus", frozen=FROZEN))
    encoder = Mixture(experts=experts, k=k)
    head = Head(encoder.width, PropertySpec(name="y"), TargetScaler(), encoder.default_head)
    made = PropertyModel("mixture", encoder, {"y": head}).double()
    with torch.no_grad():
        encoder.gate.scores.copy_(torch.from_numpy(golden["step_theta0"]))
        for number, layer in enumerate([*head.mlp.hidden, head.mlp.output]):
            layer.weight.copy_(torch.from_numpy(golden[f"step_head{number}_W"]))
            layer.bias.copy_(torch.from_numpy(golden[f"step_head{number}_b"]))
    return made


def optimiser_of(made):
    encoder, head = made.encoder, made.heads[0]
    for parameter in encoder.encoders.parameters():
        parameter.requires_grad_(False)
    groups = [{"params": [encoder.gate.scores, *head.parameters()], "lr": 0.01}]
    for expert in encoder.encoders:
        expert.convs[-1].requires_grad_(True)
        groups.append({"params": list(expert.convs[-1].parameters()), "lr": 0.005})
    return torch.optim.Adam(groups)


@pytest.mark.parametrize("k", [4, 18])
def test_one_step_of_the_published_training(shared, golden, batch, k):
    made = mixture(shared, golden, k).eval()
    encoder, head = made.encoder, made.heads[0].mlp

    def near(values, name, **tolerance):
        close = CLOSE | tolerance
        assert_allclose(values, golden[f"step_k{k}_{name}"], **close, err_msg=name)

    with torch.no_grad():
        near(encoder.gate.weights(), "gate")
        near(encoder(batch).crystal, "mixed64_eval")
        near(made(batch)[:, 0], "eval_pred0")
    optimiser = optimiser_of(made)
    made.train()
    with torch.no_grad():
        encoder.encoders[0](batch)
    predicted = made(batch)[:, 0]
    error = (predicted - torch.from_numpy(golden["step_target_norm"]).double()).square().mean()
    penalty = encoder.penalty()
    assert penalty is not None
    near(predicted.detach(), "train_pred")
    near(error.detach(), "mse")
    near(penalty.detach() / 0.01, "reg")
    near((error + penalty).detach(), "total")
    (error + penalty).backward()
    near(encoder.gate.scores.grad, "theta_grad")
    norms = [e.convs[-1].linear.weight.grad for e in encoder.encoders]
    near([np.nan if g is None else float(g.norm()) for g in norms], "lastconv_gradnorm")
    optimiser.step()
    near(encoder.gate.scores.detach(), "theta1")
    near(head.hidden[0].weight.detach(), "head0_W1")
    # Adam makes a step of 0.005 of a gradient near its epsilon, whose float32 rounding shows.
    near(encoder.encoders[1].convs[-1].linear.weight.detach(), "ext1_lastconv_W1", atol=1e-4)
    for number in (0, 1):
        statistics = encoder.encoders[number].convs[-1].bond_norm.running_mean
        near(statistics, f"ext{number}_bn1_conv3_running_mean1")
    with torch.no_grad():
        near(made.eval()(batch)[:, 0], "eval_pred1")
