"""Every strategy on every architecture: what the plan says is what the real loop does."""

import pytest
import torch

from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.models import ENCODERS
from epitaxy.models.cgcnn import CGCNN
from epitaxy.models.heads import Head, HeadConfig
from epitaxy.models.property_model import PropertyModel
from epitaxy.transfer import STRATEGIES
from epitaxy.transfer.plan import PlanRow, TransferPlan, apply_plan, make_plan
from tiny import SMALL, changed, job, keys_of_groups, model, run, tensors

ARGUMENTS = {"freeze-to": "embedding", "layer-decay": "0.5"}
EACH = pytest.mark.parametrize("strategy", [f"{s}:{ARGUMENTS.get(s, '')}" for s in STRATEGIES])
EVERY = pytest.mark.parametrize("name", ENCODERS)


def renamed(plan):
    return {row.group: row for row in plan.rows}


def with_row(plan, group, **changes):
    rows = [r.model_copy(update=changes if r.group == group else {}) for r in plan.rows]
    return plan.model_copy(update={"rows": tuple(rows)})


@EVERY
@EACH
def test_each_group_has_one_row(name, strategy):
    net = model(name)
    plan = make_plan(strategy, net.depth_groups())
    apply_plan(net, plan, seed=0)
    assert [row.group for row in plan.rows] == [g.name for g in net.depth_groups()]
    assert plan.strategy.partition(":")[0] == strategy.partition(":")[0]
    assert plan == TransferPlan.model_validate_json(plan.model_dump_json())


@EVERY
@EACH
@pytest.mark.parametrize("published", [False, True])
def test_frozen_is_bit_identical_and_the_rest_moves(name, strategy, published, tmp_path):
    net = model(name)
    made = job(net, strategy, published_batchnorm=published, weights="last", epochs=1)
    before = tensors(net)
    run(made, tmp_path)
    moved = changed(before, tensors(net))
    plan = renamed(make_plan(strategy, model(name).depth_groups()))
    for group, keys in keys_of_groups(net).items():
        weights = {k for k in keys if before[k].ndim > 1}
        statistics = {k for k in keys if ".running_" in k}
        if plan[group].trainable:
            assert weights | statistics <= moved, group
        elif published:
            assert keys & moved == statistics, group
        else:
            assert not keys & moved, group


@EVERY
def test_strategies_in_words(name):
    groups = model(name).depth_groups()
    encoder = [g.name for g in groups if "head" not in g.tags]

    def training(strategy):
        return {r.group for r in make_plan(strategy, groups).rows if r.trainable}

    heads = {"head-hidden", "head-output"}
    assert training("full") == training("layer-decay") == {*encoder, *heads}
    assert training("head") == {"head-output"}
    assert training("new-head") == heads
    convs = [g.name for g in groups if "conv" in g.tags]
    assert training("last-conv") == {convs[-1], *heads}
    assert renamed(make_plan("last-conv", groups))[convs[-1]].lr_scale == 0.5
    for i, group in enumerate(encoder):
        assert training(f"freeze-to:{group}") == {*encoder[i + 1 :], *heads}


def test_layer_decay_is_a_power_of_the_distance_from_the_output():
    groups = model().depth_groups()
    rates = [row.lr_scale for row in make_plan("layer-decay:0.5", groups).rows]
    assert rates == [0.5**4, 0.5**3, 0.5**2, 0.5, 1.0]
    assert make_plan("layer-decay", groups).rows[-2].lr_scale == 0.7


@pytest.mark.parametrize(
    ("strategy", "counts"),
    [
        ("full", 96_641),
        ("layer-decay", 96_641),
        ("head", 33),
        ("new-head", 4_225),
        ("last-conv", 22_144 + 3_169),
        ("freeze-to:conv-3", 22_144 + 2_113),
        ("freeze-to:head-hidden", 33),
    ],
)
def test_trainable_parameters_of_the_published_cgcnn(strategy, counts):
    head = Head(64, PropertySpec(name="y"), TargetScaler())
    net = PropertyModel("cgcnn", CGCNN(), {"y": head})
    chosen = apply_plan(net, make_plan(strategy, net.depth_groups()), seed=0)
    assert sum(p.numel() for group in chosen for p in group.parameters) == counts
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == counts


def new_head(seed, names=("gap",)):
    net = model(names=names, seed=7)
    apply_plan(net, make_plan("new-head", net.depth_groups()), seed=seed)
    return net


