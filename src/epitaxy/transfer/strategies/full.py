"""`full`: everything is copied and everything trains (strategy 1 of Devi 2024)."""

from collections.abc import Sequence

from epitaxy.models.encoder import DepthGroup
from epitaxy.transfer.plan import PlanRow, TransferPlan, no_argument


def full(groups: Sequence[DepthGroup], argument: str = "") -> TransferPlan:
    """Copy all weights and train all of them."""
    no_argument("full", argument)
    return TransferPlan(strategy="full", rows=tuple(PlanRow(group=g.name) for g in groups))
