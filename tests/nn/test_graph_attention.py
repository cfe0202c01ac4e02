"""Attention over groups, heads on picked rows, generated weights and compositions, written out."""

import pytest
import torch
from torch.testing import assert_close

from epitaxy.nn import hypernetwork
from epitaxy.nn.attention import HeadNetworks, Picks
from epitaxy.nn.composition import Composition, CompositionNetwork
from epitaxy.nn.graph_attention import Restart
from epitaxy.nn.hypernetwork import GeneratedLinear, Hypernetwork
from epitaxy.nn.mlp import MLP
from epitaxy.nn.segments import segment_attention

OFFSETS = torch.tensor([0, 3, 3, 4])


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("channels", [1, 5])
def test_attention_is_a_softmax_in_each_group(channels):
    scores, rows = random(4, 2, channels), random(4, 2, 5)
    found = segment_attention(scores, rows, OFFSETS, torch.ones(4, dtype=torch.float64))
    first = (torch.softmax(scores[:3], dim=0) * rows[:3]).sum(0)
    expected = torch.stack([first, torch.zeros_like(first), rows[3]])
    assert_close(found, expected)
    goal = torch.randn_like(expected)
    ours = torch.autograd.grad((found * goal).sum(), [scores, rows])
    theirs = torch.autograd.grad((expected * goal).sum(), [scores, rows])
    assert_close(ours, theirs)


def test_a_weight_counts_equal_rows():
    scores, rows = torch.randn(3, 1, 2), torch.randn(3, 1, 2)
    once = segment_attention(scores, rows, torch.tensor([0, 3]), torch.tensor([1.0, 2.0, 1.0]))
    again = [0, 1, 1, 2]
    assert_close(
        once, segment_attention(scores[again], rows[again], torch.tensor([0, 4]), torch.ones(4))
    )


def test_large_scores_do_not_overflow():
    scores = torch.tensor([1e4, 1e4, -1e4])[:, None, None]
    rows = torch.tensor([1.0, 3.0, 100.0])[:, None, None]
    assert segment_attention(scores, rows, torch.tensor([0, 3]), torch.ones(3)).item() == 2.0


def test_heads_on_picked_rows_are_heads_on_joined_rows():
    net = HeadNetworks((3, 2), hidden=4, outputs=5, heads=2).double()
    left, right = random(6, 3), random(3, 2)
    i, j = torch.tensor([5, 0, 0, 2]), torch.tensor([1, 1, 2, 0])
    found = net([left, right], Picks.of((i, 6), (j, 3)))
    u = torch.cat([left[i], right[j]], dim=1)
    hidden = torch.nn.functional.leaky_relu(net.first(u), 0.01).view(4, 2, 4)
    heads = [hidden[:, n] @ net.weight[n].t() + net.bias[n] for n in range(2)]
    expected = torch.stack(heads, dim=1)
    assert_close(found, expected)
    inputs = [left, right, *net.parameters()]
    goal = torch.randn_like(expected)
    assert_close(
        torch.autograd.grad((found * goal).sum(), inputs),
        torch.autograd.grad((expected * goal).sum(), inputs),
    )


def test_generated_layers_are_what_the_generator_says(monkeypatch):
    monkeypatch.setattr(hypernetwork, "ROWS", 2)
    layer = GeneratedLinear(4).double()
    z, x = random(5, 4), random(5, 4)
    found = layer(z, x)
    t = z
    for inner in layer.hidden:
        t = torch.tanh(inner(t))
    made = layer.last(t)
    expected = torch.einsum("noi,ni->no", made[:, :16].view(5, 4, 4), x) + made[:, 16:]
    assert_close(found, expected)
    inputs = [z, x, *layer.parameters()]
    goal = torch.randn_like(expected)
    assert_close(
        torch.autograd.grad((found * goal).sum(), inputs),
        torch.autograd.grad((expected * goal).sum(), inputs),
    )


def test_a_hypernetwork_of_no_rows():
    assert Hypernetwork(4)(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 4)


def test_first_weights_of_generators():
    layer = GeneratedLinear(64)
    assert layer.hidden[0].weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.05)
    assert layer.last.weight.std().item() == pytest.approx(0.1 * (2 / 64) ** 0.5, rel=0.05)


@pytest.mark.parametrize("damping", [-0.5, 0.3, 1.5])
def test_a_share_beyond_its_bounds_can_come_back(damping):
    restart = Restart()
    restart.damping.data.fill_(damping)
    one, two = torch.tensor([[1.0]]), torch.tensor([[3.0]])
    out = restart(one, two)
    share = min(max(damping, 0), 1)
    assert out.item() == pytest.approx(share + 3 * (1 - share))
    out.backward()
    assert restart.damping.grad.item() == pytest.approx(-2)


def test_composition_counts_atoms():
    numbers, weights = torch.tensor([8, 22, 8, 29]), torch.tensor([1.0, 1.0, 3.0, 2.0])
    found = Composition.of(numbers, weights, torch.tensor([0, 3, 4]))
    assert found.numbers.tolist() == [8, 22, 29]
    assert_close(found.fractions, torch.tensor([0.8, 0.2, 1.0]))
    assert found.offsets.tolist() == [0, 2, 3]
    assert (found.pairs.terms - torch.tensor([0, 3])).tolist() == [[0, 1], [1, 0]]
    assert found.pair_offsets.tolist() == [0, 1, 2, 2]


def test_a_crystal_of_one_element_has_a_composition_vector():
    net = CompositionNetwork(7, width=4, layers=2, hidden=3)
    elements = torch.randn(101, 7)
    pure = Composition.of(torch.tensor([29, 29]), torch.ones(2), torch.tensor([0, 2]))
    expected = torch.cat([net.embedding(elements[29]), torch.ones(1)])
    assert_close(net(elements, pure)[0], expected)


def test_residual_layers():
    plain = MLP(3, (3, 2), act="relu", first=False, residual="plain")
    x = torch.randn(4, 3)
    same, other = plain.hidden
    y = torch.relu(same.linear(x)) + x
    y = torch.relu(other.linear(y)) + y @ other.shortcut.weight.t()
    assert_close(plain(x), plain.output(y)[:, 0])
    fresh = MLP(3, (3, 3), act="relu", first=False, residual="rezero")
    assert_close(fresh(x), fresh.output(x)[:, 0])
