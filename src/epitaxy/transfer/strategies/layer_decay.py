"""`layer-decay`: everything trains, the more slowly the nearer to the input."""

from collections.abc import Sequence

from epitaxy.core.errors import InputError
from epitaxy.models.encoder import DepthGroup
from epitaxy.transfer.plan import PlanRow, TransferPlan

DECAY = 0.7


def layer_decay(groups: Sequence[DepthGroup], argument: str = "") -> TransferPlan:
    """Scale the rate of each group by a factor per group of distance from the output.

    ``layer-decay:0.5`` sets the factor; 0.7 otherwise.

    Raises:
        InputError: the factor is not a number between 0 and 1.
    """
    try:
        decay = float(argument) if argument else DECAY
    except ValueError:
        decay = 0.0
    if not 0.0 < decay <= 1.0:
        raise InputError(
            f"The factor of 'layer-decay' must lie in (0, 1], but {argument!r} came; "
            "write for example 'layer-decay:0.7'."
        )
    last = len(groups) - 1
    rows = tuple(PlanRow(group=g.name, lr_scale=decay ** (last - i)) for i, g in enumerate(groups))
    return TransferPlan(strategy=f"layer-decay:{decay:g}", rows=rows)
