"""Crystals of a few atoms and models of a few weights, built in memory."""

from functools import cache

import numpy as np
import torch
from lightning_fabric import Fabric

from epitaxy.batches.batch import CrystalBatch, collate
from epitaxy.batches.loader import CrystalLoader
from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.properties import PropertySpec
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.store import GraphStore, build_graphs
from epitaxy.models import ENCODERS
from epitaxy.models.encoder import Encoder
from epitaxy.models.heads import Head, HeadConfig
from epitaxy.models.property_model import PropertyModel
from epitaxy.nn.norm import WeightedBatchNorm
from epitaxy.structures.table import StructureTable
from epitaxy.training.caching import cache_prefix
from epitaxy.training.config import TrainingConfig
from epitaxy.training.loop import Job, Progression, fit
from epitaxy.training.losses import learned_weights, make_loss
from epitaxy.training.optimisers import make_optimiser
from epitaxy.transfer.plan import TransferPlan, apply_plan, make_plan

SMALL = {
    "alignn": {"width": 6, "embedding": 4, "alignn_layers": 2, "gcn_layers": 2},
    "cgat": {
        "width": 6,
        "bond_width": 4,
        "heads": 2,
        "hidden": 5,
        "layers": 2,
        "composition_layers": 1,
        "composition_hidden": 5,
    },
    "cgcnn": {"width": 6, "layers": 2},
}
"""Settings that keep an architecture quick; one that is not named here has its defaults."""
LOUD = {"alignn": 3.0, "cgat": 3.0}
"""Factor on the weights of a random architecture that else hardly reacts to its input."""
WITHOUT_LENGTHS = {"cgat"}
"""Architectures that see which atoms are near, but not how near."""
FLOAT64_ROUNDING = 1e-9
"""Relative difference that the order of float64 sums may make after a few layers."""
STORED_LENGTH = 3e-5
"""Relative difference that bond lengths stored as float32 may make (up to 5e-7 Å each)."""


def rock_salt(a=5.6, numbers=(11, 17)):
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    coords = np.concatenate([corners, corners + np.array([0.5, 0, 0])])
    return np.eye(3) * a, np.repeat(numbers, 4), coords


def perovskite(a=4.0, numbers=(56, 22, 8)):
    coords = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return np.eye(3) * a, np.array([*numbers[:2], *[numbers[2]] * 3]), np.array(coords)


def copper(a=3.6):
    return a / 2 * (1 - np.eye(3)), np.array([29]), np.zeros((1, 3))


def isolated(number=10):
    """Return one atom with nobody within any cutoff."""
    return np.eye(3) * 30.0, np.array([number]), np.zeros((1, 3))


def irregular(seed=0, n_atoms=4):
    """Return a skewed cell without symmetry, atoms at least 1.2 Å apart."""
    rng = np.random.default_rng(seed)
    while True:
        lattice = np.diag(rng.uniform(3.5, 6, 3)) + rng.uniform(-1.2, 1.2, (3, 3))
        coords = rng.uniform(0, 1, (n_atoms, 3))
        delta = coords[:, None] - coords
        delta -= np.round(delta)
        if (np.linalg.norm(delta @ lattice, axis=2) + np.eye(n_atoms) * 9).min() > 1.2:
            return lattice, rng.integers(1, 90, n_atoms), coords


CRYSTALS = (rock_salt(), perovskite(), copper(), irregular(1), irregular(2, 3), rock_salt(6.3))


def table(crystals=CRYSTALS, **values):
    """Pack (lattice, numbers, coordinates) into a table with the ids c0, c1, ..."""
    return StructureTable.from_arrays(
        ids=[f"c{i}" for i in range(len(crystals))],
        lattices=[c[0] for c in crystals],
        atomic_numbers=[c[1] for c in crystals],
        frac_coords=[c[2] for c in crystals],
        values=values,
    )


def many(n):
    """Return ``n`` different small crystals."""
    kinds = [
        lambda i: rock_salt(5 + 0.1 * i, (11 + i % 3, 17)),
        lambda i: perovskite(3.8 + 0.03 * i, (56, 22 + i % 4, 8)),
        lambda i: copper(3.4 + 0.05 * i),
        lambda i: irregular(i, 2),
    ]
    return [kinds[i % len(kinds)](i) for i in range(n)]