def test_new_heads_depend_on_the_seed_only():
    state = torch.get_rng_state()
    first = tensors(new_head(1).heads)
    torch.rand(5)
    assert not changed(first, tensors(new_head(1).heads))
    weights = {k for k in first if k.endswith("weight")}
    assert weights <= changed(first, tensors(new_head(2).heads))
    # Drawing them leaves the random numbers of everybody else alone.
    torch.set_rng_state(state)
    net = model(seed=7)
    expected = torch.rand(3)
    torch.set_rng_state(state)
    net = model(seed=7)
    apply_plan(net, make_plan("new-head", net.depth_groups()), seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_new_heads_keep_unit_and_scaler_and_differ_from_each_other():
    net, old = new_head(1, names=("a", "b")), model(names=("a", "b"))
    assert net.specs == old.specs
    assert net.scaler("b") == old.scaler("b")
    assert net.head("a").config == HeadConfig(hidden=(64,))
    first, second = (net.head(n).mlp.output.weight for n in "ab")
    assert not torch.equal(first, second)


def test_copied_groups_are_copied():
    net = model(seed=7)
    before = tensors(net.encoder)
    apply_plan(net, make_plan("last-conv", net.depth_groups()), seed=0)
    assert not changed(before, tensors(net.encoder))


def test_reinitialised_groups_are_as_new_norms_included():
    net = model(seed=7)
    plan = with_row(make_plan("full", net.depth_groups()), "conv-2", origin="re-initialised")
    before, keys = tensors(net), keys_of_groups(net)
    apply_plan(net, plan, seed=0)
    after = tensors(net)
    assert changed(before, after) == keys["conv-2"]
    norm = net.encoder.convs[1].bond_norm
    assert norm.weight.unique().tolist() == norm.running_var.unique().tolist() == [1.0]
    assert norm.bias.unique().tolist() == norm.running_mean.unique().tolist() == [0.0]
    apply_plan(net, plan, seed=0)
    assert not changed(after, tensors(net))


@pytest.mark.parametrize("published", [False, True])
def test_staged_unfreezing(published, tmp_path):
    """Frozen before its epoch, normalisation statistics included; moving from then on."""

    def moved(epochs):
        net = model()
        plan = with_row(make_plan("full", net.depth_groups()), "conv-1", from_epoch=2)
        made = job(net, plan, epochs=epochs, weights="last", published_batchnorm=published)
        before, keys = tensors(net), keys_of_groups(net)["conv-1"]
        run(made, tmp_path / str(epochs))
        return changed(before, tensors(net)) & keys, keys

    early, keys = moved(2)
    statistics = {k for k in keys if ".running_" in k}
    assert early == (statistics if published else set())
    late, keys = moved(3)
    assert {k for k in keys if k.endswith("weight") or k in statistics} <= late


def test_nothing_to_train():
    net = model()
    with pytest.raises(InputError, match="'freeze-to:head-output' trains nothing"):
        apply_plan(net, make_plan("freeze-to:head-output", net.depth_groups()), seed=0)
    plan = make_plan("head", net.depth_groups())
    with pytest.raises(InputError, match="'head' trains nothing in the first epoch"):
        apply_plan(net, with_row(plan, "head-output", from_epoch=1), seed=0)


def test_plan_of_another_model():
    net = model()
    other = make_plan("full", model(hidden=()).depth_groups())
    with pytest.raises(InputError, match=r"make the plan from this model"):
        apply_plan(net, other, seed=0)


@pytest.mark.parametrize(
    ("strategy", "match"),
    [
        ("ful", r"strategy 'ful'; allowed: .*Did you mean 'full'"),
        ("freeze-to", r"needs a depth group: .*one of embedding, conv-1, conv-2, head-hidden"),
        ("freeze-to:conv2", r"depth group 'conv2'; allowed: .*Did you mean 'conv-2'"),
        ("layer-decay:0", r"must lie in \(0, 1\], but '0' came"),
        ("layer-decay:1.5", r"must lie in \(0, 1\], but '1.5' came"),
        ("layer-decay:nan", r"must lie in \(0, 1\], but 'nan' came"),
        ("layer-decay:half", r"must lie in \(0, 1\], but 'half' came"),
        ("full:conv-1", r"'full' takes no argument, but 'conv-1' came"),
        ("head:1", r"'head' takes no argument"),
        ("new-head:1", r"'new-head' takes no argument"),
        ("last-conv:1", r"'last-conv' takes no argument"),
    ],
)
def test_wrong_strategies(strategy, match):
    with pytest.raises(InputError, match=match):
        make_plan(strategy, model().depth_groups())


def test_last_conv_needs_a_convolution():
    groups = [g for g in model().depth_groups() if "conv" not in g.tags]
    with pytest.raises(InputError, match=r"'last-conv' needs a convolution.*use 'new-head'"):
        make_plan("last-conv", groups)


def test_the_printed_plan_has_a_line_per_group():
    plan = make_plan("last-conv", model().depth_groups())
    lines = plan.table({"conv-2": 1234}).splitlines()
    assert [line.split()[0] for line in lines] == ["group", *(row.group for row in plan.rows)]
    assert lines[1].split()[1:] == ["copied", "frozen", "-", "-", "-"]
    assert lines[3].split()[1:] == ["copied", "trainable", "0.5", "0", "1,234"]
    assert lines[-1].split()[1:4] == ["new", "trainable", "1"]


def test_first_trainable_ignores_what_comes_later():
    rows = [PlanRow(group=str(i), trainable=t) for i, t in enumerate([False, False, True, False])]
    assert TransferPlan(strategy="x", rows=rows).first_trainable() == 2
    assert TransferPlan(strategy="x", rows=rows[:2]).first_trainable() == 2
    staged = [rows[0], PlanRow(group="1", from_epoch=3), rows[2]]
    assert TransferPlan(strategy="x", rows=staged).first_trainable() == 1


def test_small_models_of_the_tests_are_registered():
    assert SMALL.keys() <= set(ENCODERS)
