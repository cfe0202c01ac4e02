"""ALIGNN against numbers computed with the published code (2023.4.1), merged graphs and not.

The reference values are float32 results. Ours are computed in float64, so that what remains is the
round-off of the reference; float32 is compared as well.
"""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from epitaxy.batches.batch import collate
from epitaxy.batches.scalers import TargetScaler
from epitaxy.checkpoints.alignn import (
    CENTRES,
    COUNTER,
    RECIPES,
    export_alignn,
    import_alignn,
    published_layout,
)
from epitaxy.core.elements import NUMBERS
from epitaxy.core.properties import PropertySpec
from epitaxy.graphs.elements import element_table
from epitaxy.graphs.store import build_graphs
from epitaxy.models.alignn import ALIGNN
from epitaxy.models.heads import Head, HeadConfig
from tiny import table

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SPEC = PropertySpec(name="y")
MERGED = pytest.mark.parametrize("merge_tolerance", [0.0, 1e-6])
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
MOMENTUM = 0.1
HEADS = {
    "alignn_out": (HeadConfig(hidden=(), first=False), 1),
    "mpt6_nhidden1_out": (HeadConfig(hidden=(128,), act="silu"), 6),
    "ft1_nhidden2_out": (HeadConfig(hidden=(128, 128), act="silu"), 1),
}
"""Which head each number of the JSON file is from, and how many of them there are."""


def batch_of(crystals, recipe, dtype=torch.float64):
    graphs = build_graphs(table(crystals), recipe, progress=False)
    batch = collate(graphs.gather(np.arange(len(crystals))))
    return batch.double() if dtype == torch.float64 else batch


def exact_or_merged(merge_tolerance, *, canonical=True):
    recipe = RECIPES["alignn" if canonical else "alignn-mpt"]
    return recipe.model_copy(update={"merge_tolerance": merge_tolerance})


# --- a small network, forth and back --------------------------------------------------------------


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "alignn_2023.4.1.npz") as file:
        return dict(file)


def part(golden, prefix):
    """Return the entries below ``prefix`` as tensors, in the order of the file."""
    return {
        key.removeprefix(prefix): torch.tensor(value)
        for key, value in golden.items()
        if key.startswith(prefix)
    }


@pytest.fixture
def published(golden):
    return {"model": part(golden, "small/state_dict/")}


@pytest.fixture(scope="module")
def crystals(golden):
    names = [f"s{n:02d}" for n in range(len(golden["ids"]))]
    return [
        (
            golden[f"{n}/lattice"],
            [NUMBERS[symbol] for symbol in golden[f"{n}/elements"]],
            golden[f"{n}/frac_coords"],
        )
        for n in names
    ]


def before_training(model, batch):
    """Undo one step of the running statistics, (1 - momentum) old + momentum batch.

    The file has them as they were after the training pass, its predictions from before it.
    """
    after = {k: v.clone() for k, v in model.state_dict().items() if ".running_" in k}
    with torch.no_grad():
        model.train()(batch)
    twice = model.state_dict()
    for key, once in after.items():
        new = (twice[key] - (1 - MOMENTUM) * once) / MOMENTUM
        twice[key].copy_((once - MOMENTUM * new) / (1 - MOMENTUM))
    return model.eval()


def test_element_features(golden, crystals):
    for n, (_, numbers, _) in enumerate(crystals):
        assert np.array_equal(element_table()[numbers], golden[f"s{n:02d}/atom_features"])


@MERGED
@DTYPES
def test_predictions_and_crystal_vectors(golden, crystals, published, merge_tolerance, dtype):
    batch = batch_of(crystals, exact_or_merged(merge_tolerance), dtype)
    model = before_training(import_alignn(published, SPEC, "small").to(dtype), batch)
    with torch.no_grad():
        vectors, found = model.encoder(batch).crystal, model(batch)[:, 0]
    assert_allclose(vectors, golden["small/eval_crystal_embedding"], rtol=2e-5, atol=2e-6)
    assert_allclose(found, golden["small/eval_prediction"], rtol=2e-5, atol=1e-6)


@MERGED
@DTYPES
def test_training_pass(golden, crystals, published, merge_tolerance, dtype):
    batch = batch_of(crystals, exact_or_merged(merge_tolerance), dtype)
    model = import_alignn(published, SPEC, "small").to(dtype).train()
    found = model(batch)[:, 0]
    loss = torch.nn.functional.mse_loss(found, torch.tensor(golden["target"], dtype=dtype))
    loss.backward()
    assert_allclose(found.detach(), golden["small/train_prediction"], rtol=1e-5, atol=2e-6)
    assert loss.item() == pytest.approx(float(golden["small/train_mse_loss"]), rel=1e-6)
    slopes = deepcopy(model)
    for slope, parameter in zip(slopes.parameters(), model.parameters(), strict=True):
        slope.data = parameter.grad
    ours = published_layout(slopes.encoder, list(slopes.heads))
    expected = part(golden, "small/grad/")
    assert len(expected) == len(published["model"]) - 4 - sum(
        key.endswith((CENTRES, COUNTER, ".running_mean", ".running_var"))
        for key in published["model"]
    )  # all but the two normalisations that nobody reads
    for key, slope in expected.items():
        size = float(slope.abs().max())
        if key.endswith(("layer.0.bias", "_update.bias")):
            # A normalisation follows, so this is round-off.
            assert max(size, float(ours[key].abs().max())) < 1e-4, key
        else:
            assert size > 5e-4
            assert_allclose(ours[key], slope, rtol=0, atol=2e-4 * size, err_msg=key)


