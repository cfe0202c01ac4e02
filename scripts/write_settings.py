"""Write docs/settings.md from the settings classes, so that the page cannot go stale.

python scripts/write_settings.py
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from epitaxy.models import ENCODERS
from epitaxy.models.training_recipe import TrainingRecipe
from epitaxy.training.config import TrainingConfig

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
HEAD = """# Training settings

Give one with `--set KEY=VALUE`, several in a YAML file with `--config FILE`, or as keyword arguments from Python. Unknown keys, wrong types
and combinations that make no sense are refused, all at once. This page is written by `python scripts/write_settings.py`.

| setting | default | allowed | meaning |
|---|---|---|---|
"""
RECIPES = """
## Recipes

`--recipe NAME` of `epitaxy train` and `epitaxy finetune` (`recipe="NAME"` in Python) chooses settings that belong to an architecture. They take
the place of the defaults above, and what you give takes the place of theirs. `default` is used without asking; `published` repeats the
paper: Chang 2022 for CGCNN, Devi 2024 (single properties) for ALIGNN, Hoffmann 2023 for CGAT (`released`: what its code does). Fine-tuning starts from `learning_rate = 0.001` where neither you nor the
recipe names one.

| model | recipe | settings |
|---|---|---|
"""
UNITS = """
Of Devi 2024 this is not repeated: they left out the last incomplete batch, in training and in validation; their weight decay also acts on the
normalisation scales of the embeddings; all their runs share one seed, hence the initial weights; and they scaled the target with the
extremes of all data, test rows included, where ours are those of the training rows. Their pre-training on 941 rows had the rate 1e-4.

## Published units

Errors are told in physical units. `--units published` of `epitaxy train`, `epitaxy finetune` and `epitaxy evaluate` (`units="published"` in Python) also tells
them on the scale of a paper, for example the targets between -1 and 1 of Devi 2024. The scale is taken from the data: beside the
target `gap` there must be a column `gap_published` with the published values, an affine map of it (to 1e-6 of its range). MAE and RMSE are divided
by the physical units that make 1.0 there, R2 is the same. `metrics.json` stays physical; `config.yaml` remembers the divisor, and `Run.published` has
the divided numbers.
"""


def rows(kind: type[BaseModel]) -> list[str]:
    """Return one line of the table per field."""
    lines = []
    for name, field in kind.model_fields.items():
        schema = kind.model_json_schema()["properties"][name]
        meaning = " ".join((field.description or "").split())
        lines.append(f"| `{name}` | {shown(field.default)} | {allowed(schema)} | {meaning} |")
    return lines


def shown(default: object) -> str:
    """Return a default value as text."""
    return "none" if default in {None, ()} else f"`{default}`"


def allowed(schema: dict[str, object]) -> str:
    """Return what a JSON schema allows, in short."""
    options = schema.get("anyOf") or [schema.get("items", schema)]
    assert isinstance(options, list)
    option = options[0]
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in option["enum"])
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {option[key]:g}" for key, sign in signs.items() if key in option]
    return " ".join([str(option.get("type", "")), *bounds])


def recipe_rows() -> list[str]:
    """Return one line of the table per recipe of an architecture."""
    return [
        f"| `{model}` | `{name}` | {described(recipe)} |"
        for model in ENCODERS
        for name, recipe in ENCODERS[model].recipes.items()
    ]


def described(recipe: TrainingRecipe) -> str:
    """Return a recipe as text."""
    parts = [
        ("", recipe.training),
        *((f"up to {n} training rows: ", few) for n, few in recipe.by_rows),
        ("fine-tuning: ", recipe.fine_tuning),
        ("encoder: ", recipe.encoder),
        ("graph: ", recipe.graph.model_dump(exclude_defaults=True) if recipe.graph else {}),
        ("", {} if recipe.scaling == TrainingRecipe.scaling else {"scaling": recipe.scaling}),
    ]
    said = [
        words + ", ".join(f"`{key} = {value}`" for key, value in settings.items())
        for words, settings in parts
        if settings
    ]
    return "; ".join(said) or "those above"


def page() -> str:
    """Return the whole page."""
    tables = HEAD + "\n".join(rows(TrainingConfig)) + "\n" + RECIPES
    return tables + "\n".join(recipe_rows()) + "\n" + UNITS


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
