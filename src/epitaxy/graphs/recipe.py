"""`GraphRecipe`: everything that decides which graph a crystal becomes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from epitaxy.core.hashing import content_hash

RuleName = Literal["nearest", "symmetric", "cgcnn", "alignn-2023", "shells", "cgat"]

SYMMETRIC = frozenset({"symmetric", "alignn-2023"})
"""Rules that give every bond in both directions; only those have angles."""
RANKED = frozenset({"shells", "cgat"})
"""Rules that give every bond the number of its shell."""


class GraphRecipe(BaseModel):
    """How bonds are chosen; stored in every model, so that prediction repeats it exactly.

    >>> GraphRecipe().rule
    'nearest'
    >>> GraphRecipe(neighbours=8).hash == GraphRecipe().hash
    False
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: RuleName = "nearest"
    """``nearest``: the nearest neighbours and the complete shell of the last one.
    ``symmetric``: the same, and every bond also seen from its other end.
    ``cgcnn``: exactly `neighbours` per atom, short lists padded (Xie 2018, Chang 2022).
    ``alignn-2023``: those of the ALIGNN package of that year, ties and repeats included.
    ``shells``: whole shells of neighbours, numbered from the nearest one.
    ``cgat``: exactly `neighbours` per atom with the numbers of their shells (Hoffmann 2023)."""
    cutoff: float = Field(default=8.0, gt=0.0, le=20.0)
    """Largest bond length in Å."""
    neighbours: int = Field(default=12, ge=1, le=200)
    """Neighbours per atom (for ``nearest``: before the last shell is completed)."""
    shell_tolerance: float = Field(default=0.01, ge=0.0, le=1.0)
    """Å by which the last shell may be wider than its first member (``nearest`` and ``symmetric``),
    or by which a bond must be longer than the one before it to start a shell (``shells``)."""
    merge_tolerance: float = Field(default=1e-4, ge=0.0, le=0.1)
    """Å within which bond lengths count as equal when equivalent atoms and bonds are merged
    into one with a weight; 0 merges nothing. Merging changes cost, not results."""
    bond_vectors: bool = False
    """Also keep bond vectors (needed by models with angles); merging then respects angles, too.
    Needs a symmetric rule."""
    canonical: bool = True
    """Store a bond that both of its ends have found once (pair-wise work of Devi 2024) instead of
    twice (multi-property work); ``alignn-2023`` only."""

    @model_validator(mode="after")
    def _possible(self) -> GraphRecipe:
        if self.bond_vectors and self.rule not in SYMMETRIC:
            rules = " or ".join(sorted(SYMMETRIC))
            raise ValueError(f"bond_vectors need the rule {rules}, not {self.rule!r}")
        if not self.canonical and self.rule != "alignn-2023":
            raise ValueError("canonical=False belongs to the rule 'alignn-2023'")
        return self

    @property
    def hash(self) -> str:
        """Hash of all fields."""
        return content_hash(self.model_dump())