def store(crystals=CRYSTALS, recipe=None) -> GraphStore:
    return build_graphs(table(crystals), recipe or GraphRecipe(), progress=False)


def batch(crystals=CRYSTALS, recipe=None, targets=None) -> CrystalBatch:
    graphs = store(crystals, recipe)
    return collate(graphs.gather(np.arange(len(crystals))), targets)


@cache
def many_graphs(n, recipe) -> GraphStore:
    return store(many(n), recipe)


def loader(n=12, size=4, *, shuffle=True, seed=0, properties=1, recipe=None):
    """Return a loader over `many` crystals whose labels a network can learn."""
    graphs = many_graphs(n, recipe)
    labels = np.linspace(-1, 1, n)[:, None] * (1 + np.arange(properties))
    return CrystalLoader(graphs, np.arange(n), labels, batch_size=size, shuffle=shuffle, seed=seed)


def encoder(name, *, recipe=None, seed=0) -> Encoder:
    """Return a small encoder whose normalisations are not the identity."""
    torch.manual_seed(seed)
    made = ENCODERS[name](**SMALL.get(name, {}), **({"recipe": recipe} if recipe else {}))
    with torch.no_grad():
        for layer in made.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight.mul_(LOUD.get(name, 1.0))
    randomise_norms(made)
    return made


def model(name="cgcnn", *, names=("gap",), hidden=(5,), recipe=None, seed=0) -> PropertyModel:
    made = encoder(name, recipe=recipe, seed=seed)
    heads = {
        n: Head(
            made.width,
            PropertySpec(name=n, unit="eV"),
            TargetScaler(shift=0.5, scale=2.0),
            HeadConfig(hidden=hidden),
        )
        for n in names
    }
    return PropertyModel(name, made, heads)


def randomise_norms(module):
    """Give every batch norm statistics and factors that a trained network might have."""
    for norm in module.modules():
        if isinstance(norm, WeightedBatchNorm | torch.nn.BatchNorm1d):
            with torch.no_grad():
                norm.running_mean.uniform_(-0.3, 0.3)
                norm.running_var.uniform_(0.5, 2.0)
                norm.weight.uniform_(0.7, 1.4)
                norm.bias.uniform_(-0.2, 0.2)


def tensors(module) -> dict[str, torch.Tensor]:
    """Copy the parameters and stored buffers of a module."""
    return {k: v.detach().clone() for k, v in module.state_dict().items()}


def changed(before, after) -> set[str]:
    """Return the names of tensors of which at least one bit differs."""
    assert before.keys() == after.keys()
    return {k for k in before if not torch.equal(before[k], after[k])}


def job(net, plan: TransferPlan | str = "full", *, start=0, n=12, **settings) -> Job:
    """Build everything for a short training on `many` crystals, as the recipes do."""
    config = TrainingConfig(**{"epochs": 2, "batch_size": 4, "schedule": "constant", **settings})
    if isinstance(plan, str):
        plan = make_plan(plan, net.depth_groups())
    groups = apply_plan(net, plan, seed=config.seed, published_batchnorm=config.published_batchnorm)
    size = {"properties": len(net.names), "recipe": net.recipe}
    train = loader(n, config.batch_size, seed=config.seed, **size)
    train.temperature = config.sampling_temperature
    val = loader(n, 256, shuffle=False, **size)
    if start:
        assert cache_prefix(net, [train, val], start) == start
    loss = make_loss(config, len(net.names))
    optimiser = make_optimiser(config, [*groups, learned_weights(loss)])
    return Job(net, optimiser, loss, train, val, config, start)


def run(made: Job, folder) -> Progression:
    """Train in ``folder`` on the CPU."""
    precision = {"32": "32-true", "bf16": "bf16-mixed"}[made.config.precision]
    folder.mkdir(exist_ok=True)
    return fit(made, Fabric(accelerator="cpu", devices=1, precision=precision), folder)


def keys_of_groups(net) -> dict[str, set[str]]:
    """Return which entries of the state dict belong to each depth group."""
    group_of = {
        id(tensor): group.name
        for group in net.depth_groups()
        for tensor in (*group.parameters(), *group.buffers())
    }
    found = {group.name: set() for group in net.depth_groups()}
    for key, tensor in net.state_dict(keep_vars=True).items():
        found[group_of[id(tensor)]].add(key)
    return found
