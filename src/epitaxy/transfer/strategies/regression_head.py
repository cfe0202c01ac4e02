"""`regression-head`: the whole copied head trains, on a frozen encoder (Hoffmann 2023)."""

from collections.abc import Sequence

from epitaxy.models.encoder import DepthGroup
from epitaxy.transfer.plan import PlanRow, TransferPlan, no_argument


def regression_head(groups: Sequence[DepthGroup], argument: str = "") -> TransferPlan:
    """Copy all weights and train all layers behind the crystal vector.

    `only_regression_head` of Hoffmann et al., Digital Discovery 2, 1368 (2023).
    """
    no_argument("regression-head", argument)
    rows = tuple(PlanRow(group=g.name, trainable="head" in g.tags) for g in groups)
    return TransferPlan(strategy="regression-head", rows=rows)
