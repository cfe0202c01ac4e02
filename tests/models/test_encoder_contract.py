"""What every registered architecture must do: symmetries, batching, depth groups, settings.

Not among them: a prediction that is smooth while a bond passes the cutoff. The graphs keep the
nearest neighbours, whatever their distance, so a network on them may jump where one replaces
another; models that promise more test it in their own file.
"""

import inspect
import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from epitaxy.batches.batch import collate
from epitaxy.models import ENCODERS
from epitaxy.models.property_model import PropertyModel
from tiny import (
    CRYSTALS,
    FLOAT64_ROUNDING,
    STORED_LENGTH,
    WITHOUT_LENGTHS,
    batch,
    encoder,
    irregular,
    model,
    perovskite,
    rock_salt,
    store,
)

pytestmark = pytest.mark.parametrize("name", ENCODERS)

SHEAR = np.array([[1, 1, 0], [0, 1, 0], [2, -1, 1]])
"""Integer matrix of determinant 1: another choice of lattice vectors."""


def predictions(net, crystals):
    with torch.no_grad():
        return net.eval()(batch(crystals, net.recipe).double())[:, 0]


def rotated(crystal):
    lattice, numbers, coords = crystal
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    return lattice @ turn.T, numbers, coords


def moved(crystal):
    lattice, numbers, coords = crystal
    return lattice, numbers, np.add(coords, [0.37, -1.21, 0.05])


def moved_by_lattice_vectors(crystal):
    lattice, numbers, coords = crystal
    whole = np.random.default_rng(0).integers(-2, 3, np.shape(coords))
    return lattice, numbers, np.asarray(coords) + whole


def reordered(crystal):
    lattice, numbers, coords = crystal
    order = np.random.default_rng(0).permutation(len(numbers))
    return lattice, np.asarray(numbers)[order], np.asarray(coords)[order]


def sheared(crystal):
    lattice, numbers, coords = crystal
    return SHEAR @ lattice, numbers, coords @ np.linalg.inv(SHEAR)


def supercell(crystal, n=(2, 1, 2)):
    lattice, numbers, coords = crystal
    shifts = np.array(np.meshgrid(*map(range, n), indexing="ij")).reshape(3, -1).T
    coords = (np.asarray(coords)[None] + shifts[:, None]).reshape(-1, 3) / n
    return lattice * np.array(n)[:, None], np.tile(numbers, len(shifts)), coords


@pytest.mark.parametrize(
    "change",
    [rotated, moved, moved_by_lattice_vectors, reordered, sheared, supercell],
    ids=lambda f: f.__name__,
)
def test_the_same_crystal_described_otherwise(name, change):
    net = model(name).double()
    expected = predictions(net, CRYSTALS)
    assert expected.std() > 0.01  # the crystals themselves are told apart
    found = predictions(net, [change(crystal) for crystal in CRYSTALS])
    assert_close(found, expected, rtol=STORED_LENGTH, atol=STORED_LENGTH)


def test_size_and_composition_are_seen(name):
    """A network that saw nothing would pass all the tests above."""
    net = model(name).double()
    one, bigger, other = predictions(
        net, [rock_salt(5.6), rock_salt(5.7), rock_salt(5.6, (11, 35))]
    )
    seen = abs(one - bigger)
    assert seen < FLOAT64_ROUNDING if name in WITHOUT_LENGTHS else seen > 10 * STORED_LENGTH
    assert abs(one - other) > 10 * STORED_LENGTH


def test_a_batch_is_its_crystals(name):
    net = model(name).double()
    alone = [predictions(net, [crystal]) for crystal in CRYSTALS]
    together = predictions(net, CRYSTALS)
    assert_close(together, torch.cat(alone), rtol=FLOAT64_ROUNDING, atol=FLOAT64_ROUNDING)


def pass_through(net, crystals, recipe):
    """Run forward and backward; return predictions, gradients and all stored tensors."""
    out = net(batch(crystals, recipe).double())[:, 0]
    goal = torch.linspace(-1, 1, len(crystals), dtype=torch.float64)
    gradients = torch.autograd.grad(((out - goal) ** 2).mean(), list(net.parameters()))
    return out, gradients, net.state_dict()


