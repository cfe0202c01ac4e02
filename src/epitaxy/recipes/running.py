"""What training and fine-tuning share: run a built model in a workspace and write the folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning_fabric import Fabric

from epitaxy.batches.scalers import TargetScaler
from epitaxy.checkpoints.model_files import load_model, save_model
from epitaxy.core.errors import InputError
from epitaxy.core.files import atomic_file, write_json
from epitaxy.core.hashing import content_hash
from epitaxy.evaluation.predicting import BATCH, predict_loader, prediction_frame
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.data import PARTS, Labelled, composition_groups, write_dropped
from epitaxy.recipes.workspace import PUBLISHED, is_finished, read_config, workspace
from epitaxy.reports.run_report import write_run_report
from epitaxy.results.metrics import FILE, metrics, read_metrics, rescaled
from epitaxy.results.predictions import read_predictions, write_predictions
from epitaxy.training.caching import cache_prefix
from epitaxy.training.config import TrainingConfig
from epitaxy.training.loop import Job, fit
from epitaxy.training.losses import SQUARED, learned_weights, make_loss
from epitaxy.training.optimisers import make_optimiser
from epitaxy.training.resume import FILE as RESUME_FILE
from epitaxy.training.threads import threads_for
from epitaxy.transfer.plan import TransferPlan, apply_plan

logger = logging.getLogger("epitaxy")

Build = Callable[[dict[str, TargetScaler]], tuple[PropertyModel, TransferPlan]]
"""Fitted scalers -> model and what is to be trained of it."""
_writes_reports: ContextVar[bool] = ContextVar("writes_reports", default=True)


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    metrics: dict[str, Any]
    """As in metrics.json."""
    published: dict[str, Any] = field(default_factory=dict)
    """The same on the scale of a paper, of the properties for which it was asked for."""

    @property
    def model(self) -> PropertyModel:
        """The trained model, read from the folder."""
        return load_model(self.folder)

    @property
    def predictions(self) -> pd.DataFrame:
        """The predictions of all parts, read from the folder."""
        return read_predictions(self.folder / "predictions.parquet")

    def mae(self, part: str = "test", target: str | None = None) -> float:
        """Return the mean absolute error of a part in physical units."""
        numbers = self.metrics[part]
        return float(numbers[target or next(iter(numbers))]["mae"])


def common_settings(
    data: Labelled,
    *,
    source: str,
    title: str,
    recipe: str,
    scaling: str,
    graph: GraphRecipe,
    per_unit: dict[str, float],
) -> dict[str, Any]:
    """Return what config.yaml says of every run, however its model came to be.

    Args:
        data: crystals with labels and the split.
        source: what the data are called.
        title: title of the report.
        recipe: name of the training recipe.
        scaling: of the target.
        graph: what the crystals are turned into.
        per_unit: physical units per unit of a paper, see `read_targets`.
    """
    return {
        "title": title,
        "data": source,
        "target": list(data.specs),
        "recipe": recipe,
        "scaling": scaling,
        "split": data.split_name,
        "graph": graph.model_dump(mode="json"),
        "properties": {n: s.model_dump(mode="json") for n, s in data.specs.items()},
        **({PUBLISHED: per_unit} if per_unit else {}),
    }


def describe(data: Labelled, settings: dict[str, Any], training: TrainingConfig) -> dict[str, Any]:
    """Return the resolved configuration that goes into config.yaml."""
    parts = {part: list(getattr(data.split, part)) for part in PARTS}
    labels = {name: content_hash(data.table.values[name]) for name in data.specs}
    drawn = {"group_by": data.split.grouped_by} if data.split.grouped_by else {}
    return {
        **settings,
        **drawn,
        "training": training.model_dump(mode="json"),
        "hashes": {"structures": data.table.hash, "labels": labels, "split": content_hash(parts)},
        "rows": {part: len(ids) for part, ids in parts.items()},
        "versions": {name: version(name) for name in ("epitaxy", "torch", "numpy")},
    }


def execute(
    data: Labelled,
    build: Build,
    config: dict[str, Any],
    training: TrainingConfig,
    out: Path,
    *,
    scaling: str,
    overwrite: bool = False,
) -> Run:
    """Train in a workspace, score the chosen weights on every part, write the run folder.

    A finished run with the same configuration is returned as it is.
    """
    if is_finished(out, config, overwrite=overwrite):
        logger.info("%s is already finished with these settings.", out)
        return _opened(out, config)
    scalers = data.fit_scalers(scaling)
    with workspace(out, config) as folder:
        torch.manual_seed(training.seed)
        model, plan = build(scalers)
        (folder / "plan.csv").write_text(plan_csv(model, plan), encoding="utf-8")
        _train(data, scalers, model, plan, training=training, folder=folder)
        _score(data, scalers, model, folder, training.loss in SQUARED)
        data.learned().write(folder)
        (folder / RESUME_FILE).unlink(missing_ok=True)
    return _opened(out, config)


@contextmanager
def without_reports() -> Iterator[None]:
    """Leave ``report.html`` and its figures out of the runs that end in this block."""
    token = _writes_reports.set(False)
    try:
        yield
    finally:
        _writes_reports.reset(token)


def read_run(folder: str | Path) -> Run:
    """Open a run folder.

    Raises:
        InputError: it is not the folder of a finished run.
    """
    folder = Path(folder)
    config = read_config(folder)
    if not config or not (folder / "predictions.parquet").is_file():
        raise InputError(f"{str(folder)!r} is not the folder of a finished run.")
    return _opened(folder, config)


def _opened(folder: Path, config: dict[str, Any]) -> Run:
    found = read_metrics(folder)
    units: dict[str, float] = config.get(PUBLISHED, {})
    published = {
        part: {name: rescaled(numbers[name], units[name]) for name in units if name in numbers}
        for part, numbers in found.items()
    }
    return Run(folder, found, published if units else {})


def _train(
    data: Labelled,
    scalers: dict[str, TargetScaler],
    model: PropertyModel,
    plan: TransferPlan,
    *,
    training: TrainingConfig,
    folder: Path,
) -> None:
    fabric = make_fabric(training, folder)
    loss = make_loss(training, len(model.names))
    if loss.robust:
        for name in model.names:
            model.head(name).add_log_width()
    groups = apply_plan(
        model, plan, seed=training.seed, published_batchnorm=training.published_batchnorm
    )
    model.to(fabric.device)
    further = training.device.split(",")[1:]
    if further:
        model.encoder.spread([fabric.device, *map(torch.device, further)])
    size = training.batch_size
    train = data.loader(
        "train",
        scalers,
        batch_size=size,
        shuffle=True,
        seed=training.seed,
        temperature=training.sampling_temperature,
        bins=training.sampling_bins,
    )
    val = data.loader("val", scalers, batch_size=max(size, BATCH))
    loss.to(fabric.device)
    start = cacheable(model, plan, training)
    if start:
        start = cache_prefix(model, [train, val], start)
    job = Job(
        model=model,
        optimiser=make_optimiser(training, [*groups, learned_weights(loss)]),
        loss=loss,
        train=train,
        val=val,
        config=training,
        start=start,
    )
    # Without a graph to run (pooled vectors are cached) there is next to nothing to compute.
    pooled = start > len(model.encoder.depth_groups())
    bonds = 0.0 if pooled else float(data.store.n_bonds.mean()) * size
    with threads_for(bonds, model.encoder.bonds_per_thread):
        fit(job, fabric, folder)


def cacheable(model: PropertyModel, plan: TransferPlan, training: TrainingConfig) -> int:
    """Return how many leading stages of the encoder are constant during this training.

    One more than the number of its depth groups means that even the pooled vector is constant.
    """
    if training.published_batchnorm:
        return 0
    groups = len(model.encoder.depth_groups())
    frozen = plan.first_trainable()
    return groups + 1 if frozen >= groups else frozen


def _score(
    data: Labelled,
    scalers: dict[str, TargetScaler],
    model: PropertyModel,
    folder: Path,
    squared: bool,
) -> None:
    """Write predictions, metrics, model, dropped rows and report."""
    frames = []
    for part in PARTS:
        ids = data.ids(part)
        if not ids:
            continue
        loader = data.loader(part, scalers, batch_size=BATCH)
        bonds = float(data.store.n_bonds.mean()) * min(BATCH, len(ids))
        with threads_for(bonds, model.encoder.bonds_per_thread):
            values, labels = predict_loader(model, loader), data.labels(part)
        frames.append(prediction_frame(data.specs, ids, part, values, labels))
    predictions = pd.concat(frames, ignore_index=True)
    write_predictions(predictions, folder / "predictions.parquet")
    numbers = metrics(predictions, groups=composition_groups(data.table), squared=squared)
    write_json(folder / FILE, numbers)
    save_model(model, folder)
    if data.dropped:
        write_dropped(folder / "dropped.csv", data.dropped)
    if weights := model.encoder.gate_weights():
        write_gate(folder / "gate.csv", weights)
    if _writes_reports.get():
        write_run_report(folder)


def write_gate(path: Path, weights: Mapping[str, float]) -> None:
    """Write the weight of every expert as CSV (``expert``, ``weight``), the heaviest first."""
    rows = pd.DataFrame({"expert": list(weights), "weight": list(weights.values())})
    with atomic_file(path) as temporary:
        rows.sort_values("weight", ascending=False, kind="stable").to_csv(temporary, index=False)


def make_fabric(training: TrainingConfig, folder: Path) -> Fabric:
    """Build Fabric for one device, the first that is named.

    Raises:
        InputError: the device does not exist here, or a logger's package is not installed.
    """
    kind, _, number = training.device.split(",")[0].partition(":")
    precision: Any = {"32": "32-true", "bf16": "bf16-mixed"}[training.precision]
    loggers = [make_logger(name, folder) for name in training.logger]
    try:
        return Fabric(
            accelerator=kind,
            devices=[int(number)] if number else 1,
            precision=precision,
            loggers=loggers,
        )
    except (RuntimeError, ValueError, TypeError) as error:
        raise InputError(
            f"The device {training.device!r} cannot be used here ({error}); use 'auto' or 'cpu'."
        ) from error


def make_logger(name: str, folder: Path) -> Any:
    """Return the Fabric logger called ``name``, writing below ``folder``.

    Raises:
        InputError: its package is not installed.
    """
    try:
        if name == "tensorboard":
            from lightning_fabric.loggers import TensorBoardLogger

            return TensorBoardLogger(folder / "logs", name="", version="")
        from pytorch_lightning.loggers import MLFlowLogger, WandbLogger

        kinds: dict[str, Any] = {"wandb": WandbLogger, "mlflow": MLFlowLogger}
        return kinds[name](save_dir=str(folder / "logs"))
    except ModuleNotFoundError as error:
        raise InputError(
            f"The logger {name!r} needs a package that is not installed ({error.name}); "
            f"run: pip install 'epitaxy[{name}]'."
        ) from error


def plan_csv(model: PropertyModel, plan: TransferPlan) -> str:
    """Return the plan as CSV, one row per depth group."""
    counts = parameter_counts(model)
    lines = ["group,origin,trainable,lr_scale,from_epoch,parameters"]
    lines += [
        f"{r.group},{r.origin},{str(r.trainable).lower()},{r.lr_scale:g},{r.from_epoch},"
        f"{counts.get(r.group, '')}"
        for r in plan.rows
    ]
    return "\n".join(lines) + "\n"


def parameter_counts(model: PropertyModel) -> dict[str, int]:
    """Return the number of parameters of every depth group."""
    return {g.name: sum(p.numel() for p in g.parameters()) for g in model.depth_groups()}


def as_list(target: str | Sequence[str]) -> list[str]:
    """Return the target names as a list."""
    return [target] if isinstance(target, str) else list(target)
