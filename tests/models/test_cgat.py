"""CGAT beyond the contract: sizes, variants, what it refuses."""

import json
import sys

import pytest
import torch
from torch.testing import assert_close

from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.graphs.elements import MATSCHOLAR, matscholar_table
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models.cgat import CGAT
from epitaxy.models.cgat_recipes import RECIPES
from epitaxy.models.heads import Head, HeadConfig
from tiny import CRYSTALS, SMALL, STORED_LENGTH, batch, copper, isolated, perovskite, rock_salt

VARIANTS = (
    {},
    {"bonds": "attention"},
    {"bonds": "hypernetwork"},
    {"attention": "scalar", "pooling": "mean"},
    {"elements": "learned", "bonds": "attention", "attention": "scalar"},
)
EACH = pytest.mark.parametrize("variant", VARIANTS, ids=str)
UNMERGED = GraphRecipe(rule="cgat", neighbours=24, cutoff=18.0, merge_tolerance=0)


def network(**settings):
    return CGAT(**{**SMALL["cgat"], **settings}).double().eval()


@pytest.mark.parametrize(
    ("bond_width", "hidden", "published", "never_trained"),
    [(128, 256, 65_267_532, 7_920_384), (512, 512, 118_910_412, 39_908_352)],
)
def test_numbers_of_parameters(bond_width, hidden, published, never_trained):
    """The released classes with the paper's six heads, less what has no effect."""
    recipe = RECIPES["released"]
    size = {**recipe.encoder, "bond_width": bond_width, "hidden": hidden}
    with torch.device("meta"):
        encoder = CGAT(**size, recipe=recipe.graph)
        head = Head(
            encoder.width, PropertySpec(name="y"), TargetScaler(), HeadConfig(**recipe.head)
        )
    ours = sum(p.numel() for module in (encoder, head) for p in module.parameters())
    # Their vectors of elements have 200 numbers, ours 92; atoms and elements embed them.
    ours += (200 - 92) * (128 + 127)
    # Shifts of scores: of atoms, of the pooling, of three rounds and the pooling of elements.
    shifts = 5 * 6 * 128 + 6 * 128 + 4
    second_output, shell_zero = 128 + 1, bond_width
    assert ours + shifts + second_output + shell_zero + never_trained == published


@EACH
def test_merging_changes_cost_only(variant):
    net = network(**variant)
    whole = net.recipe.model_copy(update={"merge_tolerance": 0.0})
    outcomes = []
    for recipe in (net.recipe, whole):
        out = net(batch(CRYSTALS, recipe).double()).crystal
        slopes = torch.autograd.grad(out.square().sum(), list(net.parameters()))
        outcomes.append((out, slopes))
    assert_close(*outcomes, rtol=STORED_LENGTH, atol=STORED_LENGTH)


@EACH
def test_every_group_can_follow_a_cached_one(variant):
    net = network(**variant)
    graphs = batch(CRYSTALS, net.recipe).double()
    expected = net(graphs).crystal
    for stop in range(len(net.depth_groups()) + 1):
        state = net.prefix(graphs, stop)
        for group in range(stop, len(net.depth_groups())):
            state = net.advance(group, state, graphs)
        assert_close(net.features(state, graphs).crystal, expected, rtol=0, atol=0)


def test_settings_of_variants_differ_in_what_they_compute():
    graphs = batch(CRYSTALS, CGAT.default_recipe).double()
    found = []
    for variant in VARIANTS:
        torch.manual_seed(0)
        found.append(network(**variant)(graphs).crystal[:, 0].detach())
    for i, one in enumerate(found):
        assert all(not torch.allclose(one, other) for other in found[:i])


def test_the_end_that_hears():
    """Around a network of one step: with few neighbours, who lists whom is not symmetric."""
    owner, neighbour = (network(receiver=end, recipe=UNMERGED) for end in ("owner", "neighbour"))
    neighbour.load_state_dict(owner.state_dict())
    even = batch([rock_salt()], UNMERGED).double()
    odd = batch([perovskite()], UNMERGED).double()
    # In rock salt every atom is listed as it lists; in the perovskite the cut shell decides.
    assert torch.bincount(even.bond_dst).tolist() == [24] * 8
    assert torch.bincount(odd.bond_dst).tolist() != [24] * 5
    with torch.no_grad():
        assert_close(owner(even).crystal, neighbour(even).crystal)
        assert not torch.allclose(owner(odd).crystal, neighbour(odd).crystal)


def test_atoms_without_bonds_and_elements_alone():
    net = network()
    alone, together = batch([copper()], net.recipe), batch([isolated(), copper()], net.recipe)
    assert len(together.bond_src) == len(alone.bond_src)
    found = net(together.double()).crystal
    assert torch.isfinite(found).all()
    assert_close(found[1:], net(alone.double()).crystal)


def test_half_of_the_digits_under_autocast():
    net = network().float()
    graphs = batch(CRYSTALS, net.recipe)
    expected = net(graphs).crystal
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = net(graphs).crystal
        found.square().sum().backward()
    assert_close(found.float(), expected, rtol=0.1, atol=0.05)
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_graphs_without_shells_are_refused():
    with pytest.raises(InputError, match="give the rule shells or cgat"):
        CGAT(recipe=GraphRecipe())


def test_merged_atoms_cannot_hear_those_that_list_them():
    with pytest.raises(InputError, match="set merge_tolerance=0"):
        CGAT(receiver="neighbour")


@pytest.fixture
def _fresh():
    matscholar_table.cache_clear()
    yield
    matscholar_table.cache_clear()
    sys.modules.pop("elementembeddings", None)


@pytest.mark.usefixtures("_fresh")
def test_word_vectors_need_their_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "elementembeddings", None)
    with pytest.raises(InputError, match=r"pip install 'epitaxy\[elements\]'"):
        CGAT(elements="matscholar")


@pytest.mark.usefixtures("_fresh")
def test_word_vectors_come_from_their_package(tmp_path, monkeypatch):
    file = tmp_path / "elementembeddings" / MATSCHOLAR
    file.parent.mkdir(parents=True)
    (tmp_path / "elementembeddings/__init__.py").write_text("")
    file.write_text(json.dumps({"H": [1.0, 2.0], "Fm": [3.0, 4.0], "Lr": [5.0, 6.0]}))
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("elementembeddings", None)
    net = CGAT(elements="matscholar")
    assert net.elements[[0, 1, 100]].tolist() == [[0, 0], [1, 2], [3, 4]]
    assert "elements" not in net.state_dict()
