"""CGAT against numbers computed with the published code (hyllios/CGAT 0a5d340)."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from epitaxy.batches.batch import CrystalBatch
from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.properties import PropertySpec
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models import cgat as cgat_module
from epitaxy.models.cgat import CGAT
from epitaxy.models.heads import Head, HeadConfig
from epitaxy.nn.composition import Composition
from epitaxy.training.config import TrainingConfig
from epitaxy.training.losses import make_loss
from epitaxy.training.schedules import Position, rates

RECIPE = GraphRecipe(rule="cgat", neighbours=24, cutoff=18.0, merge_tolerance=0)
SPEC = PropertySpec(name="y")
STEPS = 3


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden/golden_cgat.npz") as file:
        return dict(file)


pytestmark = pytest.mark.shared


def tensor(array):
    return torch.tensor(array, dtype=torch.float64)


def batch_of(golden):
    """Return the stored graphs: bonds of the file, not ours."""
    owner, listed = golden["in/edge_index"]
    crystal = golden["in/batch"]
    atoms = np.bincount(crystal)
    offsets = np.concatenate([[0], np.cumsum(atoms)])
    assert (np.diff(owner) >= 0).all()
    bonds = np.concatenate([[0], np.cumsum(np.bincount(owner))])
    n, e = len(crystal), len(owner)
    return CrystalBatch(
        atomic_numbers=torch.tensor(golden["in/Z"]),
        atom_weight=torch.ones(n),
        atom_offsets=torch.tensor(offsets),
        bond_offsets=torch.tensor(bonds),
        bond_src=torch.tensor(owner),
        bond_dst=torch.tensor(listed),
        bond_length=torch.zeros(e),
        bond_weight=torch.ones(e),
        bond_rank=torch.tensor(golden["in/edge_shell"]),
    )


def networks(golden, variant, monkeypatch):
    """Return encoder and head of a variant with the stored weights, float64."""
    table = np.zeros((101, 200), np.float32)
    table[golden["in/Z"]] = golden["in/x"]
    monkeypatch.setattr(cgat_module, "matscholar_table", lambda: table)
    meta = json.loads(str(golden["meta"]))
    encoder = CGAT(
        width=16,
        bond_width=12,
        heads=3,
        hidden=29,
        layers=STEPS,
        composition_layers=2,
        composition_hidden=256,
        attention="scalar" if variant == "C" else "vector",
        pooling="mean" if variant == "C" else "join",
        bonds="hypernetwork" if variant == "B" else "layer",
        receiver="neighbour",
        elements="matscholar",
        recipe=RECIPE,
    )
    config = HeadConfig(
        hidden=meta["output_hidden"],
        act="relu",
        first=False,
        residual="plain" if variant == "C" else "rezero",
        log_width=True,
    )
    head = Head(encoder.width, SPEC, TargetScaler(), config)
    both = torch.nn.ModuleList([encoder, head]).double()
    stored = {
        key.removeprefix(f"{variant}/param/"): tensor(value)
        for key, value in golden.items()
        if key.startswith(f"{variant}/param/")
    }
    names = published_names(encoder, head)
    with torch.no_grad():
        for name, parameter in both.named_parameters():
            published, change = names[name]
            parameter.copy_(change(stored[published]))
    return both, names, meta["variants"][variant]["param_order"]


def same(value):
    return value


def published_names(encoder, head):
    """Map the names of our parameters to the published ones and how their tensors follow."""
    found = {
        "0.atom_embedding.weight": ("embedding.weight", same),
        "0.bond_embedding.weight": ("nbr_embedding.weight", lambda v: v[1:]),
    }
    for t, _ in enumerate(encoder.atom_updates):
        ours, theirs = f"0.atom_updates.{t}", f"graphs.{t}.Node"
        found |= heads(f"{ours}.scores", f"{theirs}.MH_A", encoder.atom_updates[t].scores)
        found |= heads(f"{ours}.messages", f"{theirs}.MH_M", encoder.atom_updates[t].messages)
        found |= generators(f"{ours}.hyper", f"{theirs}.Pooling_NN.Hyper")
        found[f"{ours}.restart.damping"] = (f"{theirs}.Pooling_NN.damping", same)
    for t, change in enumerate(encoder.bond_updates):
        ours, theirs = f"0.bond_updates.{t}", f"graphs.{t}.Edge"
        if encoder.bonds == "layer":
            for mine, their in (("first", "fcs.0"), ("last", "fc_out")):
                for kind in ("weight", "bias"):
                    found[f"{ours}.{mine}.{kind}"] = (f"{theirs}.Pooling_NN.{their}.{kind}", same)
            continue
        found |= heads(f"{ours}.scores", f"{theirs}.MH_A", change.scores)
        found |= heads(f"{ours}.messages", f"{theirs}.MH_M", change.messages)
        found |= generators(f"{ours}.hyper", f"{theirs}.Pooling_NN.Hyper")
        found[f"{ours}.restart.damping"] = (f"{theirs}.Pooling_NN.damping", same)
    readout = encoder.readout
    found |= heads("0.readout.scores", "cry_pool.MH_A", readout.scores)
    found |= heads("0.readout.messages", "cry_pool.MH_M", readout.messages)
    found |= composition(readout.composition)
    return found | output(head)


def heads(ours, theirs, module):
    def of(shape):
        return lambda v: v.reshape(shape)

    return {
        f"{ours}.first.weight": (f"{theirs}.fc_in.weight", of(module.first.weight.shape)),
        f"{ours}.first.bias": (f"{theirs}.fc_in.bias", same),
        f"{ours}.weight": (f"{theirs}.fc_out.weight", of(module.weight.shape)),
        f"{ours}.bias": (f"{theirs}.fc_out.bias", of(module.weight.shape[:2])),
    }


def generators(ours, theirs):
    found = {}
    for layer in range(4):
        inside = "hyper_linear." if layer < 3 else ""
        net = f"{theirs}.layers.{layer}.{inside}hypo_params.net"
        for kind in ("weight", "bias"):
            for depth in range(4):
                found[f"{ours}.layers.{layer}.hidden.{depth}.{kind}"] = (
                    f"{net}.{depth}.net.0.{kind}",
                    same,
                )
            found[f"{ours}.layers.{layer}.last.{kind}"] = (f"{net}.4.{kind}", same)
    return found


def composition(module):
    ours = "0.readout.composition"
    found = {f"{ours}.embedding.{k}": (f"roost.embedding.{k}", same) for k in ("weight", "bias")}
    places = [(f"{ours}.pooling", "roost.cry_pool.0", module.pooling)]
    for t, attention in enumerate(module.attention):
        theirs = f"roost.graphs.{t}.pooling.0"
        places.append((f"{ours}.attention.{t}", theirs, attention))
        found |= two_layers(f"{ours}.messages.{t}", f"{theirs}.message_nn")
    for mine, theirs, _ in places:
        found[f"{mine}.power"] = (f"{theirs}.pow", same)
        found |= two_layers(f"{mine}.scores", f"{theirs}.gate_nn")
    return found


def two_layers(ours, theirs):
    return {
        f"{ours}.first.weight": (f"{theirs}.fcs.0.weight", same),
        f"{ours}.first.bias": (f"{theirs}.fcs.0.bias", same),
        f"{ours}.weight": (f"{theirs}.fc_out.weight", lambda v: v[None]),
        f"{ours}.bias": (f"{theirs}.fc_out.bias", lambda v: v[None]),
    }


def output(head):
    found = {}
    for i, _ in enumerate(head.mlp.hidden):
        ours = f"1.mlp.hidden.{i}"
        found[f"{ours}.linear.weight"] = (f"output_nn.fcs.{i}.weight", same)
        found[f"{ours}.linear.bias"] = (f"output_nn.fcs.{i}.bias", same)
        found[f"{ours}.shortcut.weight"] = (f"output_nn.res_fcs.{i}.weight", same)
        found[f"{ours}.alpha"] = (f"output_nn.rezeros.{i}.alpha", same)
    for kind in ("weight", "bias"):  # the second output is for robust losses alone
        found[f"1.mlp.output.{kind}"] = (f"output_nn.fc_out.{kind}", lambda v: v[:1])
        found[f"1.log_width.{kind}"] = (f"output_nn.fc_out.{kind}", lambda v: v[1:])
    return found


@pytest.fixture
def released(golden, request, monkeypatch):
    """Return everything about one variant."""
    both, names, order = networks(golden, request.param, monkeypatch)
    batch = batch_of(golden).double()
    # The reference has its fractions from single precision.
    fractions = both[0]._graph(batch).composition.fractions
    fractions.copy_(fractions.float())
    return SimpleNamespace(
        both=both,
        names=names,
        order=order,
        batch=batch,
        part=lambda key: golden[f"{request.param}/{key}"],
    )


RELEASED_VARIANTS = pytest.mark.parametrize("released", ["A", "B", "C"], indirect=True)


def predicted(both, batch):
    encoder, head = both
    return head(encoder(batch).crystal)


def outputs(both, batch):
    """Return predictions and log widths side by side, (4, 2)."""
    encoder, head = both
    return torch.stack(head.with_log_width(encoder(batch).crystal), dim=1)


@RELEASED_VARIANTS
def test_predictions(released):
    with torch.no_grad():
        alone = predicted(released.both, released.batch)
        found = outputs(released.both, released.batch)
        batch = released.batch.changed(lambda t: t.float() if t.is_floating_point() else t)
        single = outputs(released.both.float(), batch)
    assert_close(alone, found[:, 0], rtol=0, atol=0)
    assert_close(found, tensor(released.part("out64")), rtol=0, atol=1e-10)
    assert_close(single.double(), tensor(released.part("out32")), rtol=0, atol=1e-6)


@RELEASED_VARIANTS
def test_everything_inside(released):
    encoder, batch = released.both[0], released.batch
    graph = encoder._graph(batch)
    found = {}
    with torch.no_grad():
        state = encoder.advance(0, {}, batch)
        found["h0"] = first = state["atoms"]
        layered = encoder.bonds == "layer"
        found["e0"] = encoder._first_bonds(batch)
        for t, update in enumerate(encoder.atom_updates):
            bonds = encoder._shells(t) if layered else state["bonds"]
            found[f"node_aggr{t}"] = update.attend(state["atoms"], bonds, graph.messages)
            new = encoder.advance(t + 1, state, batch)
            found[f"node_update{t}"] = new["atoms"] - state["atoms"]
            if t < STEPS - 1:
                after = encoder._shells(t + 1) if layered else new["bonds"]
                change = after - bonds
                found[f"edge_update{t}"] = change[batch.bond_rank - 1] if layered else change
            state = new
        assert_close(encoder._first_atoms(batch), first, rtol=0, atol=0)
        found["roost"] = encoder.readout.composition(encoder._elements(), graph.composition)
        features = encoder.features(encoder.advance(STEPS + 1, state, batch), batch)
        found["graph_embedding"] = features.crystal
    for name, value in found.items():
        assert_close(value, tensor(released.part(f"mid/{name}")), rtol=0, atol=1e-10)


def published_loss(released, golden):
    z = (tensor(golden["in/y"]) - float(golden["in/y_mean"])) / float(golden["in/y_std"])
    return (predicted(released.both, released.batch) - z).abs().mean()


@RELEASED_VARIANTS
def test_gradients(released, golden):
    loss = published_loss(released, golden)
    assert loss.item() == pytest.approx(float(released.part("loss_l1")), abs=1e-10)
    loss.backward()
    norms = dict(zip(released.order, released.part("grad_norm"), strict=True))
    ours = {
        released.names[name][0]: parameter.grad.norm().item()
        for name, parameter in released.both.named_parameters()
        if not name.startswith("1.log_width")  # plain L1 does not read it
    }
    for name, norm in ours.items():
        assert norm == pytest.approx(norms.pop(name), rel=1e-9, abs=1e-12), name
    # What we do not have: what got no gradient, and shifts that a softmax cancels.
    for name, norm in norms.items():
        assert np.isnan(norm) or norm < 1e-15, name
        assert not np.isnan(norm) or re.match(r"graphs\.\d+\.Edge", name), name
        assert np.isnan(norm) or re.search(r"(MH_A|gate_nn)\.fc_out\.bias$", name), name


@pytest.mark.parametrize("which", ["full", "head"])
@RELEASED_VARIANTS
def test_six_steps(released, golden, which):
    trained = released.both if which == "full" else released.both[1]
    optimiser = torch.optim.AdamW(trained.parameters(), lr=1e-3, weight_decay=1e-2)
    losses = []
    for _ in range(6):
        optimiser.zero_grad()
        loss = published_loss(released, golden)
        loss.backward()
        losses.append(loss.item())
        optimiser.step()
    np.testing.assert_allclose(losses, released.part(f"train_{which}"), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["robust_l1", "robust_l2"])
def test_robust_losses(golden, name):
    loss = make_loss(TrainingConfig(loss=name.replace("_", "-")), 1)
    columns = [tensor(golden[f"loss/{key}"]) for key in ("output", "target", "log_std")]
    assert loss(*columns).item() == pytest.approx(float(golden[f"loss/{name}"]), abs=1e-14)


@pytest.mark.parametrize("period", [130, 90, 70, 7])
def test_schedule(golden, period):
    config = TrainingConfig(schedule="triangular", schedule_epochs=period, learning_rate=1.0)
    expected = golden[f"lr/period{period}"]
    found = [rates(config, Position(e, 7 * e + 3, 7)).learning_rate for e in range(len(expected))]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_composition(golden):
    batch = batch_of(golden).double()
    found = Composition.of(batch.atomic_numbers, batch.atom_weight, batch.atom_offsets)
    crystal = torch.repeat_interleave(torch.diff(found.offsets))
    ours = {
        (c, z): w
        for c, z, w in zip(
            *map(torch.Tensor.tolist, (crystal, found.numbers, found.fractions)), strict=True
        )
    }
    theirs = zip(
        golden["in/roost_crystal"],
        golden["in/roost_Z"],
        golden["in/roost_weights"][:, 0],
        strict=True,
    )
    assert ours == pytest.approx({(int(c), int(z)): float(w) for c, z, w in theirs}, abs=1e-6)
    assert len(found.pairs.terms) == len(golden["in/roost_self"])
