"""The edge-gated convolution against the same written edge by edge, and its gradients."""

import pytest
import torch
from torch.nn.functional import layer_norm, silu
from torch.testing import assert_close

from epitaxy.nn import edges as edges_module
from epitaxy.nn.edge_gated_conv import EdgeGatedConv
from epitaxy.nn.edges import Edges, row_pieces
from epitaxy.nn.norm import WeightedBatchNorm, make_norm
from epitaxy.nn.norm_passes import norm_silu
from tiny import randomise_norms

WIDTH = 5


def graph(n=6, seed=0, *, unit=False):
    """Return random edges, some nodes without any, and how many equal nodes each stands for."""
    torch.manual_seed(seed)
    counts = torch.tensor([3, 0, 4, 1, 0, 5][:n])
    target = torch.repeat_interleave(torch.arange(n), counts)
    source = torch.randint(0, n, (len(target),))
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])
    nodes = torch.ones(n) if unit else torch.randint(1, 4, (n,)).float()
    weight = torch.ones(len(target)) if unit else torch.randint(1, 5, (len(target),)).float()
    nodes, weight = nodes.double(), weight.double()
    return Edges(offsets, source, target, weight=weight, copies=weight * nodes[target]), nodes


def layer(norm="batch", *, last=False, training=True):
    torch.manual_seed(1)
    made = EdgeGatedConv(WIDTH, None if last else norm, nodes_norm=norm).double()
    randomise_norms(made)
    return made.train(training)


def repeated(rows, copies):
    return rows.repeat_interleave(copies.long(), dim=0)


