"""Training, validation and test parts: drawn, folded, or read from a file."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.core.files import file_and_key
from epitaxy.core.outputs import write_json_output
from epitaxy.core.seeds import generator
from epitaxy.structures.grouping import (
    AUTO,
    FEWEST,
    Grouping,
    choose_grouping,
    fill,
    flat,
    shuffled_groups,
)
from epitaxy.structures.split_files import members, read_split_file, split_at
from epitaxy.structures.table import StructureTable

logger = logging.getLogger("epitaxy")
PARTS = ("train", "val", "test")
MATBENCH_SEED = 18012019
MATBENCH_FOLDS = 5


@dataclass(frozen=True)
class Split:
    """Ids of the three parts; no id stands twice, and no part is empty.

    >>> Split(train=("a", "b"), val=("c",), test=("d",)).sizes
    (2, 1, 1)
    >>> Split(train=("a", "b"), val=(), test=("d",))
    Traceback (most recent call last):
    ...
    epitaxy.core.errors.InputError: The val part of the split is empty; give it at least one row: \
use a larger fraction or more data.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...] = ()
    allow_empty_test: bool = False
    """Set where the split was made without a test part on purpose."""
    grouped_by: str = field(default="", compare=False)
    """What kept rows together, as in `group_labels`; empty where the parts were given."""

    def __post_init__(self) -> None:
        needed = PARTS[:2] if self.allow_empty_test else PARTS
        for part in needed:
            if not getattr(self, part):
                raise InputError(
                    f"The {part} part of the split is empty; give it at least one row: use a "
                    "larger fraction or more data."
                )
        everything = Counter([*self.train, *self.val, *self.test])
        twice = [name for name, n in everything.items() if n > 1]
        if twice:
            raise InputError(
                f"{len(twice)} ids stand twice in the split, {twice[0]!r} first; every id may be "
                "in one part once."
            )

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Number of ids in train, val and test."""
        return len(self.train), len(self.val), len(self.test)

    def check(self, table: StructureTable) -> None:
        """Make sure that every id is in ``table``.

        Raises:
            InputError: an id is not in the table.
        """
        table.rows_of([*self.train, *self.val, *self.test])

    def as_dict(self) -> dict[str, list[str]]:
        """Return the parts as lists, as they are written to JSON."""
        parts = PARTS[:2] if not self.test else PARTS
        return {part: list(getattr(self, part)) for part in parts}

    def to_json(self, path: str | Path) -> None:
        """Write ``{"train": [ids], "val": [ids], "test": [ids]}``; no test key if it is empty."""
        write_json_output(path, self.as_dict())

    @classmethod
    def from_json(cls, path: str | Path) -> Split:
        """Read what `to_json` wrote.

        Raises:
            InputError: the file is no split, or the split is not valid.
        """
        data = read_split_file(Path(path))
        if not {"train", "val"} <= set(data) or set(data) - set(PARTS):
            raise InputError(
                f"The split file {str(path)!r} has the keys {', '.join(data) or 'none'}; it needs "
                "train, val and (optionally) test, each a list of ids."
            )
        train, val, test = (tuple(map(str, data.get(part, ()))) for part in PARTS)
        return cls(train, val, test, allow_empty_test="test" not in data)


def random_split(
    table: StructureTable,
    *,
    seed: int,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    group_by: str = AUTO,
) -> Split:
    """Draw the parts at random; by default rows of one reduced formula stay together.

    Polymorphs and duplicates share a formula: were they torn apart, the test would be answered
    from memory. Where there are too few formulas, near-duplicates stay together, see
    `choose_grouping`, which ``group_by`` is given to. A test fraction of 0 makes a split without a
    test part.

    Raises:
        InputError: fractions do not add up to 1, a part would be empty, or there is no such
            grouping.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            f"The fractions {tuple(fractions)} must be three numbers from 0 to 1 that add up to 1, "
            "for example 0.8, 0.1 and 0.1."
        )
    wanted = [max(1, round(f * len(table))) if f > 0 else 0 for f in fractions]
    grouping = choose_grouping(table, group_by, fewest=2 + (wanted[2] > 0))
    groups = shuffled_groups(grouping.labels, seed, "split")
    test, rest = fill(groups, wanted[2], keep=2)
    val, train = fill(rest, wanted[1])
    parts = {"train": train, "val": val, "test": test}
    for part, fraction in zip(PARTS, fractions, strict=True):
        if fraction > 0 and not parts[part]:
            raise InputError(
                f"The {part} part would be empty: {len(table)} rows of {len(groups)} "
                f"{grouping.kind} cannot be divided {tuple(fractions)}; give more data or other "
                f"fractions{_or_ungrouped(grouping)}."
            )
    return Split(
        _names(table, flat(train)),
        _names(table, flat(val)),
        _names(table, flat(test)),
        allow_empty_test=fractions[2] == 0,
        grouped_by=grouping.by,
    )


