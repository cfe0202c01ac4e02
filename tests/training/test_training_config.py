"""Settings: what is refused, and that none is without effect."""

import ast
from functools import cache
from pathlib import Path

import pytest
from pydantic import ValidationError

import epitaxy
from epitaxy.training.config import TrainingConfig

PACKAGE = Path(epitaxy.__file__).parent


@cache
def attributes_read() -> set[str]:
    """Names of all attributes that the library reads, apart from the class itself."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
                owner = getattr(node.value, "id", getattr(node.value, "attr", ""))
                if owner in {"config", "training"}:
                    found.add(node.attr)
    return found


@pytest.mark.parametrize("field", TrainingConfig.model_fields)
def test_every_setting_is_read(field):
    assert field in attributes_read()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"learning_rat": 1e-3}, "learning_rat"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"learning_rate": 0.0}, "greater than 0"),
        ({"optimiser": "lion"}, "'adam', 'adamw' or 'sgd'"),
        ({"schedule": "linear"}, "'constant', 'cosine', 'one-cycle' or 'triangular'"),
        ({"loss": "mae"}, "'mse', 'l1', 'huber', 'robust-l1' or 'robust-l2'"),
        ({"momentum": 1.0}, "less than 1"),
        ({"logger": ("csv",)}, "'tensorboard', 'wandb' or 'mlflow'"),
        ({"schedule": "cosine", "minimum_rate": 0.1}, "must not exceed learning_rate"),
        ({"minimum_rate": 1e-4}, "belongs to the cosine schedule"),
        ({"schedule": "constant", "schedule_epochs": 3}, "'constant' has no length"),
        ({"huber_delta": 2.0}, "belongs to the huber loss"),
    ],
)
def test_what_is_refused(settings, match):
    with pytest.raises(ValidationError, match=match):
        TrainingConfig(**settings)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ValidationError, match="3 validation errors"):
        TrainingConfig(epochs=-1, batch_size=0, colour="red")


def test_settings_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        TrainingConfig().epochs = 3


def test_settings_survive_json():
    config = TrainingConfig(epochs=7, logger=("tensorboard",), schedule="cosine", minimum_rate=1e-4)
    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config
