"""`train`: a model from scratch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from epitaxy.batches.scalers import Scaling, TargetScaler
from epitaxy.core.properties import PropertySpec
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models import ENCODERS
from epitaxy.models.encoder import Encoder
from epitaxy.models.heads import Head, HeadConfig
from epitaxy.models.property_model import PropertyModel
from epitaxy.models.training_recipe import TrainingRecipe
from epitaxy.recipes.data import data_name, prepare, read_targets
from epitaxy.recipes.exclusions import exclusion_settings, resolve_targets, without_rows
from epitaxy.recipes.options import (
    Settings,
    keywords,
    read_settings,
    training_configs,
    with_defaults,
)
from epitaxy.recipes.running import Run, as_list, common_settings, describe, execute
from epitaxy.recipes.workspace import run_folder
from epitaxy.structures.grouping import AUTO
from epitaxy.structures.selecting import Rows
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
    group_by: str = AUTO,
    unit: str | None = None,
    transform: str | None = None,
    recipe: str = "default",
    scaling: Scaling | None = None,
    graph: Settings = None,
    encoder: Settings = None,
    head: Settings = None,
    training: Settings = None,
    units: str = "physical",
    exclude_property: Sequence[str] = (),
    exclude_rows: Rows | None = None,
    exclude_like: Sequence[str | Path | StructureTable] = (),
    overwrite: bool = False,
    **options: Any,
) -> Run:
    """Train a model from scratch and write its run folder.

    Args:
        data: whatever `read_table` reads.
        target: property to learn, or several (one head each; missing labels are masked); ``*``
            stands for all, ``gap_*`` for those that fit.
        out: run folder to write.
        model: name of the architecture.
        split: see `resolve_split`; ``random`` uses the seed of the run.
        group_by: what stays together where rows are drawn: ``auto``, ``formula``, ``system``,
            ``prototype``, ``structure``, ``none`` or a column, see `choose_grouping`.
        unit: unit of the target, where the data does not say it.
        transform: identity, log or log1p: scale on which the target is learned.
        recipe: how the architecture is trained: ``default``, or ``published`` for the settings of
            the paper. It decides what is not given, graphs and scaling included.
        scaling: standardise (the default), min-max or none, with statistics of the training part.
        graph: settings of `GraphRecipe` that differ from those of the architecture.
        encoder: settings of the architecture.
        head: settings of `HeadConfig` that differ from those of the architecture.
        training: settings of `TrainingConfig`, or a YAML file with them.
        units: ``physical``, or ``published`` to be told the errors also on the scale of a paper
            (`Run.published`), which a column TARGET_published of the data shows.
        exclude_property: properties that a pattern in ``target`` does not mean.
        exclude_rows: crystals to leave out, see `select_ids`.
        exclude_like: tables whose materials are left out, whatever their ids, for example the
            test part of the set on which the model will be fine-tuned.
        overwrite: replace a finished run with other settings.
        options: single settings of `TrainingConfig` (epochs, batch_size, seed, device, ...).

    Returns:
        The finished run; its metrics are those of the written folder.

    Raises:
        InputError: something given is wrong; nothing was overwritten.
    """
    out = run_folder(out, [data, split])
    kind = ENCODERS[model]
    read, names = resolve_targets(data, as_list(target), exclude_property)
    chosen = kind.training_recipe(recipe, several=len(names) > 1)
    config_for = training_configs(DEFAULTS, chosen, training, targets=names, **options)
    graphs = graph_recipe(kind, chosen, graph)
    head_config = with_defaults(kind.default_head, {**chosen.head, **read_settings(head)}, "head")
    shape = keywords(kind, {**chosen.encoder, **read_settings(encoder)}, f"{model} encoder")
    scaling = scaling or chosen.scaling
    table, per_unit = read_targets(read, names, units, group_by, unit=unit, transform=transform)
    table = without_rows(table, exclude_rows, exclude_like)
    labelled = prepare(table, names, split, group_by, graphs, seed=config_for(1).seed)
    config = config_for(len(labelled.ids("train")))

    def build(scalers: dict[str, TargetScaler]) -> tuple[PropertyModel, TransferPlan]:
        network = kind(**shape, recipe=graphs)
        heads = new_heads(network.width, labelled.specs, scalers, head_config)
        made = PropertyModel(model, network, heads, {"data": data_name(data)})
        return made, scratch_plan(made)

    settings = {
        **common_settings(
            labelled,
            source=data_name(data),
            title=f"{model} from scratch: {', '.join(names)}",
            recipe=recipe,
            scaling=scaling,
            graph=graphs,
            per_unit=per_unit,
        ),
        **exclusion_settings(exclude_rows, exclude_like),
        "command": "train",
        "model": model,
        "encoder": shape,
        "head": head_config.model_dump(mode="json"),
    }
    resolved = describe(labelled, settings, config)
    return execute(labelled, build, resolved, config, out, scaling=scaling, overwrite=overwrite)


def new_heads(
    width: int,
    specs: Mapping[str, PropertySpec],
    scalers: Mapping[str, TargetScaler],
    config: HeadConfig,
) -> dict[str, Head]:
    """Return one head per property."""
    return {name: Head(width, spec, scalers[name], config) for name, spec in specs.items()}


def scratch_plan(model: PropertyModel) -> TransferPlan:
    """Return the plan in which everything is new and trains."""
    rows = tuple(PlanRow(group=g.name, origin="new") for g in model.depth_groups())
    return TransferPlan(strategy="scratch", rows=rows)


def graph_recipe(kind: type[Encoder], chosen: TrainingRecipe, given: Settings) -> GraphRecipe:
    """Return the graphs of a new network; what is given replaces what the recipe says.

    Raises:
        InputError: wrong settings, or graphs with which the architecture can do nothing.
    """
    graphs = with_defaults(chosen.graph or kind.default_recipe, given, "graph")
    kind.check_graphs(graphs)
    return graphs
