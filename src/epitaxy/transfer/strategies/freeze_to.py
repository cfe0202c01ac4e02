"""`freeze-to:GROUP`: groups up to and including GROUP are frozen, the rest trains."""

from collections.abc import Sequence

from epitaxy.core.errors import InputError
from epitaxy.models.encoder import DepthGroup
from epitaxy.transfer.plan import PlanRow, TransferPlan, group_index


def freeze_to(groups: Sequence[DepthGroup], argument: str = "") -> TransferPlan:
    """Freeze from the input up to and including the named group.

    Raises:
        InputError: no group is named, or the model has none of that name.
    """
    if not argument:
        names = ", ".join(g.name for g in groups)
        raise InputError(
            f"'freeze-to' needs a depth group: write 'freeze-to:GROUP', GROUP one of {names}."
        )
    last = group_index(groups, argument)
    rows = tuple(PlanRow(group=g.name, trainable=i > last) for i, g in enumerate(groups))
    return TransferPlan(strategy=f"freeze-to:{argument}", rows=rows)
