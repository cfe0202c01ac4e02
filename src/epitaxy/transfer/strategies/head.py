"""`head`: only the last layer trains (strategy 3 of Devi 2024)."""

from collections.abc import Sequence

from epitaxy.models.encoder import DepthGroup
from epitaxy.transfer.plan import PlanRow, TransferPlan, no_argument


def head(groups: Sequence[DepthGroup], argument: str = "") -> TransferPlan:
    """Copy all weights and train the output layer alone."""
    no_argument("head", argument)
    rows = tuple(PlanRow(group=g.name, trainable="output" in g.tags) for g in groups)
    return TransferPlan(strategy="head", rows=rows)
