"""Weighted batch norm and segment sums against torch and plain loops."""

import pytest
import torch
from torch.testing import assert_close

from epitaxy.core.errors import InputError
from epitaxy.nn.bases import gaussian_expansion
from epitaxy.nn.mlp import MLP, activation
from epitaxy.nn.norm import WeightedBatchNorm
from epitaxy.nn.segments import gathered_sum, segment_mean, segment_sum

WIDTH = 5
WEIGHTS = {"ones": [1, 1, 1, 1], "unequal": [1, 4, 2, 9]}


def twin_norms():
    """Return our norm and torch's with the same random weights and statistics."""
    ours, theirs = WeightedBatchNorm(WIDTH).double(), torch.nn.BatchNorm1d(WIDTH).double()
    with torch.no_grad():
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            b.copy_(a.uniform_(0.5, 2))
        theirs.running_mean.copy_(ours.running_mean.uniform_(-1, 1))
        theirs.running_var.copy_(ours.running_var.uniform_(0.5, 2))
    return ours, theirs


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("counts", WEIGHTS.values(), ids=WEIGHTS)
def test_norm_equals_torch_on_repeated_rows(counts, training):
    ours, theirs = (norm.train(training) for norm in twin_norms())
    counts = torch.tensor(counts)
    rows = (3 * torch.randn(4, WIDTH, dtype=torch.float64) + 7).requires_grad_()
    target = torch.randn(4, WIDTH, dtype=torch.float64)

    def run(norm, repeated):
        repeats = counts if repeated else torch.ones_like(counts)
        inputs = rows.repeat_interleave(repeats, 0)
        out = norm(inputs) if repeated else norm(inputs, counts.double())
        weight = torch.ones(len(out)) if repeated else counts
        error = ((out - target.repeat_interleave(repeats, 0)) ** 2).sum(1) @ weight.double()
        return out, torch.autograd.grad(error, [rows, *norm.parameters()])

    out, gradients = run(ours, repeated=False)
    reference, wanted = run(theirs, repeated=True)
    assert_close(out.repeat_interleave(counts, 0), reference)
    assert_close(gradients, wanted)
    assert_close(ours.running_mean, theirs.running_mean)
    assert_close(ours.running_var, theirs.running_var)


def test_norm_gradients_are_derivatives():
    norm, _ = twin_norms()
    rows = torch.randn(4, WIDTH, dtype=torch.float64, requires_grad=True)
    weights = torch.tensor(WEIGHTS["unequal"], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: norm(x, weights), rows)


def test_affine_is_evaluation_mode():
    norm, _ = twin_norms()
    rows = torch.randn(3, WIDTH, dtype=torch.float64)
    scale, shift = norm.affine()
    assert_close(norm.eval()(rows, torch.ones(3)), rows * scale + shift)


def test_one_row_gives_the_bias_and_finite_statistics():
    norm, _ = twin_norms()
    out = norm(torch.full((1, WIDTH), 3.0, dtype=torch.float64), torch.ones(1))
    assert_close(out[0], norm.bias)
    assert torch.isfinite(norm.running_var).all()


def test_reset_of_the_norm():
    norm, _ = twin_norms()
    norm.reset_parameters()
    fresh = WeightedBatchNorm(WIDTH).double().state_dict()
    assert_close(norm.state_dict(), fresh, rtol=0, atol=0)


OFFSETS = torch.tensor([0, 2, 2, 5, 6])  # the second group is empty


@pytest.fixture
def rows():
    return torch.randn(6, 3, dtype=torch.float64, requires_grad=True)


@pytest.fixture
def weights():
    return torch.tensor([1.0, 2.0, 0.5, 3.0, 1.0, 4.0], dtype=torch.float64)


def looped(rows, weights):
    sums = torch.zeros(len(OFFSETS) - 1, rows.shape[1], dtype=rows.dtype)
    for group in range(len(sums)):
        for row in range(OFFSETS[group], OFFSETS[group + 1]):
            sums[group] += weights[row] * rows[row].detach()
    return sums


def test_segment_sum_equals_a_loop(rows, weights):
    assert_close(segment_sum(rows, OFFSETS, weights).detach(), looped(rows, weights))


def test_segment_mean_equals_a_loop(rows, weights):
    full = [0, 2, 3]
    totals = looped(torch.ones_like(rows), weights)
    mean = segment_mean(rows, OFFSETS, weights).detach()
    assert_close(mean[full], (looped(rows, weights) / totals)[full])


@pytest.mark.parametrize("function", [segment_sum, segment_mean])
def test_segment_gradients_are_derivatives(function, rows, weights):
    offsets = torch.tensor([0, 2, 5, 6])
    assert torch.autograd.gradcheck(lambda x: function(x, offsets, weights), rows)


@pytest.mark.parametrize("weighted", [True, False])
def test_gathered_sum_takes_rows_in_any_order(rows, weights, weighted):
    order = torch.tensor([3, 0, 5, 5, 1, 2])
    used = weights if weighted else torch.ones_like(weights)
    found = gathered_sum(rows.detach(), order, OFFSETS, used if weighted else None)
    assert_close(found, looped(rows[order], used))


def test_sums_over_nothing():
    empty = torch.zeros(0, 3)
    offsets = torch.zeros(5, dtype=torch.int64)
    assert_close(segment_sum(empty, offsets, torch.zeros(0)), torch.zeros(4, 3))


def test_gaussians_at_and_far_from_their_centres():
    centres = torch.arange(3, dtype=torch.float64)
    basis = gaussian_expansion(torch.tensor([0.2, 1e6], dtype=torch.float64), centres, 0.5)
    assert_close(basis[0], torch.exp(-(((0.2 - centres) / 0.5) ** 2)))
    assert (basis[1] < 1e-25).all()


def test_gaussians_leave_their_input_alone():
    lengths = torch.tensor([1.0, 2.0])
    gaussian_expansion(lengths, torch.zeros(1), 1.0)
    assert lengths.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("first", [True, False])
def test_mlp_is_what_its_docstring_says(first):
    mlp = MLP(4, (3, 2), act="silu", first=first)
    x = torch.randn(5, 4)
    act = torch.nn.functional.silu
    y = act(x) if first else x
    for layer in mlp.hidden:
        y = act(y @ layer.weight.T + layer.bias)
    assert_close(mlp(x), (y @ mlp.output.weight.T + mlp.output.bias)[:, 0])


def test_unknown_activation():
    with pytest.raises(InputError, match=r"activation 'softplu'.*Did you mean 'softplus'"):
        activation("softplu")
