"""Every strategy on every architecture: what the plan says is what the real loop does."""

import re
from pathlib import Path

import pytest
import torch

from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.models import ENCODERS
from epitaxy.models.alignn import ALIGNN
from epitaxy.models.cgcnn import CGCNN
from epitaxy.models.heads import Head, HeadConfig
from epitaxy.models.property_model import PropertyModel
from epitaxy.transfer import STRATEGIES
from epitaxy.transfer.plan import PlanRow, TransferPlan, apply_plan, make_plan
from tiny import SMALL, changed, job, keys_of_groups, model, run, tensors

FIRST = {"cgat": "embedding", "cgcnn": "embedding", "alignn": "angle-embedding"}
"""Group up to which something is frozen in these tests."""
MORE = ("new-head:linear", "full+new-head", "layer-decay:0.5+new-head:linear", "head+new-head")
NO_ANGLES = {"cgat", "cgcnn"}


def strategies(name):
    """Yield every strategy that suits an architecture, arguments and additions included."""
    arguments = {"freeze-to": f":{FIRST[name]}", "layer-decay": ":0.5"}
    for strategy in STRATEGIES:
        if not (strategy == "three-body" and name in NO_ANGLES):
            yield strategy + arguments.get(strategy, "")
    yield from MORE


EACH = pytest.mark.parametrize(
    ("name", "strategy"), [(n, s) for n in ENCODERS for s in strategies(n)]
)
EVERY = pytest.mark.parametrize("name", ENCODERS)


def renamed(plan):
    return {row.group: row for row in plan.rows}


def with_row(plan, group, **changes):
    rows = [r.model_copy(update=changes if r.group == group else {}) for r in plan.rows]
    return plan.model_copy(update={"rows": tuple(rows)})


@EACH
def test_each_group_has_one_row(name, strategy):
    net = model(name)
    plan = make_plan(strategy, net.depth_groups())
    apply_plan(net, plan, seed=0)
    assert [row.group for row in plan.rows] == [g.name for g in net.depth_groups()]
    assert plan.strategy == strategy
    assert plan == TransferPlan.model_validate_json(plan.model_dump_json())


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
    assert training("regression-head") == heads
    assert training("new-head") == heads
    convs = [g.name for g in groups if "conv" in g.tags]
    two_body = {g.name for g in groups if "two-body" in g.tags}
    assert two_body
    assert training("two-body") == {*two_body, *heads}
    if name not in NO_ANGLES:
        assert training("three-body") == {*convs, *heads} - two_body
    assert training("last-conv") == {convs[-1], *heads}
    assert renamed(make_plan("last-conv", groups))[convs[-1]].lr_scale == 0.5
    for i, group in enumerate(encoder):
        assert training(f"freeze-to:{group}") == {*encoder[i + 1 :], *heads}


def test_layer_decay_is_a_power_of_the_distance_from_the_output():
    groups = model().depth_groups()
    rates = [row.lr_scale for row in make_plan("layer-decay:0.5", groups).rows]
    assert rates == [0.5**4, 0.5**3, 0.5**2, 0.5, 1.0]
    assert make_plan("layer-decay", groups).rows[-2].lr_scale == 0.7


def trainable(name, encoder, strategy):
    """Count what a strategy trains of an architecture with its own head."""
    head = Head(encoder.width, PropertySpec(name="y"), TargetScaler(), encoder.default_head)
    net = PropertyModel(name, encoder, {"y": head})
    chosen = apply_plan(net, make_plan(strategy, net.depth_groups()), seed=0)
    count = sum(p.numel() for group in chosen for p in group.parameters)
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == count
    return count


@pytest.mark.parametrize(
    ("strategy", "count"),
    [
        ("full", 96_641),
        ("layer-decay", 96_641),
        ("head", 33),
        ("new-head", 4_225),
        ("new-head:linear", 4_225),
        ("last-conv", 22_144 + 3_169),
        ("two-body", 96_641 - 5_952),
        ("freeze-to:conv-3", 22_144 + 2_113),
        ("freeze-to:head-hidden", 33),
        ("freeze-to:conv-3+new-head", 22_144 + 4_225),
    ],
)
def test_trainable_parameters_of_the_published_cgcnn(strategy, count):
    assert trainable("cgcnn", CGCNN(), strategy) == count


LAST_ANGLE_NORM = LAST_BOND_NORM = 2 * 256
"""Scales and shifts of two normalisations of the published network that nothing reads, of the
angles after the last ALIGNN layer and of the bonds after the last layer of all: ours lacks them."""


@pytest.mark.parametrize(
    ("strategy", "published", "dead"),
    [
        ("full", 4_026_753, LAST_ANGLE_NORM + LAST_BOND_NORM),
        ("new-head:linear", 16_513, 0),
        ("new-head", 16_513, 0),
        ("head", 257, 0),
        ("three-body", 1_320_193, LAST_ANGLE_NORM),
        ("two-body", 2_640_129, LAST_BOND_NORM),
        (
            "freeze-to:atom-embedding+new-head:linear",
            4_018_689,
            LAST_ANGLE_NORM + LAST_BOND_NORM,
        ),
    ],
)
def test_trainable_parameters_of_the_published_alignn(strategy, published, dead):
    """The counts that the scripts of Devi 2024 arrive at, less what never trains there."""
    assert trainable("alignn", ALIGNN(), strategy) == published - dead


