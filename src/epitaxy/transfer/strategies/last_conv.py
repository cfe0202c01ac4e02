"""`last-conv`: a fresh head, and the last convolution at half its rate (Chang 2022)."""

from collections.abc import Sequence

from epitaxy.core.errors import InputError
from epitaxy.models.encoder import DepthGroup
from epitaxy.transfer.plan import NewHead, PlanRow, TransferPlan, no_argument
from epitaxy.transfer.strategies.new_head import head_rows

HEAD = NewHead(hidden=(32, 32))
"""Three dense layers, width 32 (Chang 2022)."""


def last_conv(groups: Sequence[DepthGroup], argument: str = "") -> TransferPlan:
    """Freeze all but the last convolution, which trains at half the rate of the new head."""
    no_argument("last-conv", argument)
    encoder = [g for g in groups if "head" not in g.tags]
    if not any("conv" in g.tags for g in encoder):
        raise InputError(
            f"The strategy 'last-conv' needs a convolution, but the model has only the groups "
            f"{[g.name for g in encoder]}; use 'new-head'."
        )
    last = [g.name for g in encoder if "conv" in g.tags][-1]
    rows = [PlanRow(group=g.name, trainable=g.name == last, lr_scale=0.5) for g in encoder]
    return TransferPlan(strategy="last-conv", rows=head_rows(rows), head=HEAD)
