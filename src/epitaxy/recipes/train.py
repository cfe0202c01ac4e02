"""`train`: a model from scratch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from epitaxy.batches.scalers import Scaling, TargetScaler
from epitaxy.core.files import check_output_folder
from epitaxy.models import ENCODERS
from epitaxy.models.heads import Head
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.data import data_name, prepare
from epitaxy.recipes.options import (
    Settings,
    describe_target,
    keywords,
    read_settings,
    training_config,
    with_defaults,
)
from epitaxy.recipes.running import Run, as_list, describe, execute
from epitaxy.structures.reading import read_table
from epitaxy.structures.splits import Split
from epitaxy.structures.table import StructureTable
from epitaxy.transfer.plan import PlanRow, TransferPlan

DEFAULTS: dict[str, Any] = {}
"""Training settings that differ from those of `TrainingConfig`."""


def train(
    data: str | Path | StructureTable,
    target: str | Sequence[str],
    out: str | Path,
    *,
    model: str = "cgcnn",
    split: str | Path | Split | Mapping[str, Sequence[str]] = "random",
    unit: str | None = None,
    transform: str | None = None,
    scaling: Scaling = "standardise",
    graph: Settings = None,
    encoder: Settings = None,
    head: Settings = None,
    training: Settings = None,
    overwrite: bool = False,
    **options: Any,
) -> Run:
    """Train a model from scratch and write its run folder.

    Args:
        data: whatever `read_table` reads.
        target: property to learn, or several (one head each; missing labels are masked).
        out: run folder to write.
        model: name of the architecture.
        split: see `resolve_split`; ``random`` groups by formula and uses the seed of the run.
        unit: unit of the target, where the data does not say it.
        transform: identity, log or log1p: scale on which the target is learned.
        scaling: standardise, min-max or none, with statistics of the training part.
        graph: settings of `GraphRecipe` that differ from those of the architecture.
        encoder: settings of the architecture.
        head: settings of `HeadConfig` that differ from those of the architecture.
        training: settings of `TrainingConfig`, or a YAML file with them.
        overwrite: replace a finished run with other settings.
        options: single settings of `TrainingConfig` (epochs, batch_size, seed, device, ...).

    Returns:
        The finished run; its metrics are those of the written folder.

    Raises:
        InputError: something given is wrong; nothing was overwritten.
    """
    out = check_output_folder(out)
    config = training_config(DEFAULTS, training, **options)
    kind = ENCODERS[model]
    recipe = with_defaults(kind.default_recipe, graph, "graph")
    head_config = with_defaults(kind.default_head, head, "head")
    shape = keywords(kind, read_settings(encoder), f"{model} encoder")
    names = as_list(target)
    table = read_table(data, target=names)
    for name in names:
        table = describe_target(table, name, unit=unit, transform=transform)
    labelled = prepare(table, names, split, recipe, seed=config.seed)

    def build(scalers: dict[str, TargetScaler]) -> tuple[PropertyModel, TransferPlan]:
        network = kind(**shape, recipe=recipe)
        heads = {
            name: Head(network.width, spec, scalers[name], head_config)
            for name, spec in labelled.specs.items()
        }
        made = PropertyModel(model, network, heads, {"data": data_name(data)})
        rows = tuple(PlanRow(group=g.name, origin="new") for g in made.depth_groups())
        return made, TransferPlan(strategy="scratch", rows=rows)

    settings = {
        "command": "train",
        "title": f"{model} from scratch: {', '.join(names)}",
        "data": data_name(data),
        "target": names,
        "model": model,
        "scaling": scaling,
        "split": str(split) if isinstance(split, str | Path) else "given",
        "graph": recipe.model_dump(mode="json"),
        "encoder": shape,
        "head": head_config.model_dump(mode="json"),
        "properties": {n: s.model_dump(mode="json") for n, s in labelled.specs.items()},
    }
    resolved = describe(labelled, settings, config)
    return execute(labelled, build, resolved, config, out, scaling=scaling, overwrite=overwrite)
