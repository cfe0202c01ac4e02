"""`new-head`: a fresh head on a frozen encoder (strategy 2 of Devi 2024)."""

import re
from collections.abc import Sequence

from epitaxy.core.errors import InputError
from epitaxy.models.encoder import DepthGroup
from epitaxy.transfer.plan import NEW_HEAD, NewHead, PlanRow, TransferPlan

HIDDEN = (64,)
"""Two dense layers of the published width."""
LINEAR = "linear"
WIDTHS = re.compile(r"[1-9]\d{0,4}(-[1-9]\d{0,4})*")
"""Hidden widths from input to output, ``128-128``."""


def head_rows(encoder_rows: Sequence[PlanRow]) -> tuple[PlanRow, ...]:
    """Append the rows of a fresh two-part head to those of an encoder."""
    return (*encoder_rows, *(PlanRow(group=g.name, origin="new") for g in NEW_HEAD))


def new_head(groups: Sequence[DepthGroup], argument: str = "") -> TransferPlan:
    """Freeze the encoder and train a new head.

    ``new-head:linear`` has no activation between its layers, as published: it is a linear map.
    ``new-head:128-128`` has two hidden layers of these widths and an activation before the first,
    as the paper's heads after multi-property pre-training.

    Raises:
        InputError: the argument is something else.
    """
    given = argument not in {"", LINEAR}
    if given and not WIDTHS.fullmatch(argument):
        raise InputError(
            f"The strategy 'new-head' takes {LINEAR!r} or widths of hidden layers as argument, but "
            f"{argument!r} came; write 'new-head', 'new-head:{LINEAR}' or 'new-head:128-128'."
        )
    widths = tuple(map(int, argument.split("-"))) if given else HIDDEN
    encoder = [PlanRow(group=g.name, trainable=False) for g in groups if "head" not in g.tags]
    return TransferPlan(
        strategy=f"new-head:{argument}" if argument else "new-head",
        rows=head_rows(encoder),
        head=NewHead(hidden=widths, linear=argument == LINEAR, first=given),
    )
