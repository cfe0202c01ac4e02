"""CGAT, the crystal graph attention network of shells without lengths.

J. Schmidt, L. Pettersson, C. Verdozzi, S. Botti, M. A. L. Marques, Sci. Adv. 7, eabi7948 (2021), in
the form of N. Hoffmann, J. Schmidt, S. Botti, M. A. L. Marques, Digital Discovery 2, 1368 (2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from epitaxy.batches.batch import CrystalBatch
from epitaxy.core.errors import InputError
from epitaxy.graphs.elements import MAX_ATOMIC_NUMBER, element_table, matscholar_table
from epitaxy.graphs.recipe import RANKED, GraphRecipe
from epitaxy.models.cgat_recipes import RECIPES
from epitaxy.models.encoder import DepthGroup, Encoder, Features, State
from epitaxy.models.heads import HeadConfig
from epitaxy.nn.attention import Picks
from epitaxy.nn.composition import Composition
from epitaxy.nn.graph_attention import (
    AtomUpdate,
    Attention,
    BondLayer,
    BondUpdate,
    Heads,
    Messages,
    Readout,
)
from epitaxy.nn.segments import segment_mean

Elements = Literal["table", "learned", "matscholar"]
"""Vectors of the elements: properties (Xie 2018), learned, or word vectors (Hoffmann 2023)."""
BondKind = Literal["layer", "attention", "hypernetwork"]
"""How bond vectors change: `BondLayer`, or `BondUpdate` without or with a hypernetwork."""


class CGAT(Encoder):
    """Attention between the atoms of shells that are numbered, not measured.

    A bond is the number of its shell, so crystals that differ by a factor on all lengths have the
    same graph and the same prediction.

    Args:
        width: F, length of atom vectors.
        bond_width: K, length of bond vectors.
        heads: attention heads.
        hidden: length of the hidden vectors of each head; (2 F + K) / 1.5 in the released code.
        layers: steps.
        composition_layers: rounds of the composition network.
        composition_hidden: length of its hidden vectors.
        attention: a weight per channel or one for all.
        pooling: join the heads of the crystal vector, or average them.
        bonds: how bond vectors change between two steps.
        receiver: the end of a bond that hears the other one: the ``owner`` of the list of
            neighbours (as in the equations) or the listed ``neighbour`` (as released).
        elements: vectors of the elements.
        recipe: graph recipe; its rule must number shells.

    Raises:
        InputError: the graphs have no shells; or merged atoms are to hear those that list them,
            which may differ; or the word vectors are not installed.

    >>> sum(p.numel() for p in CGAT().parameters())
    645192
    """

    default_recipe = GraphRecipe(rule="shells", cutoff=18.0, shell_tolerance=0.1)
    default_head = HeadConfig(hidden=(128,), act="relu", first=False)
    recipes = RECIPES
    bonds_per_thread = 1000
    elements: Tensor

    def __init__(
        self,
        *,
        width: int = 32,
        bond_width: int = 16,
        heads: int = 3,
        hidden: int = 64,
        layers: int = 3,
        composition_layers: int = 2,
        composition_hidden: int = 64,
        attention: Attention = "vector",
        pooling: Literal["join", "mean"] = "join",
        bonds: BondKind = "layer",
        receiver: Literal["owner", "neighbour"] = "owner",
        elements: Elements = "table",
        recipe: GraphRecipe | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe or self.default_recipe
        self.check_graphs(self.recipe)
        if receiver == "neighbour" and self.recipe.merge_tolerance:
            raise InputError(
                "Merged atoms look alike to their neighbours, but perhaps not to those that list "
                "them; set merge_tolerance=0 for receiver='neighbour', or receiver='owner'."
            )
        self._settings = {
            "width": width,
            "bond_width": bond_width,
            "heads": heads,
            "hidden": hidden,
            "layers": layers,
            "composition_layers": composition_layers,
            "composition_hidden": composition_hidden,
            "attention": attention,
            "pooling": pooling,
            "bonds": bonds,
            "receiver": receiver,
            "elements": elements,
        }
        self.receiver, self.bonds = receiver, bonds
        self.width = width * heads if pooling == "join" else width
        # Constants of the architecture, not weights: they are rebuilt, never stored.
        self.register_buffer("elements", element_vectors(elements), persistent=False)
        shape = Heads(width, bond_width, heads, hidden, attention)
        inputs = self.elements.shape[1]
        self.atom_embedding = nn.Linear(inputs, width, bias=False)
        self.bond_embedding = nn.Embedding(self.recipe.neighbours, bond_width)
        self.atom_updates = nn.ModuleList(AtomUpdate(shape, first=t == 0) for t in range(layers))
        # Nobody reads the bonds after the last step.
        self.bond_updates = nn.ModuleList(
            BondLayer(bond_width)
            if bonds == "layer"
            else BondUpdate(shape, first=t == 0, hyper=bonds == "hypernetwork")
            for t in range(layers - 1)
        )
        self.readout = Readout(
            inputs,
            shape,
            layers=composition_layers,
            hidden=composition_hidden,
            mean=pooling == "mean",
        )

    @classmethod
    def check_graphs(cls, recipe: GraphRecipe) -> None:
        """Refuse graphs without shells.

        Raises:
            InputError: as said.
        """
        if recipe.rule not in RANKED:
            raise InputError(
                f"The model CGAT needs graphs with numbered shells, but the rule {recipe.rule!r} "
                f"has none; give the rule {' or '.join(sorted(RANKED, reverse=True))}, or leave "
                "the graphs to the model."
            )

    @property
    def reads_lengths(self) -> bool:
        """No: a bond is the number of its shell."""
        return False

    def settings(self) -> dict[str, Any]:
        """Return the keyword arguments that rebuild the network."""
        return dict(self._settings)

    def depth_groups(self) -> Sequence[DepthGroup]:
        """Return embedding, conv-1 ... conv-T, readout."""
        embeddings = (self.atom_embedding, self.bond_embedding)
        groups = [DepthGroup("embedding", embeddings, frozenset({"embedding"}))]
        for t, update in enumerate(self.atom_updates):
            modules = (update, *self.bond_updates[t : t + 1])
            tags = frozenset({"conv", "two-body"})
            groups.append(DepthGroup(f"conv-{t + 1}", modules, tags))
        return [*groups, DepthGroup("readout", (self.readout,), frozenset({"readout"}))]

    def advance(self, group: int, state: State, batch: CrystalBatch) -> State:
        """Run the embedding (group 0), a step or the readout.

        The state is the atom vectors, and the bond vectors where they depend on the atoms.
        """
        graph = self._graph(batch)
        if group == 0:
            atoms = self._first_atoms(batch)
            return (
                {"atoms": atoms}
                if self.bonds == "layer"
                else {
                    "atoms": atoms,
                    "bonds": self._first_bonds(batch),
                }
            )
        if group > len(self.atom_updates):
            sent, crystal = self.readout(
                state["atoms"], self._elements(), graph.composition, graph.pooling
            )
            return {"atoms": sent, "crystal": crystal}
        atoms, first = state["atoms"], self._first_atoms(batch)
        update = self.atom_updates[group - 1]
        if self.bonds == "layer":
            shells = self._shells(group - 1)
            return {"atoms": update(atoms, shells, graph.messages, first)}
        new = {"atoms": update(atoms, state["bonds"], graph.messages, first)}
        for change in self.bond_updates[group - 1 : group]:
            bonds = self._first_bonds(batch)
            new["bonds"] = change(atoms, state["bonds"], graph.ends, bonds)
        return new

    def features(self, state: State, batch: CrystalBatch) -> Features:
        """Return what the readout found; before it, the mean over the atoms of each crystal."""
        atoms = state["atoms"]
        if "crystal" in state:
            return Features(atoms, state["crystal"])
        return Features(atoms, segment_mean(atoms, batch.atom_offsets, batch.atom_weight))

    def _elements(self) -> Tensor:
        return self.elements.to(self.atom_embedding.weight.dtype)

    def _first_atoms(self, batch: CrystalBatch) -> Tensor:
        # Atoms of one element share a row: embed the table, then look it up.
        embedded: Tensor = self.atom_embedding(self._elements())
        kept = embedded.to(self.atom_embedding.weight.dtype)
        return kept.index_select(0, batch.atomic_numbers)

    def _first_bonds(self, batch: CrystalBatch) -> Tensor:
        assert batch.bond_rank is not None
        rows: Tensor = self.bond_embedding(batch.bond_rank - 1)
        return rows

    def _shells(self, steps: int) -> Tensor:
        """Return the vectors of all shells after some steps, (R, K): all bonds of a shell agree."""
        rows = self.bond_embedding.weight
        for layer in self.bond_updates[:steps]:
            rows = layer(rows).to(rows.dtype)
        return rows

    def _graph(self, batch: CrystalBatch) -> _Graph:
        dtype = self.atom_embedding.weight.dtype
        # All steps of one pass share this, and several networks may look at one batch.
        key = f"cgat_graph {self.receiver} {self.bonds == 'layer'} {self.recipe.neighbours} {dtype}"
        if key not in batch.__dict__:
            shells = self.recipe.neighbours if self.bonds == "layer" else None
            batch.__dict__[key] = _Graph.of(
                batch, dtype, owner_hears=self.receiver == "owner", shells=shells
            )
        graph: _Graph = batch.__dict__[key]
        return graph


def element_vectors(kind: Elements) -> Tensor:
    """Return the vectors of elements by atomic number, (101, inputs) float32.

    Raises:
        InputError: the word vectors are not installed.

    >>> element_vectors("table").shape, element_vectors("learned").shape
    (torch.Size([101, 92]), torch.Size([101, 101]))
    """
    if kind == "learned":
        return torch.eye(MAX_ATOMIC_NUMBER + 1)
    table = element_table() if kind == "table" else matscholar_table()
    return torch.tensor(table, dtype=torch.float32)


class _Graph(NamedTuple):
    """A batch as what the steps read of it."""

    messages: Messages
    ends: Picks
    """Owner, bond and listed neighbour, in the order of the bonds."""
    pooling: Messages
    composition: Composition

    @classmethod
    def of(
        cls, batch: CrystalBatch, dtype: torch.dtype, *, owner_hears: bool, shells: int | None
    ) -> _Graph:
        """Prepare a batch; with ``shells`` the bonds of a shell share a row of a table."""
        n_atoms, n_bonds = len(batch.atomic_numbers), len(batch.bond_src)
        assert batch.bond_rank is not None
        atom_weight, weight = batch.atom_weight.to(dtype), batch.bond_weight.to(dtype)
        rows = (
            torch.arange(n_bonds, device=weight.device) if shells is None else batch.bond_rank - 1
        )
        src, dst = (batch.bond_src, n_atoms), (batch.bond_dst, n_atoms)
        kinds = n_bonds if shells is None else shells
        ends = Picks.of(src, (rows, kinds), dst)
        if owner_hears:
            messages = Messages(ends, batch.bond_offsets, weight)
        else:
            order, offsets = batch.incoming
            columns = [(column[order], length) for column, length in (dst, (rows, kinds), src)]
            messages = Messages(Picks.of(*columns), offsets, weight[order])
        crystal = torch.repeat_interleave(torch.diff(batch.atom_offsets), output_size=n_atoms)
        atoms = torch.arange(n_atoms, device=crystal.device)
        pooling = Messages(
            Picks.of((atoms, n_atoms), (crystal, len(batch))), batch.atom_offsets, atom_weight
        )
        composition = Composition.of(batch.atomic_numbers, atom_weight, batch.atom_offsets)
        return cls(messages, ends, pooling, composition)
