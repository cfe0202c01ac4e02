"""`mixture`: learn a property from the crystal vectors of many pre-trained models at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from epitaxy.batches.inputs import Inputs
from epitaxy.batches.scalers import Scaling, TargetScaler
from epitaxy.checkpoints.model_files import load_model, model_folder, named_models
from epitaxy.core.errors import InputError, unknown
from epitaxy.core.hashing import content_hash
from epitaxy.descriptors.table import feature_names
from epitaxy.models.fixed_vectors import FixedVectors
from epitaxy.models.heads import Head, HeadConfig
from epitaxy.models.mixture import Expert, Mixture
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.data import Labelled, data_name, prepare, read_targets
from epitaxy.recipes.leakage import inherit
from epitaxy.recipes.options import Settings, training_configs
from epitaxy.recipes.running import Run, common_settings, describe, execute
from epitaxy.recipes.workspace import run_folder
from epitaxy.structures.grouping import AUTO
from epitaxy.structures.splits import Split
from epitaxy.structures.table import StructureTable
from epitaxy.transfer.plan import PlanRow, TransferPlan, make_plan

DEFAULTS: dict[str, Any] = {"learning_rate": 1e-3}
"""Training settings that differ from those of `TrainingConfig`."""
DESCRIPTOR = "descriptors:"
COMPATIBLE: dict[str, dict[str, Any]] = {"": {}, "chang2022": {"published_batchnorm": True}}


class _Source(NamedTuple):
    """What an expert is made of, and which part of it trains."""

    expert: Expert
    rows: tuple[PlanRow, ...]
    origin: dict[str, str]


def mixture(
    data: str | Path | StructureTable,
    target: str,
    experts: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    k: int | None = None,
    aggregation: str = "add",
    gate: str = "scores",
    strategy: str = "last-conv",
    strength: float = 0.01,
    hidden: Sequence[int] | None = None,
    split: str | Path | Split | Mapping[str, Sequence[str]] = "random",
    group_by: str = AUTO,
    unit: str | None = None,
    transform: str | None = None,
    recipe: str = "default",
    compat: str = "",
    scaling: Scaling | None = None,
    training: Settings = None,
    units: str = "physical",
    overwrite: bool = False,
    **options: Any,
) -> Run:
    """Train a gate, a head and the last layers of many pre-trained models on a property.

    Source: Chang, Wang and Ertekin, npj Comput. Mater. 8, 242 (2022).

    Args:
        data: whatever `read_table` reads.
        target: property to learn.
        experts: run folders, ``zoo:NAME``, ``zoo:*`` (all shipped models) or ``descriptors:NAME``
            (or ``descriptors:NAME+NAME``: side by side, one expert); a list, or one text with
            commas.
        out: run folder to write.
        k: how many experts count, chosen by their scores while training; None lets all count.
        aggregation: ``add``, ``concat`` or ``ensemble``, see `Mixture`.
        gate: ``scores``, or ``composition`` for weights that depend on the elements.
        strategy: what trains of each expert, as in `finetune` (``head``: nothing of it).
        strength: factor of the regulariser (a.a - 1)^2.
        hidden: widths of the hidden layers between the vectors and the number, in the head or, of
            an ensemble, in the network of each expert; None takes those of the paper, (32, 32).
        split: see `resolve_split`; ``random`` uses the seed of the run.
        group_by: what stays together where rows are drawn: ``auto``, ``formula``, ``system``,
            ``prototype``, ``structure``, ``none`` or a column, see `choose_grouping`.
        unit: unit of the target, where the data does not say it.
        transform: identity, log or log1p: scale on which the target is learned.
        recipe: ``default``, or ``published`` for the hyperparameters of the paper.
        compat: ``chang2022`` repeats accidents of the published code: label statistics with zeros
            for all rows outside training and validation, and normalisation statistics of frozen
            layers that go on moving.
        scaling: standardise (the default), min-max or none, with statistics of the training part.
        training: settings of `TrainingConfig`, or a YAML file with them.
        units: ``physical``, or ``published`` to be told the errors also on the scale of a paper.
        overwrite: replace a finished run with other settings.
        options: single settings of `TrainingConfig` (epochs, batch_size, seed, device, ...).

    Returns:
        The finished run; ``run.model.encoder.gate_weights()`` says what each expert counts.

    Raises:
        InputError: something given is wrong; nothing was overwritten.
    """
    out = run_folder(out, [data, split, experts])
    sources = read_experts(experts, strategy)
    chosen = Mixture.training_recipe(recipe)
    options = {**_compatible(compat), **options}
    config_for = training_configs(DEFAULTS, chosen, training, targets=[target], **options)
    scaling = scaling or ("zero-filled" if compat else chosen.scaling)
    shape: dict[str, Any] = {"aggregation": aggregation, "gate": gate, "strength": strength}
    shape |= {"k": len(sources) if k is None else k} | _layers(hidden)
    whole = [source.expert for source in sources]
    sketch = Mixture(experts=whole, **shape)
    table, per_unit = read_targets(data, [target], units, group_by, unit=unit, transform=transform)
    needs, seed = sketch.needs, config_for(1).seed
    labelled = prepare(table, [target], split, group_by, sketch.recipe, seed=seed, needs=needs)
    labelled = inherit(labelled, _models(sources))
    config = config_for(len(labelled.ids("train")))

    def build(scalers: dict[str, TargetScaler]) -> tuple[PropertyModel, TransferPlan]:
        encoder = _encoder(whole, shape, labelled)
        head = _head(encoder, labelled, target, scalers[target])
        origin = {"data": data_name(data), "experts": _origins(sources)}
        made = PropertyModel("mixture", encoder, {target: head}, origin)
        return made, _plan(made, sources)

    settings = {
        **common_settings(
            labelled,
            source=data_name(data),
            title=f"{target} from a mixture of {len(sources)} experts, k = {shape['k']}",
            recipe=recipe,
            scaling=scaling,
            graph=sketch.recipe,
            per_unit=per_unit,
        ),
        **_settings(sources, shape, strategy, compat),
    }
    resolved = describe(labelled, settings, config)
    return execute(labelled, build, resolved, config, out, scaling=scaling, overwrite=overwrite)


def read_experts(experts: str | Path | Sequence[str | Path], strategy: str) -> list[_Source]:
    """Load all experts and decide what trains of each.

    Raises:
        InputError: a name is not known, there is none at all, or the strategy does not fit one.
    """
    models = named_models(experts)
    if not models:
        raise InputError("No expert was named: give run folders, zoo:NAME or descriptors:NAME.")
    return [_source(name, model, strategy) for name, model in models.items()]


def _source(name: str, model_name: str, strategy: str) -> _Source:
    if model_name.startswith(DESCRIPTOR):
        kind = model_name.removeprefix(DESCRIPTOR)
        vectors = FixedVectors(descriptor=kind, width=len(feature_names(kind)))
        frozen = (PlanRow(group="vectors", trainable=False),)
        return _Source(Expert(kind, "descriptor", vectors, frozen=1), frozen, {"descriptor": kind})
    model = load_model(model_name)
    plan = make_plan(strategy, model.depth_groups())
    rows = plan.rows[: len(model.encoder.depth_groups())]
    frozen_groups = next((i for i, row in enumerate(rows) if row.trainable), len(rows))
    head = model.head(model.names[0]).config
    weights = content_hash((model_folder(model_name) / "model.safetensors").read_bytes())
    act = head.act if head.first else "none"
    expert = Expert(name, model.architecture, model.encoder, act, frozen_groups)
    return _Source(expert, rows, {"from": model_name, "weights": weights})


def _compatible(compat: str) -> dict[str, Any]:
    if compat not in COMPATIBLE:
        raise unknown("compat", compat, [name for name in COMPATIBLE if name])
    return COMPATIBLE[compat]


def _layers(hidden: Sequence[int] | None) -> dict[str, list[int]]:
    if hidden is None:
        return {}
    if not all(isinstance(width, int) and width > 0 for width in hidden):
        raise InputError(
            f"hidden = {hidden!r} is not allowed; give widths of at least 1, such as (256, 256)."
        )
    return {"hidden": list(hidden)}


def _models(sources: Sequence[_Source]) -> list[str]:
    return [source.origin["from"] for source in sources if "from" in source.origin]


def _origins(sources: Sequence[_Source]) -> dict[str, dict[str, str]]:
    return {source.expert.name: source.origin for source in sources}


def _settings(
    sources: Sequence[_Source], shape: Mapping[str, Any], strategy: str, compat: str
) -> dict[str, Any]:
    """Return what config.yaml says of the experts."""
    return {
        "command": "mixture",
        "model": "mixture",
        "experts": _origins(sources),
        "strategy": strategy,
        **shape,
        "compat": compat,
    }


def _encoder(experts: Sequence[Expert], shape: Mapping[str, Any], data: Labelled) -> Mixture:
    """Return the mixture, its descriptors standardised over the training rows."""
    for expert in experts:
        if isinstance(expert.encoder, FixedVectors):
            assert isinstance(data.store, Inputs)
            rows = data.store.subset(data.ids("train")).rows
            expert.encoder.fit(data.store.vectors_of(expert.encoder.table, rows))
    return Mixture(experts=experts, **shape)


def _head(encoder: Mixture, data: Labelled, target: str, scaler: TargetScaler) -> Head:
    """Return a new head; the numbers of an ensemble pass through it unchanged at first."""
    spec = data.specs[target]
    if encoder.aggregation != "ensemble":
        config = encoder.default_head.model_copy(update={"hidden": encoder.hidden})
        return Head(encoder.width, spec, scaler, config)
    head = Head(1, spec, scaler, HeadConfig(hidden=(), first=False))
    torch.nn.init.ones_(head.mlp.output.weight)
    torch.nn.init.zeros_(head.mlp.output.bias)
    return head


def _plan(model: PropertyModel, sources: Sequence[_Source]) -> TransferPlan:
    """Return the plan: what trains of each expert, and all that is new."""
    of_experts = {
        f"{source.expert.name}/{row.group}": row for source in sources for row in source.rows
    }
    rows = [
        of_experts[group.name].model_copy(update={"group": group.name})
        if group.name in of_experts
        else PlanRow(group=group.name, origin="new")
        for group in model.depth_groups()
    ]
    return TransferPlan(strategy="mixture", rows=tuple(rows))
