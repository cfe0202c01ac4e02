"""The fused convolution against the textbook formula, in float64."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus
from torch.testing import assert_close

from epitaxy.nn.gated_conv import BondKinds, Bonds, GatedConv

WIDTH, BASIS, ATOMS = 4, 3, 5
COUNTS = torch.tensor([3, 0, 4, 1, 2])
"""Bonds per atom; the second atom has none."""


class Textbook(nn.Module):
    """Equation 5 of Xie and Grossman 2018 with the released batch norms, atom by atom and bond
    by bond; rows with weights are repeated."""

    def __init__(self, conv):
        super().__init__()
        self.linear = copy.deepcopy(conv.linear)
        self.bond_norm, self.atom_norm = (
            nn.BatchNorm1d(len(norm.weight)).double() for norm in (conv.bond_norm, conv.atom_norm)
        )
        for name in ("bond_norm", "atom_norm"):
            getattr(self, name).load_state_dict(getattr(conv, name).state_dict(), strict=False)

    def forward(self, atoms, bonds, atom_weight):
        terms = bonds.terms.repeat_interleave(bonds.edges.copies.long(), 0)
        source, destination, kind = (terms - torch.tensor([0, ATOMS, 2 * ATOMS])).T
        rows = [atoms[source], atoms[destination], bonds.basis[kind]]
        z = self.bond_norm(self.linear(torch.cat(rows, 1)))
        message = torch.sigmoid(z[:, :WIDTH]) * softplus(z[:, WIDTH:])
        copies = atom_weight.long()
        # The bonds of all copies of an atom were added up: each has its share.
        summed = torch.zeros_like(atoms).index_add(0, source, message) / atom_weight[:, None]
        normed = self.atom_norm(summed.repeat_interleave(copies, 0))
        first = torch.cumsum(copies, 0) - copies
        return softplus(atoms + normed[first])


def make_conv(dtype=torch.float64):
    conv = GatedConv(WIDTH, BASIS).to(dtype)
    with torch.no_grad():
        for norm in (conv.bond_norm, conv.atom_norm):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-0.5, 0.5)
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 2)
    return conv


def make_bonds(counts=COUNTS, *, weighted=True, dtype=torch.float64):
    """Return random bonds; several of them have the same length."""
    n = int(counts.sum())
    source = torch.arange(len(counts)).repeat_interleave(counts)
    weight = torch.randint(1, 4, (n,)).to(dtype) if weighted else torch.ones(n, dtype=dtype)
    return Bonds.of(
        source,
        torch.randint(len(counts), (n,)),
        weight,
        kinds=BondKinds(torch.randint(4, (n,)), torch.rand(4, BASIS, dtype=dtype)),
        atom_weight=atom_weights(weighted=weighted, dtype=dtype),
    )


def atom_weights(*, weighted=True, dtype=torch.float64):
    return torch.tensor([2, 1, 3, 1, 2] if weighted else [1] * ATOMS, dtype=dtype)


def atom_vectors(dtype=torch.float64):
    return torch.randn(ATOMS, WIDTH, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_equals_the_textbook(training, weighted):
    conv = make_conv().train(training)
    book = Textbook(conv).train(training)
    atoms, bonds = atom_vectors(), make_bonds(weighted=weighted)
    atom_weight = atom_weights(weighted=weighted)
    goal = torch.randn(ATOMS, WIDTH, dtype=torch.float64)

    def run(module):
        out = module(atoms, bonds, atom_weight)
        error = (((out - goal) ** 2).sum(1) * atom_weight).sum()
        return out, torch.autograd.grad(error, [atoms, *module.parameters()])

    out, gradients = run(conv)
    wanted, expected = run(book)
    assert_close(out, wanted)
    assert [n for n, _ in conv.named_parameters()] == [n for n, _ in book.named_parameters()]
    assert_close(gradients, expected)
    for norm, reference in ((conv.bond_norm, book.bond_norm), (conv.atom_norm, book.atom_norm)):
        assert_close(norm.running_mean, reference.running_mean)
        assert_close(norm.running_var, reference.running_var)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_derivatives(training):
    conv = make_conv().train(training)
    bonds, weight = make_bonds(), atom_weights()
    names = [name for name, _ in conv.named_parameters()]

    def run(atoms, *parameters):
        inputs = (atoms, bonds, weight)
        return torch.func.functional_call(conv, dict(zip(names, parameters, strict=True)), inputs)

    inputs = [atom_vectors(), *(p.detach().requires_grad_() for p in conv.parameters())]
    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("training", [True, False])
def test_atoms_without_any_bond(training):
    conv = make_conv().train(training)
    before = {k: v.clone() for k, v in conv.bond_norm.state_dict().items()}
    atoms, bonds = atom_vectors(), make_bonds(torch.zeros(ATOMS, dtype=torch.int64))
    out = conv(atoms, bonds, atom_weights())
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(p.grad).all() for p in conv.parameters())
    assert atoms.grad.abs().sum() > 0
    # There was nothing to see, so nothing was learned about bonds.
    assert_close(dict(conv.bond_norm.state_dict()), before, rtol=0, atol=0)


def test_frozen_norm_with_a_trainable_rest_keeps_its_statistics():
    conv = make_conv().train()
    conv.bond_norm.eval()
    before = conv.bond_norm.running_mean.clone()
    atoms = atom_vectors()
    conv(atoms, make_bonds(), atom_weights()).sum().backward()
    assert torch.equal(conv.bond_norm.running_mean, before)
    assert conv.linear.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("first_layer", [True, False])
def test_autocast_reaches_the_matrix_products_only(monkeypatch, first_layer, training):
    """In front of the first layer autocast makes the atom vectors bfloat16, too."""
    conv = make_conv(torch.float32).train(training)
    twin = copy.deepcopy(conv)
    bonds, weight = make_bonds(dtype=torch.float32), atom_weights(dtype=torch.float32)
    atoms = atom_vectors(torch.bfloat16 if first_layer else torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        tables = [table.float() for table in conv._tables(atoms, bonds.basis)]
        low = conv(atoms, bonds, weight)
    monkeypatch.setattr(twin, "_tables", lambda *_: tables)
    assert_close(low, twin(atoms.float(), bonds, weight))
    assert_close(conv.state_dict(), twin.state_dict())


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_is_close_to_float32(training):
    conv = make_conv(torch.float32).train(training)
    bonds, weight = make_bonds(dtype=torch.float32), atom_weights(dtype=torch.float32)
    atoms = atom_vectors(torch.float32)
    exact = conv(atoms, bonds, weight)
    wanted = torch.autograd.grad(exact.sum(), [atoms, *conv.parameters()])
    with torch.autocast("cpu", torch.bfloat16):
        low = conv(atoms, bonds, weight)
    gradients = torch.autograd.grad(low.sum(), [atoms, *conv.parameters()])
    assert_close(low, exact, rtol=0.03, atol=0.03)
    for gradient, reference in zip(gradients, wanted, strict=True):
        assert gradient.dtype == torch.float32
        scale = float(torch.cat([g.abs().ravel() for g in wanted]).max())
        assert_close(gradient, reference, rtol=0.05, atol=0.02 * scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [30.0, 80.0, 200.0, 1e4])
def test_large_arguments_do_not_overflow(size, dtype):
    conv, atoms = make_conv(dtype).eval(), atom_vectors(dtype)
    with torch.no_grad():
        conv.bond_norm.running_mean.zero_()
        conv.bond_norm.weight.fill_(size)
        conv.atom_norm.weight.fill_(1)
    bonds, weight = make_bonds(dtype=dtype), atom_weights(dtype=dtype)
    out = conv(atoms, bonds, weight)
    gradients = torch.autograd.grad(out.sum(), [atoms, *conv.parameters()])
    assert all(torch.isfinite(x).all() for x in (out, *gradients))
    book = Textbook(copy.deepcopy(conv)) if dtype == torch.float64 else None
    if book is not None:
        assert_close(out, book.eval()(atoms, bonds, weight))