def kfold(
    table: StructureTable,
    *,
    k: int,
    seed: int,
    group_by: str = AUTO,
    val_fraction: float = 0.1,
) -> list[Split]:
    """Make ``k`` splits whose test parts cover the table once; validation rows come from the rest.

    What stays together is decided by `choose_grouping` from ``group_by``.

    Raises:
        InputError: there are fewer groups than folds, or one group is all that is left for train
            and val; or there is no such grouping.
    """
    grouping = choose_grouping(table, group_by, fewest=max(k, FEWEST))
    groups = shuffled_groups(grouping.labels, seed, "folds")
    if k < 2 or len(groups) < k:
        raise InputError(
            f"{k} folds of {len(groups)} {grouping.kind} are not possible; take 2 to "
            f"{len(groups)} folds{_or_ungrouped(grouping)}."
        )
    folds: list[list[list[int]]] = [[] for _ in range(k)]
    # the largest groups first, each into the smallest fold: folds become nearly equal
    for group in sorted(groups, key=len, reverse=True):
        min(folds, key=lambda fold: sum(map(len, fold))).append(group)
    splits = []
    for number, fold in enumerate(folds):
        others = [group for i, f in enumerate(folds) if i != number for group in f]
        order = generator(seed, f"fold {number}").permutation(len(others))
        shuffled = [others[i] for i in order]
        splits.append(_with_val(table, grouping, shuffled, flat(fold), val_fraction))
    return splits


def matbench_folds(
    table: StructureTable,
    *,
    seed: int = 0,
    n_rows: int | None = None,
    val_fraction: float = 0.1,
    group_by: str = AUTO,
) -> list[Split]:
    """Return the five official folds of Matbench: ``KFold(5, shuffle, 18012019)`` over all rows.

    The official training part is divided here into train and val with ``seed``.

    Args:
        table: a table whose `row_numbers` are those of the published data set.
        seed: seed of the draw of validation rows.
        n_rows: rows of the published data set; needed when the table lacks some of them.
        val_fraction: part of the official training rows that becomes val.
        group_by: what stays together in train or val, see `choose_grouping`.

    Raises:
        InputError: the table lacks rows and ``n_rows`` is not given, or there is no such grouping.
    """
    n_rows = len(table) if n_rows is None else n_rows
    rows = {int(number): row for row, number in enumerate(table.row_numbers)}
    if n_rows < MATBENCH_FOLDS or (rows and max(rows) >= n_rows):
        raise InputError(
            f"The table has {len(table)} rows with numbers up to {max(rows, default=0)}, so it "
            f"cannot be folded as {n_rows} rows; give n_rows of the published data set (at least "
            f"{MATBENCH_FOLDS})."
        )
    # Here, because importing scikit-learn takes longer than most commands.
    from sklearn.model_selection import KFold

    grouping = choose_grouping(table, group_by)
    folds = KFold(MATBENCH_FOLDS, shuffle=True, random_state=MATBENCH_SEED)
    splits = []
    for number, (official_train, test) in enumerate(folds.split(np.arange(n_rows))):
        inside = [rows[i] for i in official_train.tolist() if i in rows]
        groups = _groups_inside(grouping, inside, seed, f"matbench {number}")
        tested = [rows[i] for i in test.tolist() if i in rows]
        splits.append(_with_val(table, grouping, groups, tested, val_fraction))
    return splits


def resolve_split(
    spec: str | Path | Split | Mapping[str, Any],
    table: StructureTable,
    *,
    seed: int,
    group_by: str = AUTO,
) -> Split:
    """Make a split of whatever the user gave.

    ``random`` and ``random:SEED`` draw one; a path reads a JSON file with ``train``, ``val``
    and ``test``; ``FILE:KEY`` (or ``FILE:a/b/c``) goes to a part of such a file. In files, texts
    are ids and whole numbers are rows of the source (`StructureTable.row_numbers`). A bare list is
    a training set: its first 90 % are train, its last 10 % val, in their own order, and the
    ``test`` list at the top of the file is the test part. Ids that the table dropped are left out.
    ``group_by`` concerns only what is drawn, see `choose_grouping`.

    Raises:
        InputError: the text or file cannot be understood, or ids are not in the table.
    """
    if isinstance(spec, Split):
        spec.check(table)
        return spec
    if isinstance(spec, Mapping):
        return _from_node(spec, spec, table, seed, group_by)
    name = str(spec)
    if name == "random" or name.startswith("random:"):
        return random_split(table, seed=_random_seed(name, seed), group_by=group_by)
    found = file_and_key(name)
    if found is None:
        raise InputError(
            f"The split {name!r} is neither an existing JSON file (FILE or FILE:KEY) nor 'random' "
            "or 'random:SEED'; check the path."
        )
    path, key = found
    data = read_split_file(path)
    return _from_node(split_at(data, key, str(path)), data, table, seed, group_by)


