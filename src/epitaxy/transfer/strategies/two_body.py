"""`two-body`: convolutions on bonds and the head train (strategy 4a of Devi 2024)."""

from collections.abc import Sequence

from epitaxy.models.encoder import DepthGroup
from epitaxy.transfer.plan import TransferPlan, no_argument, tagged_plan


def two_body(groups: Sequence[DepthGroup], argument: str = "") -> TransferPlan:
    """Train what passes messages between atoms, and the copied head.

    Raises:
        InputError: nothing in the model does.
    """
    no_argument("two-body", argument)
    return tagged_plan("two-body", groups, "messages between pairs of atoms")