# --- networks of the published size ---------------------------------------------------------------


def golden_cases():
    cases = json.loads((GOLDEN / "alignn_golden.json").read_text())["cases"]
    return [pytest.param(c, id=f"{c['name']}-{c['use_canonize']}") for c in cases]


def fill(layout):
    """Apply the rule of the file; return how many tensors there were."""
    read = {k: v for k, v in layout.items() if not k.endswith((CENTRES, COUNTER))}
    for t, (key, tensor) in enumerate(read.items()):
        s = torch.sin(1.7 * torch.arange(tensor.numel(), dtype=torch.float64) + 0.3 * t + 0.1)
        if key.endswith(".running_var"):
            s = 1 + 0.5 * s.square()
        elif tensor.dim() == 2:
            s /= tensor.shape[1] ** 0.5
        else:
            s = 0.1 * s + key.endswith(".weight")
        tensor.copy_(s.reshape(tensor.shape))
    return len(read)


@pytest.fixture(scope="module")
def network():
    """Return the encoder, all heads, and how many tensors each kind of network has."""
    encoder = ALIGNN(recipe=RECIPES["alignn"]).eval()
    heads = {
        kind: [Head(encoder.width, SPEC, TargetScaler(), config) for _ in range(number)]
        for kind, (config, number) in HEADS.items()
    }
    filled = {kind: fill(published_layout(encoder, some)) for kind, some in heads.items()}
    return encoder, heads, filled


def test_numbers_of_tensors(network):
    expected = json.loads((GOLDEN / "alignn_golden.json").read_text())["n_filled"]
    assert {kind.removesuffix("_out"): n for kind, n in network[2].items()} == expected


def test_numbers_of_parameters(network):
    encoder, heads, _ = network
    sizes = {kind: sum(p.numel() for h in heads[kind] for p in h.parameters()) for kind in HEADS}
    ours = sum(p.numel() for p in encoder.parameters())
    dead = 2 * 2 * encoder.width
    assert dead == 1_024
    assert {kind: ours + dead + size for kind, size in sizes.items()} == {
        "alignn_out": 4_026_753,
        "mpt6_nhidden1_out": 4_224_646,
        "ft1_nhidden2_out": 4_076_033,
    }


def crystal_of(atoms):
    lattice, coords = np.array(atoms["lattice_mat"], float), np.array(atoms["coords"], float)
    if atoms["cartesian"]:
        coords = coords @ np.linalg.inv(np.round(lattice, 5))
    return lattice, [NUMBERS[symbol] for symbol in atoms["elements"]], coords


def copies(batch):
    """Return how many atoms, bonds and angles of the crystal each row stands for."""
    bonds = batch.bond_weight * batch.atom_weight[batch.bond_src]
    return {
        "atoms": batch.atom_weight,
        "bonds": bonds,
        "angles": batch.angles.weight * bonds[batch.angles.target],
    }


def means_inside(encoder, batch):
    """Return the means over all atoms (or bonds, angles) and features, by the names of the file."""
    found, state = {}, {}
    weights = copies(batch)
    names = {"atom-embedding": "x0", "bond-embedding": "y0", "angle-embedding": "z0"}
    names |= {f"angles-{n}": f"x_after_alignn_{n - 1}" for n in range(1, 5)}
    names |= {f"gcn-{n}": f"x_after_gcn_{n - 1}" for n in range(1, 5)}
    scopes = {"y": "bonds", "z": "angles"}
    with torch.no_grad():
        for number, group in enumerate(encoder.depth_groups()):
            state = encoder.advance(number, state, batch)
            if group.name in names:
                name = names[group.name]
                scope = scopes.get(name[0], "atoms")
                rows, weight = state[scope].double().mean(1), weights[scope].double()
                found[name] = float(weight @ rows / weight.sum())
    return found


@MERGED
@pytest.mark.parametrize("case", golden_cases())
def test_the_published_network(network, case, merge_tolerance, caplog):
    encoder, heads, _ = network
    recipe = exact_or_merged(merge_tolerance, canonical=case["use_canonize"])
    batch = batch_of([crystal_of(case["atoms"])], recipe, torch.float32)
    assert not caplog.records
    rows, cosine = copies(batch), batch.angles.cosine
    assert [float(rows[scope].sum()) for scope in ("atoms", "bonds", "angles")] == [
        case["n_nodes"],
        case["n_edges"],
        case["n_line_edges"],
    ]
    assert float(rows["angles"] @ cosine) == pytest.approx(case["sum_cos"], rel=1e-5, abs=1e-3)
    assert float(rows["angles"] @ cosine**2) == pytest.approx(case["sum_cos2"], rel=1e-5)
    with torch.no_grad():
        crystal = encoder(batch).crystal
        for kind, some in heads.items():
            found = [head(crystal).item() for head in some]
            assert_allclose(found, np.ravel(case[kind]), rtol=3e-6, err_msg=kind)
    assert means_inside(encoder, batch) == pytest.approx(
        case["intermediate_means"], rel=5e-6, abs=1e-6
    )


def test_layout_is_the_published_one(published):
    model = import_alignn(published, SPEC, "small")
    assert list(export_alignn(model, "m")["model"]) == list(published["model"])
