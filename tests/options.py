"""Command lines of which some options are replaced."""

from collections.abc import Sequence


def replaced(command: Sequence[object], *others: object) -> list[object]:
    """Return a command with other options; those given before under the same name are left out.

    >>> replaced(["train", "--epochs", "3", "--seed", "1"], "--seed", "2")
    ['train', '--epochs', '3', '--seed', '2']
    """
    names = {other for other in others if str(other).startswith("--")} - {"--set"}
    kept = list(command)
    for name in names & set(command):
        place = kept.index(name)
        del kept[place : place + 2]
    return [*kept, *others]