def test_the_documented_counts():
    page = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w:-]+)[^|]*\|[^|]*\| ([\d,-]+) \| ([\d,]+) \|", page, re.MULTILINE)
    assert {name for name, *_ in rows} == {*STRATEGIES, "new-head:linear"} - {"freeze-to"}
    for strategy, *counts in rows:
        for name, kind, count in zip(("cgcnn", "alignn"), (CGCNN, ALIGNN), counts, strict=True):
            if count != "-":
                assert f"{trainable(name, kind(), strategy):,}" == count


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


@pytest.mark.parametrize(
    ("name", "strategy", "config"),
    [
        ("cgcnn", "new-head", HeadConfig(hidden=(64,))),
        ("cgcnn", "last-conv", HeadConfig(hidden=(32, 32))),
        ("alignn", "new-head", HeadConfig(hidden=(64,), act="silu", first=False)),
        ("alignn", "full+new-head", HeadConfig(hidden=(64,), act="silu", first=False)),
        ("alignn", "last-conv", HeadConfig(hidden=(32, 32), act="silu", first=False)),
        ("alignn", "new-head:9-7", HeadConfig(hidden=(9, 7), act="silu", first=True)),
        ("cgcnn", "full+new-head:128", HeadConfig(hidden=(128,))),
        *(
            (name, strategy, HeadConfig(hidden=(64,), act="none", first=False))
            for name in ("cgcnn", "alignn")
            for strategy in ("new-head:linear", "two-body+new-head:linear")
        ),
    ],
)
def test_new_heads_have_the_activations_of_the_architecture_or_none(name, strategy, config):
    net = model(name, hidden=(5,))
    apply_plan(net, make_plan(strategy, net.depth_groups()), seed=0)
    assert net.head("gap").config == config


def test_a_linear_head_is_a_linear_map():
    net = model("alignn")
    apply_plan(net, make_plan("new-head:linear", net.depth_groups()), seed=0)
    head = net.head("gap").double()
    one, two = torch.randn(2, 3, net.encoder.width, dtype=torch.float64)
    zero = head(torch.zeros_like(one))
    torch.testing.assert_close(head(one + two) - zero, head(one) + head(two) - 2 * zero)


@EVERY
@pytest.mark.parametrize("hidden", [(), (5,)])
def test_an_added_head_trains_whatever_the_rest_does(name, hidden):
    groups = model(name, hidden=hidden).depth_groups()
    fresh = {"head-hidden": ("new", True, 1.0), "head-output": ("new", True, 1.0)}

    def rows(strategy):
        return {
            r.group: (r.origin, r.trainable, r.lr_scale) for r in make_plan(strategy, groups).rows
        }

    for strategy in ("full", "head", f"freeze-to:{FIRST[name]}", "two-body"):
        kept, added = rows(strategy), rows(f"{strategy}+new-head")
        assert added == {k: v for k, v in kept.items() if not k.startswith("head")} | fresh
    assert rows("head+new-head") == rows("new-head")
    rates = [r.lr_scale for r in make_plan("layer-decay:0.5+new-head", groups).rows]
    assert rates[-3:] == [0.25, 0.5, 1.0]


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
        ("new-head:0", r"takes 'linear' or widths of hidden layers as argument, but '0' came"),
        ("full+new-head:8-", r"takes 'linear' or widths of hidden layers .* but '8-' came"),
        ("full+inherit-head:8", r"'inherit-head' takes no argument, but '8' came"),
        ("new-head+inherit-head", r"'new-head' brings a new head itself; leave '\+inherit-head'"),
        ("two-body:1", r"'two-body' takes no argument"),
        ("three-body:1", r"'three-body' takes no argument"),
        ("three-body", r"'three-body' needs messages along angles, but the model has only the"),
        ("three-body+new-head", r"'three-body' needs messages along angles"),
        (
            "full+newhead",
            r"strategy 'newhead'; allowed: inherit-head, new-head. Did you mean",
        ),
        ("full+", r"Unknown addition to a strategy ''; allowed: inherit-head, new-head"),
        ("+new-head", r"Unknown strategy ''"),
        ("full+head", r"Unknown addition to a strategy 'head'"),
        ("last-conv+new-head", r"'last-conv' brings a new head itself; leave '\+new-head' out"),
        ("new-head:linear+new-head", r"'new-head:linear' brings a new head itself"),
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


@pytest.mark.parametrize("strategy", ["full", "head", "two-body", "layer-decay:0.5"])
def test_an_inherited_head_changes_nothing_else(strategy):
    groups = model(hidden=(5,)).depth_groups()
    plain, inherited = (make_plan(s, groups) for s in (strategy, f"{strategy}+inherit-head"))
    assert inherited.rows == plain.rows
    assert (inherited.head, inherited.inherits_head, plain.inherits_head) == (None, True, False)
    assert inherited.strategy == f"{strategy}+inherit-head"