def split(
    table: StructureTable,
    out: str | Path,
    *,
    method: str = "random",
    seed: int = 0,
    group_by: str = AUTO,
    k: int = 5,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
) -> list[Split]:
    """Split a table and write the result as JSON.

    ``random`` writes one split; ``kfold`` and ``matbench`` write ``fold0``, ``fold1``, ..., which
    `resolve_split` finds as ``FILE:fold0``. ``group_by`` says what stays together, see
    `choose_grouping`; of ``matbench`` in train and val only.

    Raises:
        InputError: the method or the grouping is not known, or a part would be empty.
    """
    if method == "random":
        splits = [random_split(table, seed=seed, fractions=fractions, group_by=group_by)]
        splits[0].to_json(out)
        return splits
    if method == "kfold":
        splits = kfold(table, k=k, seed=seed, group_by=group_by)
    elif method == "matbench":
        splits = matbench_folds(table, seed=seed, group_by=group_by)
    else:
        raise InputError(f"Unknown split method {method!r}; allowed: random, kfold, matbench.")
    write_json_output(out, {f"fold{i}": s.as_dict() for i, s in enumerate(splits)})
    return splits


def _random_seed(name: str, seed: int) -> int:
    _, _, text = name.partition(":")
    if not text:
        return seed
    if not text.isdigit():
        raise InputError(f"The seed in {name!r} must be a whole number, for example 'random:7'.")
    return int(text)


def _from_node(
    node: Any, top: Mapping[str, Any], table: StructureTable, seed: int, group_by: str
) -> Split:
    if isinstance(node, list):
        pool = members(node, table)
        cut = len(pool) - max(1, round(0.1 * len(pool)))
        test = members(top.get("test", []), table)
        if set(test) & set(pool):
            logger.info("The test list of the split file overlaps this one and is not used.")
            test = ()
        return Split(pool[:cut], pool[cut:], test, allow_empty_test=not test)
    if not isinstance(node, Mapping) or "train" not in node:
        raise InputError("A split must be a dictionary with train, val and (optionally) test.")
    train = members(node["train"], table)
    test = members(node.get("test", []), table)
    no_test = "test" not in node
    if "val" in node:
        return Split(train, members(node["val"], table), test, allow_empty_test=no_test)
    logger.info("The split has no val part; a tenth of train is drawn for it.")
    inside = table.rows_of(train).tolist()
    grouping = choose_grouping(table, group_by)
    groups = _groups_inside(grouping, inside, seed, "val")
    drawn = _with_val(table, grouping, groups, [], 0.1)
    by = grouping.by
    return Split(drawn.train, drawn.val, test, allow_empty_test=no_test, grouped_by=by)


def _groups_inside(
    grouping: Grouping, inside: Sequence[int], seed: int, purpose: str
) -> list[list[int]]:
    """Return the groups of some rows of a table in a random order."""
    groups = shuffled_groups([grouping.labels[row] for row in inside], seed, purpose)
    return [[inside[i] for i in group] for group in groups]


def _with_val(
    table: StructureTable,
    grouping: Grouping,
    groups: list[list[int]],
    test: list[int],
    val_fraction: float,
) -> Split:
    size = max(1, round(val_fraction * sum(map(len, groups))))
    val, train = fill(groups, size)
    if len(groups) == 1:
        label, n = grouping.labels[groups[0][0]], len(groups[0])
        raise InputError(
            f"Beside the test part there is one group alone ({label}, {n} rows), too little for "
            f"train and val; give more data or more folds{_or_ungrouped(grouping)}."
        )
    parts = (_names(table, flat(train)), _names(table, flat(val)), _names(table, test))
    return Split(*parts, allow_empty_test=not test, grouped_by=grouping.by)


def _or_ungrouped(grouping: Grouping) -> str:
    return "" if grouping.sizes[0] == 1 else ", or do not group them (--group-by none)"


def _names(table: StructureTable, rows: Sequence[int]) -> tuple[str, ...]:
    return tuple(str(table.ids[row]) for row in rows)
