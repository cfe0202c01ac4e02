"""`three-body`: convolutions on angles and the head train (strategy 4b of Devi 2024)."""

from collections.abc import Sequence

from epitaxy.models.encoder import DepthGroup
from epitaxy.transfer.plan import TransferPlan, no_argument, tagged_plan


def three_body(groups: Sequence[DepthGroup], argument: str = "") -> TransferPlan:
    """Train what passes messages between bonds that meet at an atom, and the copied head.

    Raises:
        InputError: nothing in the model does.
    """
    no_argument("three-body", argument)
    return tagged_plan("three-body", groups, "messages along angles")
