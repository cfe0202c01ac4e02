"""Heads, units, frozen modules and the numbers of the published CGCNN."""

import pytest
import torch
from torch.testing import assert_close

from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models.alignn import ALIGNN
from epitaxy.models.cgcnn import CGCNN
from epitaxy.models.heads import Head, HeadConfig
from epitaxy.models.property_model import PropertyModel
from tiny import batch, model


def test_published_cgcnn_has_its_96641_parameters():
    head = Head(64, PropertySpec(name="y"), TargetScaler())
    net = PropertyModel("cgcnn", CGCNN(), {"y": head})
    counts = {g.name: sum(p.numel() for p in g.parameters()) for g in net.depth_groups()}
    convs = dict.fromkeys(("conv-1", "conv-2", "conv-3", "conv-4"), 22_144)
    assert counts == {"embedding": 5_952, **convs, "head-hidden": 2_080, "head-output": 33}
    assert sum(p.numel() for p in net.parameters()) == 96_641


def test_gaussians_reach_the_cutoff():
    made = CGCNN(step=0.5, recipe=GraphRecipe(cutoff=5.0))
    assert_close(made.centres, torch.linspace(0, 5, 11, dtype=torch.float64))


def test_networks_with_other_gaussians_can_share_a_batch():
    one = batch()
    fine, coarse = (CGCNN(width=4, layers=1, step=step).eval() for step in (0.2, 0.5))
    fine(one)
    assert_close(coarse(one).crystal, coarse(batch()).crystal, rtol=0, atol=0)
    exact = fine.double()(one).crystal
    assert_close(exact, fine(batch()).crystal, rtol=0, atol=0)


def test_outputs_are_in_the_order_of_the_names_and_in_physical_units():
    net = model(names=("a", "b")).eval()
    scaled = torch.tensor([[0.0, 1.0], [2.0, -1.0]])
    log = TargetScaler(transform="log", shift=1.0, scale=0.5)
    net.head("b").scaler = log
    physical = net.to_physical(scaled)
    assert physical.dtype == torch.float64
    assert_close(physical[:, 0], scaled[:, 0].double() * 2 + 0.5)
    assert_close(physical[:, 1], torch.exp(scaled[:, 1].double() * 0.5 + 1))
    crystal = net.encoder(batch()).crystal
    assert_close(net(batch()), torch.stack([net.head(n)(crystal) for n in "ab"], 1))
    assert {n: s.unit for n, s in net.specs.items()} == {"a": "eV", "b": "eV"}


def test_a_rescaled_head_keeps_predictions_and_widths_in_physical_units():
    torch.manual_seed(0)
    before, now = (TargetScaler(shift=a, scale=b) for a, b in ((1.0, 2.0), (-3.0, 0.5)))
    head = Head(6, PropertySpec(name="gap"), before, HeadConfig(log_width=True))
    crystals = torch.randn(4, 6)

    def physical():
        prediction, log_width = head.with_log_width(crystals)
        scaler = head.scaler
        return prediction * scaler.scale + scaler.shift, log_width.exp() * scaler.scale

    expected = physical()
    head.scaler = now
    head.rescale(before)
    for found, wanted in zip(physical(), expected, strict=True):
        assert_close(found, wanted)


def test_what_is_frozen_stays_in_evaluation_mode():
    net = model()
    conv = net.encoder.depth_groups()[1].modules[0]
    for parameter in conv.parameters():
        parameter.requires_grad_(False)
    net.frozen_modules = [conv]
    net.train()
    assert net.training
    assert not conv.training
    assert not conv.bond_norm.training
    assert net.encoder.convs[1].bond_norm.training


def test_names_with_dots_are_allowed():
    net = model(names=("pbe.gap", "pbe.gap.direct"))
    assert net(batch()).shape == (6, 2)


def test_head_settings_are_checked():
    with pytest.raises(InputError, match="activation 'tanh'"):
        Head(4, PropertySpec(name="y"), TargetScaler(), HeadConfig(act="tanh"))


def test_graphs_without_what_the_encoder_reads():
    words = "ALIGNN needs graphs with bond_vectors=True, but graphs of the rule 'nearest'"
    with pytest.raises(InputError, match=words):
        ALIGNN(recipe=GraphRecipe(rule="nearest"))
