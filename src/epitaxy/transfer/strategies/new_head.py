"""`new-head`: a fresh head on a frozen encoder (strategy 2 of Devi 2024)."""

from collections.abc import Sequence

from epitaxy.core.errors import InputError
from epitaxy.models.encoder import DepthGroup
from epitaxy.transfer.plan import NEW_HEAD, NewHead, PlanRow, TransferPlan

HIDDEN = (64,)
"""Two dense layers of the published width."""
LINEAR = "linear"


def head_rows(encoder_rows: Sequence[PlanRow]) -> tuple[PlanRow, ...]:
    """Append the rows of a fresh two-part head to those of an encoder."""
    return (*encoder_rows, *(PlanRow(group=g.name, origin="new") for g in NEW_HEAD))


def new_head(groups: Sequence[DepthGroup], argument: str = "") -> TransferPlan:
    """Freeze the encoder and train a new head.

    ``new-head:linear`` has no activation between its layers, as published: it is a linear map.

    Raises:
        InputError: the argument is something else.
    """
    if argument not in {"", LINEAR}:
        raise InputError(
            f"The strategy 'new-head' takes no argument but {LINEAR!r}, and {argument!r} came; "
            f"write 'new-head' or 'new-head:{LINEAR}'."
        )
    encoder = [PlanRow(group=g.name, trainable=False) for g in groups if "head" not in g.tags]
    return TransferPlan(
        strategy=f"new-head:{argument}" if argument else "new-head",
        rows=head_rows(encoder),
        head=NewHead(hidden=HIDDEN, linear=argument == LINEAR),
    )
