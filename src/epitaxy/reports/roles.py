"""Which axis of a study plays which part in its figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from epitaxy.results.rules import Rules

TARGETS = ("target", "ft_dataset", "task", "data", "dataset", "property")
SOURCES = ("source", "pt_dataset", "from_model", "experts", "pretrain_property")
STRATEGIES = ("strategy", "method", "protocol", "model", "aggregation")
SIZE = re.compile(r"(^|[._])size$")
OF_SOURCE = re.compile(r"source|^pt_|pretrain")


@dataclass(frozen=True)
class Roles:
    """Axes of a table of conditions; None where the study has none of the kind."""

    source: str | None
    target: str | None
    size: str | None
    strategy: str | None
    others: tuple[str, ...]
    """Axes with several values that play no part."""

    def without(self, *used: str | None) -> list[str]:
        """Return the axes with several values, except some."""
        mine = [self.source, self.target, self.size, self.strategy]
        return [a for a in (*mine, *self.others) if a is not None and a not in used]


def find_roles(table: pd.DataFrame, axes: Sequence[str], rules: Rules) -> Roles:
    """Give each axis that has several values its part, by ``rules.roles`` or by its name.

    Args:
        table: what `summary` returned.
        axes: names of the axes in it.
        rules: what the user said.

    >>> table = pd.DataFrame({"source": ["a", "b"], "size": [10, 20], "loss": ["l1", "mse"]})
    >>> find_roles(table, ["source", "size", "loss"], Rules())
    Roles(source='source', target=None, size='size', strategy=None, others=('loss',))
    """
    several = [a for a in [*axes, "property"] if a in table and _values(table[a]) > 1]
    given = {role: axis for role, axis in rules.roles.items() if axis in several}
    left = [a for a in several if a not in given.values()]

    def take(role: Any, *wanted: str | None) -> str | None:
        found = given.get(role) or next((a for a in wanted if a in left), None)
        if found in left:
            left.remove(found)
        return found

    sizes = [a for a in left if SIZE.search(a) and not OF_SOURCE.search(a) and _numeric(table[a])]
    size = take("size", *sizes, *(a for a in left if SIZE.search(a) and _numeric(table[a])))
    target = take("target", *TARGETS)
    strategy = take("strategy", *STRATEGIES)
    source = take("source", *SOURCES, *(a for a in rules.baseline if not _numeric(table[a])))
    return Roles(source, target, size, strategy, tuple(left))


def _values(column: pd.Series) -> int:
    return len({str(value) for value in column})


def _numeric(column: pd.Series) -> bool:
    known = [value for value in column if not pd.isna(value)]
    return bool(known) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in known
    )
