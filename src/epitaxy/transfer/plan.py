"""`TransferPlan`: a table that says what happens to every depth group, and its one applier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import nn

from epitaxy.core.errors import InputError, unknown
from epitaxy.core.seeds import child_seed
from epitaxy.models.encoder import DepthGroup
from epitaxy.models.heads import Head, HeadConfig
from epitaxy.models.property_model import PropertyModel
from epitaxy.transfer import STRATEGIES

Origin = Literal["copied", "new", "re-initialised"]


class PlanRow(BaseModel):
    """What happens to one depth group."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    origin: Origin = "copied"
    trainable: bool = True
    lr_scale: float = Field(default=1.0, ge=0.0)
    """Factor on the learning rate of the run."""
    from_epoch: int = Field(default=0, ge=0)
    """First epoch in which the group trains; frozen before."""


class NewHead(BaseModel):
    """Shape of a head that takes the place of the copied one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: tuple[PositiveInt, ...]
    """Widths of the hidden layers."""
    linear: bool = False
    """Without any activation; otherwise with those that the architecture gives its heads."""
    first: bool = False
    """With an activation before the first layer, even where the architecture has none."""

    def config(self, usual: HeadConfig) -> HeadConfig:
        """Return the settings of the head, ``usual`` being those of the architecture."""
        if self.linear:
            return HeadConfig(hidden=self.hidden, act="none", first=False)
        first = usual.first or self.first
        return usual.model_copy(update={"hidden": self.hidden, "first": first})


class TransferPlan(BaseModel):
    """One row per depth group, from input to output.

    `head` is the shape of a new head; None keeps the one of the source model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: str
    rows: tuple[PlanRow, ...]
    head: NewHead | None = None
    """A head that takes the place of the copied one."""
    inherits_head: bool = False
    """The copied head is that of the same property and predicts the same at first."""

    def first_trainable(self) -> int:
        """Number of leading groups that never train (what frozen-prefix caching may skip)."""
        return next((i for i, row in enumerate(self.rows) if row.trainable), len(self.rows))

    def table(self, counts: dict[str, int] | None = None) -> str:
        """Return the plan as text, one line per group."""
        head = ["group", "weights", "training", "rate", "from epoch", "parameters"]
        lines = [head] + [
            [
                row.group,
                row.origin,
                "trainable" if row.trainable else "frozen",
                f"{row.lr_scale:g}" if row.trainable else "-",
                str(row.from_epoch) if row.trainable else "-",
                f"{counts[row.group]:,}" if counts and row.group in counts else "-",
            ]
            for row in self.rows
        ]
        widths = [max(len(line[c]) for line in lines) for c in range(len(head))]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


Strategy = Callable[[Sequence[DepthGroup], str], TransferPlan]
NEW, INHERITED = "new-head", "inherit-head"
"""What may stand behind a strategy, joined by a plus."""
NEW_HEAD = (
    DepthGroup("head-hidden", (), frozenset({"head"})),
    DepthGroup("head-output", (), frozenset({"head", "output"})),
)
"""The groups that a new head has (see `PropertyModel.depth_groups`)."""


def make_plan(strategy: str, groups: Sequence[DepthGroup]) -> TransferPlan:
    """Return the plan of ``strategy``.

    It is written ``NAME`` or ``NAME:ARGUMENT``. With ``+new-head``, ``+new-head:linear`` or
    ``+new-head:128-128`` behind it, a new head, which always trains, takes the place of the copied
    one; with ``+inherit-head`` the copied one must be that of the same property.

    Raises:
        InputError: there is no such strategy, its argument does not fit the model, or it brings a
            new head itself.
    """
    base, plus, addition = strategy.partition("+")
    if not plus:
        return _single_plan(base, groups)
    name = addition.partition(":")[0]
    if name not in {NEW, INHERITED}:
        raise unknown("addition to a strategy", name, [NEW, INHERITED])
    if name == INHERITED:
        no_argument(INHERITED, addition.partition(":")[2])
        plan = _single_plan(base, groups)
        _brings_no_head(plan, addition)
        named = f"{plan.strategy}+{INHERITED}"
        return plan.model_copy(update={"strategy": named, "inherits_head": True})
    fresh = _single_plan(addition, groups)
    plan = _single_plan(base, [*(g for g in groups if "head" not in g.tags), *NEW_HEAD])
    _brings_no_head(plan, addition)
    encoder = plan.rows[: -len(NEW_HEAD)]
    # The rates stay: with layer-decay, those of a head differ.
    rows = [
        row.model_copy(update={"origin": "new", "trainable": True})
        for row in plan.rows[len(encoder) :]
    ]
    return TransferPlan(
        strategy=f"{plan.strategy}+{fresh.strategy}", rows=(*encoder, *rows), head=fresh.head
    )


