"""Named training settings of every architecture: possible, and what the papers say."""

import pytest
import torch

from epitaxy.core.errors import InputError
from epitaxy.models import ENCODERS
from epitaxy.models.alignn import ALIGNN
from epitaxy.models.cgcnn import CGCNN
from epitaxy.training.config import TrainingConfig

EACH = pytest.mark.parametrize(
    ("name", "recipe"), [(name, recipe) for name in ENCODERS for recipe in ENCODERS[name].recipes]
)


@EACH
@pytest.mark.parametrize("rows", [1, 100, 100_000])
@pytest.mark.parametrize("fine_tuning", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_every_recipe_is_possible(name, recipe, rows, fine_tuning, several):
    chosen = ENCODERS[name].training_recipe(recipe, several=several)
    ENCODERS[name].default_head.model_copy(update=dict(chosen.head))
    TrainingConfig(**chosen.settings(rows, fine_tuning=fine_tuning))
    assert {"balance", "sampling_temperature"}.isdisjoint(chosen.training)
    graph = chosen.graph or ENCODERS[name].default_recipe
    with torch.device("meta"):  # without memory: published networks are large
        assert ENCODERS[name](**chosen.encoder, recipe=graph).recipe == graph


@EACH
def test_rows_are_in_ascending_order(name, recipe):
    most = [rows for rows, _ in ENCODERS[name].training_recipe(recipe).by_rows]
    assert most == sorted(set(most))


@pytest.mark.parametrize("name", ENCODERS)
def test_names_of_recipes(name):
    assert "default" in ENCODERS[name].recipes
    with pytest.raises(InputError, match=r"Unknown recipe 'publishd'; .* Did you mean 'published'"):
        ENCODERS[name].training_recipe("publishd")


@pytest.mark.parametrize(
    ("records", "batch"),
    [(10, 1), (100, 2), (200, 16), (500, 16), (800, 16), (941, 16), (993, 16), (10_000, 64)],
)
def test_batches_of_devi_2024(records, batch):
    """A tenth of the records of a file is for validation."""
    recipe = ALIGNN.training_recipe("published")
    assert recipe.settings(round(0.9 * records))["batch_size"] == batch


def test_published_settings_of_fine_tuning():
    alignn, cgcnn = (kind.training_recipe("published") for kind in (ALIGNN, CGCNN))
    assert "published_batchnorm" not in alignn.settings(9)
    assert alignn.settings(9, fine_tuning=True)["published_batchnorm"] is True
    assert alignn.settings(9, fine_tuning=True)["batch_size"] == 1
    assert cgcnn.settings(9)["optimiser"] == "sgd"
    assert cgcnn.settings(9, fine_tuning=True)["optimiser"] == "adam"


def test_published_settings_of_several_properties():
    """A model of several properties is trained, and carried to one, in another way."""
    recipe = ALIGNN.training_recipe("published", several=True)
    before, after = recipe.settings(1000), recipe.settings(1000, fine_tuning=True)
    assert (before["batch_size"], before["balance"]) == (4, "published")
    assert (after["batch_size"], after["epochs"], after["weights"]) == (16, 500, "last")
    assert not recipe.graph.canonical
    assert ALIGNN.training_recipe("published").graph.canonical


@pytest.mark.parametrize("name", ENCODERS)
def test_only_several_properties_are_weighed(name):
    one = ENCODERS[name].training_recipe("default")
    several = ENCODERS[name].training_recipe("default", several=True)
    assert "balance" not in one.settings(100) | one.settings(100, fine_tuning=True)
    assert several.settings(100)["balance"] == "properties"
    after = TrainingConfig(**several.settings(100, fine_tuning=True))
    assert (after.balance, after.sampling_temperature) == ("labels", None)
