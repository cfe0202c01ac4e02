"""`finetune`: carry a trained model to a new property."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from epitaxy.batches.scalers import TargetScaler
from epitaxy.checkpoints.model_files import load_model, model_folder
from epitaxy.core.errors import InputError
from epitaxy.core.hashing import content_hash
from epitaxy.core.properties import PropertySpec
from epitaxy.models.heads import Head
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.data import data_name, prepare, read_targets
from epitaxy.recipes.leakage import inherit
from epitaxy.recipes.options import Settings, training_configs
from epitaxy.recipes.running import Run, common_settings, describe, execute, parameter_counts
from epitaxy.recipes.workspace import run_folder
from epitaxy.structures.grouping import AUTO
from epitaxy.structures.splits import Split
from epitaxy.structures.table import StructureTable
from epitaxy.transfer.plan import TransferPlan, make_plan

DEFAULTS: dict[str, Any] = {"learning_rate": 1e-3}
"""Training settings that differ from those of `TrainingConfig`."""
FRESH = "new-head:128-128"
"""Added to the strategy where a model of several properties has no head to carry over: the two
extra layers of Devi 2024."""


def finetune(
    data: str | Path | StructureTable,
    target: str,
    from_model: str | Path,
    out: str | Path,
    *,
    strategy: str = "full",
    split: str | Path | Split | Mapping[str, Sequence[str]] = "random",
    group_by: str = AUTO,
    unit: str | None = None,
    transform: str | None = None,
    recipe: str = "default",
    scaling: str | None = None,
    training: Settings = None,
    units: str = "physical",
    overwrite: bool = False,
    **options: Any,
) -> Run:
    """Fine-tune a trained model on a property and write the run folder.

    The graphs are those the model was made for. The scale of the target is fitted anew on the
    training part, unless ``scaling`` is ``source``.

    Args:
        data: whatever `read_table` reads.
        target: property to learn.
        from_model: run folder or ``zoo:NAME``.
        out: run folder to write.
        strategy: name of a strategy, with an argument where it takes one (``freeze-to:conv-2``),
            and ``+new-head`` where the copied head is to be replaced. A model of several
            properties gets a new head with two hidden layers (``+new-head:128-128``) unless its
            head of this property is to go on: ``+inherit-head``.
        split: see `resolve_split`; ``random`` uses the seed of the run.
        group_by: what stays together where rows are drawn: ``auto``, ``formula``, ``system``,
            ``prototype``, ``structure``, ``none`` or a column, see `choose_grouping`.
        unit: unit of the target, where the data does not say it.
        transform: identity, log or log1p: scale on which the target is learned.
        recipe: how the architecture is trained: ``default``, or ``published`` for the settings of
            the paper. It decides what is not given, the scaling included.
        scaling: standardise (the default), min-max or none, with statistics of the training part;
            or ``source`` for those of the source model (Hoffmann 2023, code).
        training: settings of `TrainingConfig`, or a YAML file with them.
        units: ``physical``, or ``published`` to be told the errors also on the scale of a paper
            (`Run.published`), which a column TARGET_published of the data shows.
        overwrite: replace a finished run with other settings.
        options: single settings of `TrainingConfig` (epochs, batch_size, seed, device, ...).

    Returns:
        The finished run.

    Raises:
        InputError: something given is wrong; nothing was overwritten.
    """
    out = run_folder(out, [data, split, from_model])
    source = load_model(from_model)
    chosen = source.encoder.training_recipe(recipe, several=len(source.names) > 1)
    config_for = training_configs(
        DEFAULTS, chosen, training, targets=[target], fine_tuning=True, **options
    )
    scaling = scaling or chosen.scaling
    plan = plan_for(source, target, strategy)
    table, per_unit = read_targets(data, [target], units, group_by, unit=unit, transform=transform)
    if plan.inherits_head:
        check_transform(source.head(target), table.properties[target])
    needs, seed = source.encoder.needs, config_for(1).seed
    labelled = prepare(table, [target], split, group_by, source.recipe, seed=seed, needs=needs)
    labelled = inherit(labelled, [from_model])
    labelled = replace(labelled, source_scalers={target: carried_head(source, target).scaler})
    config = config_for(len(labelled.ids("train")))
    parent = _origin(from_model)

    def build(scalers: dict[str, TargetScaler]) -> tuple[PropertyModel, TransferPlan]:
        spec = labelled.specs[target]
        made = carry_over(source, spec, scalers[target], inherit=plan.inherits_head)
        made.provenance = {"data": data_name(data), "parent": {**parent, **source.provenance}}
        return made, plan

    settings = {
        **common_settings(
            labelled,
            source=data_name(data),
            title=f"{target} from {Path(str(from_model)).name}, strategy {plan.strategy}",
            recipe=recipe,
            scaling=scaling,
            graph=source.recipe,
            per_unit=per_unit,
        ),
        "command": "finetune",
        "model": source.architecture,
        "parent": parent,
        "strategy": plan.strategy,
    }
    resolved = describe(labelled, settings, config)
    return execute(labelled, build, resolved, config, out, scaling=scaling, overwrite=overwrite)


def _origin(model: str | Path) -> dict[str, str]:
    weights = (model_folder(model) / "model.safetensors").read_bytes()
    return {"from": str(model), "weights": content_hash(weights)}


def plan_for(source: PropertyModel, target: str | None, strategy: str) -> TransferPlan:
    """Return the transfer plan of a strategy for carrying a model to a property (None: any).

    Raises:
        InputError: the strategy does not fit the model, or there is no head to inherit.
    """
    plan = make_plan(strategy, source.depth_groups())
    if plan.inherits_head and target is not None and target not in source.names:
        raise InputError(
            f"The model has no head for {target!r} to inherit, only for "
            f"{', '.join(map(repr, source.names))}; leave '+inherit-head' out."
        )
    if len(source.names) > 1 and plan.head is None and not plan.inherits_head:
        return make_plan(f"{strategy}+{FRESH}", source.depth_groups())
    return plan


def check_transform(head: Head, spec: PropertySpec) -> None:
    """Make sure that a head can be moved to the learning scale of a property.

    Raises:
        InputError: the scales differ by more than shift and factor.
    """
    if spec.transform != head.scaler.transform:
        raise InputError(
            f"The head of {head.spec.name!r} was learned on the scale {head.scaler.transform!r} "
            f"and cannot be carried to {spec.transform!r}; use the same transform, or a strategy "
            "without 'inherit-head'."
        )


def carry_over(
    source: PropertyModel, spec: PropertySpec, scaler: TargetScaler, *, inherit: bool = False
) -> PropertyModel:
    """Return a model with the encoder of ``source`` and one head for a new property.

    The head's weights are those of the source's head for the same property, else of its first.
    With ``inherit`` they are moved to the new scale, so that predictions stay what they were.
    """
    old = carried_head(source, spec.name)
    head = Head(source.encoder.width, spec, scaler, old.config)
    head.load_state_dict(old.state_dict())
    if inherit:
        head.rescale(old.scaler)
    return PropertyModel(source.architecture, source.encoder, {spec.name: head})


def carried_head(source: PropertyModel, target: str) -> Head:
    """Return the head that goes on: that of the same property, else the first."""
    return source.head(target if target in source.names else source.names[0])


def show_plan(from_model: str | Path, strategy: str = "full", *, target: str | None = None) -> str:
    """Return the plan of carrying a model to a property as a printable table."""
    model = load_model(from_model)
    return plan_for(model, target, strategy).table(parameter_counts(model))
