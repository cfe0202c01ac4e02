"""Mixtures of small experts: what is computed, cached, mixed, refused and rebuilt."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from epitaxy.batches.batch import CrystalBatch, collate
from epitaxy.batches.inputs import build_inputs
from epitaxy.batches.loader import CrystalLoader
from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.descriptors import DESCRIPTORS
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models.encoder import Encoder
from epitaxy.models.fixed_vectors import FARTHEST, FixedVectors
from epitaxy.models.heads import Head, HeadConfig
from epitaxy.models.mixture import Expert, Mixture
from epitaxy.models.property_model import PropertyModel
from epitaxy.nn.gate import Gate, concentration
from epitaxy.training.caching import cache_prefix
from tiny import encoder, keys_of_groups, table

GROUPS = ("embedding", "conv-1")
NEAREST = GraphRecipe(rule="cgcnn")


def experts(n=3, **changes) -> list[Expert]:
    """Return small CGCNNs whose last convolution trains."""
    return [
        Expert(f"e{i}", "cgcnn", encoder("cgcnn", seed=i), act="softplus", frozen=2, **changes)
        for i in range(n)
    ]


def other_kinds() -> list[Expert]:
    """Return experts of other graphs, another width and no graph at all."""
    near = encoder("cgcnn", recipe=NEAREST, seed=5)
    vectors = FixedVectors(descriptor="composition", width=len(DESCRIPTORS["composition"].names))
    return [
        *experts(2),
        Expert("near", "cgcnn", near, act="softplus", frozen=3),
        Expert("angles", "alignn", encoder("alignn", seed=6), frozen=1),
        Expert("table", "descriptor", vectors, frozen=1),
    ]


def inputs(mixture: Mixture) -> CrystalLoader:
    store = build_inputs(table(), mixture.recipe, mixture.needs)
    return CrystalLoader(store, store.subset(table().ids).rows, batch_size=4)


def whole(mixture: Mixture):
    store = build_inputs(table(), mixture.recipe, mixture.needs)
    rows = store.subset(table().ids).rows
    return next(iter(CrystalLoader(store, rows, batch_size=len(rows)).epoch()))


def with_head(mixture: Mixture) -> PropertyModel:
    head = Head(mixture.width, PropertySpec(name="y"), TargetScaler(), HeadConfig(hidden=(4,)))
    return PropertyModel("mixture", mixture, {"y": head})


@pytest.mark.parametrize("aggregation", ["add", "concat", "ensemble"])
def test_the_mixed_vectors_are_those_of_the_experts(aggregation):
    parts = experts()
    made = Mixture(experts=parts, k=3, aggregation=aggregation).eval()
    with torch.no_grad():
        made.gate.scores.copy_(torch.tensor([0.5, 1.0, -1.0]))
    batch = whole(made)
    own = [torch.nn.functional.softplus(e.encoder(batch).crystal) for e in parts]
    weights = made.gate.scores.softmax(0)
    if aggregation == "add":
        wanted = sum(w * v for w, v in zip(weights, own, strict=True))
    elif aggregation == "concat":
        wanted = torch.cat([s * v for s, v in zip(made.gate.scores, own, strict=True)], dim=1)
    else:
        numbers = [member(v) for member, v in zip(made.members, own, strict=True)]
        wanted = (torch.stack(numbers, dim=1) @ weights)[:, None]
    found = made(batch).crystal
    assert_close(found, wanted)
    assert found.shape[1] == made.width == {"add": 6, "concat": 18, "ensemble": 1}[aggregation]
    assert (made.penalty() is None) == (aggregation != "add")


def test_experts_that_do_not_count_are_not_computed(monkeypatch):
    made = Mixture(experts=experts(), k=1).eval()
    with torch.no_grad():
        made.gate.scores.copy_(torch.tensor([0.0, 2.0, 1.0]))
    computed = []
    for number, part in enumerate(made.encoders):
        before = part.advance
        monkeypatch.setattr(
            part, "advance", lambda *a, n=number, f=before: computed.append(n) or f(*a)
        )
    made(whole(made))
    assert set(computed) == {1}
    assert made.gate_weights() == {"e0": 0.0, "e1": 1.0, "e2": 0.0}


def test_only_what_counts_gets_a_gradient():
    made = with_head(Mixture(experts=experts(), k=2))
    made(whole(made.encoder)).sum().backward()
    grads = [e.convs[-1].linear.weight.grad for e in made.encoder.encoders]
    assert [g is None for g in grads] == [False, False, True]
    assert made.encoder.gate.scores.grad[2] == 0


@pytest.mark.parametrize("k", [1, 3])
def test_a_cached_prefix_changes_nothing(k):
    made = with_head(Mixture(experts=experts(), k=k)).eval()
    plain, cached = inputs(made.encoder), inputs(made.encoder)
    frozen = 3 * 2
    assert cache_prefix(made, [cached], frozen) == frozen
    for a, b in zip(plain.epoch(), cached.epoch(), strict=True):
        assert_close(made(b, start=frozen), made(a))
    # All were cached, because any may be chosen later; only what counts is gathered.
    batch = next(iter(cached.epoch()))
    assert set(batch.state) == {"e0/atoms", "e1/atoms", "e2/atoms"}
    made(batch, start=frozen)
    assert len(batch.state._made) == k


def test_experts_of_any_kind():
    made = with_head(Mixture(experts=other_kinds(), k=5)).eval()
    mixture = made.encoder
    assert mixture.common == 6
    assert len(mixture.needs) == 3
    assert mixture.recipe == GraphRecipe()
    frozen = sum(e.frozen for e in mixture.experts)
    plain, cached = inputs(mixture), inputs(mixture)
    assert cache_prefix(made, [cached], frozen) == frozen
    for a, b in zip(plain.epoch(), cached.epoch(), strict=True):
        assert_close(made(b, start=frozen), made(a))
    rebuilt = PropertyModel.from_settings(made.settings()).eval()
    rebuilt.load_state_dict(made.state_dict())
    batch = next(iter(plain.epoch()))
    assert torch.equal(rebuilt(batch), made(batch))


def test_every_expert_reads_its_own_graphs():
    made = Mixture(experts=other_kinds(), k=5).eval()
    batch = whole(made)
    store = build_inputs(table(), NEAREST, {})
    alone = made.encoders[2](collate(store.gather(range(len(store))))).crystal
    state = made.prefix(batch, len(made.places))
    assert_close(state["near/crystal"], alone)


def test_predictions_do_not_depend_on_the_batch():
    made = with_head(Mixture(experts=other_kinds(), k=5, gate="composition")).eval()
    with torch.no_grad():
        made.encoder.gate.slopes.normal_()
    alone = torch.cat([made(b) for b in inputs(made.encoder).epoch()])
    assert_close(alone, made(whole(made.encoder)))


def test_a_gate_that_looks_at_the_elements():
    made = with_head(Mixture(experts=experts(), k=2, gate="composition")).eval()
    plain = with_head(Mixture(experts=experts(), k=2)).eval()
    plain.load_state_dict({k: v for k, v in made.state_dict().items() if "slopes" not in k})
    batch = whole(made.encoder)
    assert_close(made(batch), plain(batch))
    with torch.no_grad():
        made.encoder.gate.slopes.normal_()
    assert not torch.allclose(made(batch), plain(batch))
    cached = inputs(made.encoder)
    assert cache_prefix(made, [cached], 6) == 6
    found = torch.cat([made(b, start=6) for b in cached.epoch()])
    assert_close(found, made(batch))


def test_groups_cover_every_weight_once():
    made = with_head(Mixture(experts=other_kinds(), k=2, aggregation="ensemble"))
    found = keys_of_groups(made)
    assert sum(map(len, found.values())) == len(made.state_dict())
    names = [g.name for g in made.depth_groups()]
    first = [f"{expert}/{group}" for expert in ("e0", "e1", "near") for group in GROUPS]
    assert names[:6] == first
    assert names[-3:] == ["gate", "head-hidden", "head-output"]


def test_equal_scores_choose_the_first():
    assert Gate(5, 3).chosen() == [0, 1, 2]


def test_concentration():
    assert float(concentration(torch.tensor([1.0, 0.0]))) == 0
    assert_close(concentration(torch.full((18,), 1 / 18)), torch.tensor((1 / 18 - 1) ** 2))
    rows = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    assert_close(concentration(rows), torch.tensor(0.125))


def test_descriptors_are_standardised_on_the_rows_they_were_fitted_on():
    vectors = FixedVectors(descriptor="composition", width=2)
    vectors.fit(torch.tensor([[1.0, 7.0], [3.0, 7.0]]).double().numpy())
    extras = {"descriptor composition": torch.tensor([[1.0, 7.0], [3.0, 9.0], [1e9, 7.0]])}
    batch = replace(whole(Mixture(experts=experts(1), k=1)), extras=extras)
    found = vectors(batch).crystal
    assert_close(found, torch.tensor([[-1.0, 0.0], [1.0, 0.0], [FARTHEST, 0.0]]))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"k": 0}, "k = 0 of 3 experts"),
        ({"k": 4}, "k = 4 of 3 experts"),
        ({"k": 3, "aggregation": "ad"}, "Did you mean 'add'?"),
        ({"k": 3, "gate": "score"}, "Did you mean 'scores'?"),
        ({"k": 2, "aggregation": "concat"}, "all 3 experts count"),
    ],
)
def test_impossible_mixtures(given, says):
    with pytest.raises(InputError) as error:
        Mixture(experts=experts(), **given)
    assert says in str(error.value)


def test_two_experts_of_one_name():
    one, two = experts(1), experts(1)
    with pytest.raises(InputError, match="Two experts are called 'e0'"):
        Mixture(experts=[*one, *two], k=1)


def test_an_encoder_needs_nothing_more_by_default():
    made = encoder("cgcnn")
    assert isinstance(made, Encoder)
    assert made.needs == {}
    assert made.penalty() is None


def test_experts_on_several_devices_say_the_same(monkeypatch):
    """The names of one device count as two, so that everything is really moved."""
    one, two = (Mixture(experts=experts(3), k=3).eval() for _ in range(2))
    two.load_state_dict(one.state_dict())
    moved = []
    to = CrystalBatch.to
    monkeypatch.setattr(CrystalBatch, "to", lambda b, d: (moved.append(str(d)), to(b, d))[1])
    two.spread([torch.device("cpu"), torch.device("cpu:0")])
    batch = whole(one)
    assert_close(two(batch).crystal, one(batch).crystal, rtol=0, atol=0)
    assert sorted(moved) == ["cpu", "cpu:0"], "the first and third expert share a batch"
    two(batch).crystal.sum().backward()
    assert all(e.convs[-1].linear.weight.grad is not None for e in two.encoders)


def test_one_network_has_one_device():
    with pytest.raises(InputError, match="but CGCNN is one network; give one device"):
        encoder("cgcnn").spread([torch.device("cpu"), torch.device("cpu:0")])