@pytest.mark.parametrize("training", [True, False])
def test_merging_equivalent_atoms_changes_cost_only(name, training):
    crystals = [*CRYSTALS, supercell(perovskite(4.1)), supercell(irregular(3), (1, 1, 2))]
    recipe = encoder(name).recipe
    whole = recipe.model_copy(update={"merge_tolerance": 0.0})
    merged, unmerged = batch(crystals, recipe), batch(crystals, whole)
    assert len(merged.atomic_numbers) < len(unmerged.atomic_numbers) / 2
    found = pass_through(model(name).double().train(training), crystals, recipe)
    expected = pass_through(model(name).double().train(training), crystals, whole)
    assert_close(found, expected, rtol=STORED_LENGTH, atol=STORED_LENGTH)


def test_every_parameter_gets_a_gradient(name):
    # In evaluation mode: a bias in front of a batch norm has none in training.
    net = model(name).double().eval()
    _, gradients, _ = pass_through(net, CRYSTALS, net.recipe)
    for (key, _), gradient in zip(net.named_parameters(), gradients, strict=True):
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 0, key


def test_depth_groups_hold_every_stored_tensor_once(name):
    for net in (encoder(name), model(name), model(name, hidden=(), names=("a", "b"))):
        groups = net.depth_groups()
        assert len({g.name for g in groups}) == len(groups)
        held = [id(t) for g in groups for t in (*g.parameters(), *g.buffers())]
        stored = {id(t) for t in net.state_dict(keep_vars=True).values()}
        assert len(held) == len(set(held))
        assert stored <= set(held)
        assert all(list(g.parameters()) or list(g.buffers()) for g in groups)


def test_depth_groups_are_tagged(name):
    groups = model(name).depth_groups()
    assert all(g.tags for g in groups)
    assert "embedding" in groups[0].tags
    assert [g.name for g in groups if "head" in g.tags] == ["head-hidden", "head-output"]
    assert "output" in groups[-1].tags


@pytest.mark.parametrize("training", [True, False])
def test_a_cached_prefix_continues_where_it_stopped(name, training):
    graphs = store(CRYSTALS, encoder(name).recipe)
    arrays = graphs.gather(np.arange(len(CRYSTALS)))
    for stop in range(len(encoder(name).depth_groups()) + 2):
        whole, parts = (model(name).train(training) for _ in range(2))
        expected = whole(collate(arrays))
        state = parts.encoder.prefix(collate(arrays), stop)
        assert set(state) <= {"atoms", "bonds", "angles", "crystal"}
        assert_close(parts(collate(arrays, state=state), start=stop), expected, rtol=0, atol=0)


def test_features_have_the_width_they_announce(name):
    made, one = encoder(name), batch(recipe=encoder(name).recipe)
    features = made(one)
    assert features.atoms.shape == (len(one.atomic_numbers), made.width)
    assert features.crystal.shape == (len(one), made.width)


def test_settings_rebuild_the_network(name):
    net = model(name, names=("gap.dc", "e form")).eval()
    settings = json.loads(json.dumps(net.settings()))
    twin = PropertyModel.from_settings(settings).eval()
    assert twin.settings() == net.settings()
    twin.load_state_dict(net.state_dict())
    one = batch(recipe=net.recipe)
    assert torch.equal(twin(one), net(one))
    assert ENCODERS[name](**net.encoder.settings(), recipe=net.recipe).settings() == (
        net.encoder.settings()
    )


def test_settings_name_every_argument_but_the_recipe(name):
    arguments = inspect.signature(ENCODERS[name]).parameters.keys() - {"recipe"}
    assert encoder(name).settings().keys() == arguments
    values = encoder(name).settings()
    for key in arguments:
        other = values[key] * 2 if isinstance(values[key], int | float) else values[key]
        assert ENCODERS[name](**{**values, key: other}).settings()[key] == other


def test_weights_are_drawn_from_the_seed(name):
    drawn = [encoder(name, seed=seed).state_dict() for seed in (1, 1, 2)]
    for key, value in drawn[0].items():
        assert torch.equal(value, drawn[1][key])
    assert any(not torch.equal(value, drawn[2][key]) for key, value in drawn[0].items())
