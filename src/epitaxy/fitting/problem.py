"""`Problem`: everything that the candidates share, kept in a folder that any process can open."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from epitaxy.checkpoints.relations import Relation
from epitaxy.core.files import atomic_file, write_json
from epitaxy.core.hashing import content_hash
from epitaxy.core.properties import PropertySpec
from epitaxy.fitting.folds import FEWEST_ROWS, FOLDS, KNOWN
from epitaxy.structures.distribution import propose_transform
from epitaxy.structures.sources.parquet import read
from epitaxy.structures.splits import Split
from epitaxy.structures.table import StructureTable

UNKNOWN, RELATED, ANY = "unknown", "related", "any"
EXPECTED = {UNKNOWN: Relation.UNKNOWN, RELATED: Relation.RELATED}
"""Kinds of crystals for which an error is told, by what sources know of them; beside `ANY`."""
FEWEST_JUDGES = 2 * FEWEST_ROWS
"""Rows of the expected kind by which can be chosen; else all that are scored do it together."""
SCRATCH = "cgcnn"
"""Architecture that is trained from random weights."""
TABLE, BLOCKS, SETTINGS = "table.parquet", "blocks.npz", "problem.json"


@dataclass(frozen=True, eq=False)
class Problem:
    """Labelled crystals of which all features could be had, in folds; n rows."""

    table: StructureTable
    """The crystals, with one property."""
    folds: np.ndarray
    """(n,) int64; -1 of rows that are never held out, and hence not scored."""
    blocks: Mapping[str, np.ndarray]
    """Name of a descriptor or of a source -> (n, F)."""
    sources: Mapping[str, str]
    """Name of a source model -> run folder or ``zoo:NAME``."""
    seed: int
    groups: Sequence[str] = field(kw_only=True)
    """(n,): rows with equal labels are alike and always together, see `group_labels`."""
    speeds: Mapping[str, float] = field(default_factory=dict)
    """Name of a source, or `SCRATCH` -> seconds per crystal and epoch of training all of it."""
    apart: Mapping[str, str] = field(default_factory=dict)
    """The same as ``sources``, of those that may know everything: what uses them is never chosen,
    but scored apart."""
    kinds: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int8))
    """(n,) of `Relation`: what sources know of each crystal; empty where they know nothing."""
    expected: str = ANY
    """Kind of crystal that will be predicted, one of `EXPECTED`."""

    @property
    def spec(self) -> PropertySpec:
        """The property to learn."""
        return next(iter(self.table.properties.values()))

    @property
    def target(self) -> str:
        """Name of the property."""
        return self.spec.name

    @property
    def labels(self) -> np.ndarray:
        """(n,) in physical units."""
        return np.asarray(self.table.values[self.target])

    @property
    def descriptors(self) -> tuple[str, ...]:
        """Names of the blocks that are descriptors."""
        models = {*self.sources, *self.apart}
        return tuple(name for name in self.blocks if name not in models)

    @cached_property
    def key(self) -> str:
        """Hash of all that a training can see of the problem."""
        blocks = [self.blocks[name] for name in sorted(self.blocks)]
        return content_hash(
            self.table.hash, self.labels, self.folds, sorted(self.blocks), self.seed, *blocks
        )

    def inside(self, held: Sequence[int]) -> np.ndarray:
        """Return the rows that a training may see when some folds are held out, ascending."""
        return np.flatnonzero(~np.isin(self.folds, held))

    def outside(self, held: Sequence[int]) -> np.ndarray:
        """Return the rows of the held-out folds, ascending."""
        return np.flatnonzero(np.isin(self.folds, held))

    @property
    def scored(self) -> np.ndarray:
        """Rows that are held out once, ascending."""
        return np.flatnonzero(self.folds != KNOWN)

    def is_of(self, kind: str) -> np.ndarray:
        """Tell which rows are held out once and of a kind out of `EXPECTED`, (n,) bool."""
        scored = self.folds != KNOWN
        if kind == ANY or not len(self.kinds):
            return scored if kind != RELATED else np.zeros_like(scored)
        return np.asarray(scored & (self.kinds == EXPECTED[kind]))

    @cached_property
    def headline(self) -> np.ndarray:
        """Rows whose error is told first: scored, and of the kind that is expected; ascending.

        Empty where they are too few to tell an error.
        """
        rows = np.flatnonzero(self.is_of(self.expected))
        enough = len(rows) >= FEWEST_ROWS and len({self.groups[r] for r in rows.tolist()}) >= FOLDS
        return rows if enough else rows[:0]

    @property
    def told(self) -> np.ndarray:
        """Rows of the headline or, where they are too few, all that are held out once."""
        return self.headline if len(self.headline) else self.scored

    @cached_property
    def judges(self) -> np.ndarray:
        """Rows by which is chosen, (n,) bool: those of the headline, or all that are scored."""
        if len(self.headline) < FEWEST_JUDGES:
            return np.asarray(self.folds != KNOWN)
        return self.is_of(self.expected)

    def groups_of(self, rows: np.ndarray) -> list[str]:
        """Return the groups of some rows."""
        return [self.groups[row] for row in rows.tolist()]

    def select(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the blocks of some rows."""
        return {name: block[rows] for name, block in self.blocks.items()}

    def split(self, held: Sequence[int]) -> Split:
        """Return training rows and held-out rows (as ``val``; there is no test part)."""
        seen, rows = (
            self.table.ids[r].astype(str) for r in (self.inside(held), self.outside(held))
        )
        return Split(tuple(seen), tuple(rows), allow_empty_test=True)

    def blinded(self, held: Sequence[int], transform: str) -> StructureTable:
        """Return the table with the median of the seen labels in place of those held out.

        Whatever a training does with its ``val`` part, it cannot learn from it.
        """
        labels = self.labels.copy()
        labels[self.outside(held)] = np.median(labels[self.inside(held)])
        spec = self.spec.model_copy(update={"transform": transform})
        return self.table.with_property(spec, labels)

    def transforms(self, outer: int) -> tuple[str, ...]:
        """Return the learning scales to try for an outer fold, by the other rows alone."""
        proposed = propose_transform(self.labels[self.inside((outer,))]).transform
        return ("identity",) if proposed == "identity" else ("identity", proposed)

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self.table.to_parquet(folder / TABLE)
        with atomic_file(folder / BLOCKS) as temporary, temporary.open("wb") as file:
            arrays = {f"block {name}": block for name, block in self.blocks.items()}
            np.savez(file, allow_pickle=False, **arrays)
        note = {"folds": self.folds.tolist(), "sources": dict(self.sources), "seed": self.seed}
        note |= {
            "speeds": dict(self.speeds),
            "apart": dict(self.apart),
            "groups": list(self.groups),
        }
        note |= {"kinds": self.kinds.tolist(), "expected": self.expected}
        note |= {"speeds": dict(self.speeds), "groups": list(self.groups)}
        write_json(folder / SETTINGS, note)


@lru_cache(maxsize=1)
def open_problem(folder: Path) -> Problem:
    """Read what `Problem.save` wrote; a process that trains several candidates reads it once."""
    note = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    with np.load(folder / BLOCKS, allow_pickle=False) as file:
        blocks = {name.removeprefix("block "): file[name] for name in file.files}
    table = read(str(folder / TABLE)).table
    note |= {"folds": np.array(note["folds"]), "kinds": np.array(note["kinds"], np.int8)}
    return Problem(table=table, blocks=blocks, **note)