def plain_norm(norm, rows, copies):
    """Normalise rows as if every one were there as often as it counts."""
    if not isinstance(norm, WeightedBatchNorm):
        return layer_norm(rows, (WIDTH,), norm.weight, norm.bias)
    mean, variance = norm.running_mean, norm.running_var
    if norm.training:
        every = repeated(rows, copies)
        mean, variance = every.mean(0), every.var(0, unbiased=False)
    return (rows - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias


def plain(conv, x, y, edges, node_weight):
    """Edge by edge, as in the paper."""
    a, b, u, d = conv.nodes.weight.chunk(4)
    ba, bb, bu, bd = conv.nodes.bias.chunk(4)
    s, t = edges.source, edges.target
    m = (x @ a.t() + ba)[s] + (x @ b.t() + bb)[t] + conv.edges(y)
    gate = torch.sigmoid(m) * edges.weight[:, None]
    num = torch.zeros_like(x).index_add(0, t, gate * (x @ u.t() + bu)[s])
    den = torch.zeros_like(x).index_add(0, t, gate)
    own = x @ d.t() + bd + num / (den + 1e-6)
    new_x = x + silu(plain_norm(conv.node_norm, own, node_weight))
    if conv.edge_norm is None:
        return new_x, None
    return new_x, y + silu(plain_norm(conv.edge_norm, m, edges.copies))


def inputs(edges, dtype=torch.float64):
    torch.manual_seed(2)
    x = torch.randn(edges.n_nodes, WIDTH, dtype=dtype, requires_grad=True)
    y = torch.randn(len(edges), WIDTH, dtype=dtype, requires_grad=True)
    return x, y


def score(outputs):
    """Mix all outputs into one number that no symmetry makes zero."""
    total = 0.0
    for k, out in enumerate(outputs):
        if out is not None:
            total = total + (out * torch.linspace(-1, 2, out.numel()).view_as(out)).sum() * (k + 1)
    return total


@pytest.mark.parametrize("piece", [2, 1000])
@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_values_and_gradients_are_those_of_the_plain_formula(
    norm, training, last, piece, monkeypatch
):
    monkeypatch.setattr(edges_module, "piece_rows", lambda: piece)
    edges, node_weight = graph()
    assert len(edges.pieces) > 3 if piece == 2 else len(edges.pieces) == 1
    found = {}
    for name in ("ours", "plain"):
        conv = layer(norm, last=last, training=training)
        x, y = inputs(edges)
        run = conv if name == "ours" else lambda *a, conv=conv: plain(conv, *a)
        outputs = run(x, y, edges, node_weight)
        gradients = torch.autograd.grad(score(outputs), [x, y, *conv.parameters()])
        found[name] = [o for o in outputs if o is not None], gradients
    assert_close(found["ours"], found["plain"], rtol=1e-9, atol=1e-10)


def test_running_statistics_are_those_of_the_repeated_rows():
    edges, node_weight = graph()
    conv, reference = layer(), layer()
    before = conv.edge_norm.running_mean.clone()
    x, y = inputs(edges)
    conv(x, y, edges, node_weight)
    a, b, _, _ = reference.nodes.weight.chunk(4)
    ba, bb, _, _ = reference.nodes.bias.chunk(4)
    m = (x @ a.t() + ba)[edges.source] + (x @ b.t() + bb)[edges.target] + reference.edges(y)
    every = repeated(m, edges.copies)
    assert_close(conv.edge_norm.running_mean, 0.9 * before + 0.1 * every.mean(0))
    expected = 0.9 * reference.edge_norm.running_var + 0.1 * every.var(0)
    assert_close(conv.edge_norm.running_var, expected)


def test_statistics_do_not_move_in_evaluation():
    edges, node_weight = graph()
    conv = layer(training=False)
    before = {k: v.clone() for k, v in conv.state_dict().items()}
    conv(*inputs(edges), edges, node_weight)
    assert all(torch.equal(v, before[k]) for k, v in conv.state_dict().items())


def test_a_far_mean_costs_no_digits():
    """The variance is summed relative to the first piece; around zero it would be lost."""
    norm = make_norm("batch", 3).train()
    torch.manual_seed(0)
    rows = 1e4 + torch.randn(5000, 3)
    out = norm_silu(rows, norm, torch.ones(5000))
    exact = rows.double()
    expected = silu((exact - exact.mean(0)) / (exact.var(0, unbiased=False) + 1e-5).sqrt())
    assert_close(out.double(), expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("training", [True, False])
def test_no_edges_at_all(training):
    none = torch.zeros(0, dtype=torch.long)
    empty = torch.zeros(0, dtype=torch.float64)
    edges = Edges(torch.zeros(4, dtype=torch.long), none, none, weight=empty, copies=empty)
    conv = layer(training=training)
    x, y = inputs(edges)
    new_x, new_y = conv(x, y, edges, torch.ones(3, dtype=torch.float64))
    assert new_y.shape == (0, WIDTH)
    assert torch.isfinite(new_x).all()
    gradients = torch.autograd.grad(new_x.sum() + new_y.sum(), list(conv.parameters()))
    assert all(torch.isfinite(g).all() for g in gradients)
    assert torch.isfinite(conv.edge_norm.running_var).all()


def test_bfloat16_keeps_edges_short_and_stays_close():
    edges, node_weight = graph()
    edges = Edges(
        edges.offsets,
        edges.source,
        edges.target,
        weight=edges.weight.float(),
        copies=edges.copies.float(),
    )
    conv = layer().float()
    exact, low = [], []
    for found, enabled in ((exact, False), (low, True)):
        x, y = inputs(edges, torch.float32)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            outputs = conv(x, y, edges, node_weight.float())
        assert outputs[0].dtype == torch.float32
        assert outputs[1].dtype == (torch.bfloat16 if enabled else torch.float32)
        outputs = [o.float() for o in outputs]
        found.extend([*outputs, *torch.autograd.grad(score(outputs), [x, *conv.parameters()])])
    for a, b in zip(low, exact, strict=True):
        assert (a - b).norm() < 0.03 * b.norm() + 0.05
    assert any(not torch.equal(a, b) for a, b in zip(low, exact, strict=True))


def test_pieces_cover_every_edge_once_and_never_cut_a_group(monkeypatch):
    monkeypatch.setattr(edges_module, "piece_rows", lambda: 3)
    edges, _ = graph()
    rows = [i for p in edges.pieces for i in range(p.rows.start, p.rows.stop)]
    groups = [i for p in edges.pieces for i in range(p.groups.start, p.groups.stop)]
    assert rows == list(range(len(edges)))
    assert groups == list(range(edges.n_nodes))
    for p in edges.pieces:
        inside = edges.target[p.rows]
        assert ((inside >= p.groups.start) & (inside < p.groups.stop)).all()
    assert [s.start for s in row_pieces(torch.zeros(7, 1))] == [0, 3, 6]
