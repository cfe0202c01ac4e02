"""`new-head`: a fresh head on a frozen encoder (strategy 2 of Devi 2024)."""

from collections.abc import Sequence

from epitaxy.models.encoder import DepthGroup
from epitaxy.models.heads import HeadConfig
from epitaxy.transfer.plan import PlanRow, TransferPlan, no_argument

HEAD = HeadConfig(hidden=(64,))
"""Two dense layers of the published width 64, here with an activation between them."""


def head_rows(encoder_rows: Sequence[PlanRow]) -> tuple[PlanRow, ...]:
    """Append the rows of a fresh two-part head to those of an encoder."""
    fresh = (
        PlanRow(group="head-hidden", origin="new"),
        PlanRow(group="head-output", origin="new"),
    )
    return (*encoder_rows, *fresh)


def new_head(groups: Sequence[DepthGroup], argument: str = "") -> TransferPlan:
    """Freeze the encoder and train a new head."""
    no_argument("new-head", argument)
    encoder = [PlanRow(group=g.name, trainable=False) for g in groups if "head" not in g.tags]
    return TransferPlan(strategy="new-head", rows=head_rows(encoder), head=HEAD)