def _brings_no_head(plan: TransferPlan, addition: str) -> None:
    if plan.head is not None:
        raise InputError(
            f"The strategy {plan.strategy!r} brings a new head itself; leave '+{addition}' out."
        )


def _single_plan(strategy: str, groups: Sequence[DepthGroup]) -> TransferPlan:
    name, _, argument = strategy.partition(":")
    make: Strategy = STRATEGIES[name]
    return make(groups, argument)


def no_argument(strategy: str, argument: str) -> None:
    """Refuse an argument for a strategy that has none."""
    if argument:
        raise InputError(f"The strategy {strategy!r} takes no argument, but {argument!r} came.")


def tagged_plan(tag: str, groups: Sequence[DepthGroup], what: str) -> TransferPlan:
    """Return the plan in which the groups with a tag and the copied head train.

    Raises:
        InputError: no group has the tag, which stands for ``what``.
    """
    if not any(tag in g.tags for g in groups):
        encoder = [g.name for g in groups if "head" not in g.tags]
        raise InputError(
            f"The strategy {tag!r} needs {what}, but the model has only the groups {encoder}; "
            "choose another strategy."
        )
    rows = tuple(PlanRow(group=g.name, trainable=bool({tag, "head"} & g.tags)) for g in groups)
    return TransferPlan(strategy=tag, rows=rows)


def group_index(groups: Sequence[DepthGroup], name: str) -> int:
    """Return the position of the group called ``name``; unknown names raise with suggestions."""
    names = [group.name for group in groups]
    if name not in names:
        raise unknown("depth group", name, names)
    return names.index(name)


class ParameterGroup(NamedTuple):
    """What the optimiser needs to know of one depth group."""

    name: str
    parameters: list[nn.Parameter]
    lr_scale: float
    from_epoch: int


def apply_plan(
    model: PropertyModel, plan: TransferPlan, *, seed: int, published_batchnorm: bool = False
) -> list[ParameterGroup]:
    """Carry out ``plan`` on ``model`` in place and return what the optimiser is to train.

    Frozen groups are bit-identical afterwards, normalisation statistics included, unless
    ``published_batchnorm`` asks for the papers' behaviour, in which they go on moving.

    Raises:
        InputError: the plan and the model do not have the same groups.
    """
    if plan.head is not None:
        _replace_heads(model, plan.head, child_seed(seed, "head"))
    groups = list(model.depth_groups())
    if [g.name for g in groups] != [row.group for row in plan.rows]:
        raise InputError(
            f"The plan {plan.strategy!r} is for the groups {[r.group for r in plan.rows]}, but the "
            f"model has {[g.name for g in groups]}; make the plan from this model."
        )
    chosen = []
    frozen: list[nn.Module] = []
    for group, row in zip(groups, plan.rows, strict=True):
        if row.origin == "re-initialised":
            _reinitialise(group.modules, child_seed(seed, group.name))
        parameters = list(group.parameters())
        for parameter in parameters:
            parameter.requires_grad_(row.trainable and row.from_epoch == 0)
        if row.trainable and parameters:
            chosen.append(ParameterGroup(group.name, parameters, row.lr_scale, row.from_epoch))
        if not published_batchnorm and not (row.trainable and row.from_epoch == 0):
            frozen.extend(group.modules)
    if not any(group.from_epoch == 0 for group in chosen):
        when = " in the first epoch" if chosen else ""
        raise InputError(
            f"The plan {plan.strategy!r} trains nothing{when}; choose another strategy."
        )
    model.frozen_modules = frozen
    return chosen


def _replace_heads(model: PropertyModel, new: NewHead, seed: int) -> None:
    config = new.config(model.encoder.default_head)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for position, name in enumerate(model.names):
            old = model.head(name)
            kept = config.model_copy(update={"log_width": old.config.log_width})
            model.heads[position] = Head(model.encoder.width, old.spec, old.scaler, kept)


def _reinitialise(modules: Iterable[nn.Module], seed: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for top in modules:
            for module in top.modules():
                reset = getattr(module, "reset_parameters", None)
                if reset is not None:
                    reset()
