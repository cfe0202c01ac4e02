"""`Mixture`: one encoder made of many pre-trained ones (Chang, Wang and Ertekin 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from epitaxy.batches.batch import CrystalBatch
from epitaxy.batches.inputs import Needs
from epitaxy.core.errors import InputError, unknown
from epitaxy.graphs.elements import element_table
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models import encoder_kind
from epitaxy.models.encoder import DepthGroup, Encoder, Features, State
from epitaxy.models.heads import HeadConfig
from epitaxy.models.training_recipe import TrainingRecipe
from epitaxy.nn.gate import Gate, concentration
from epitaxy.nn.mlp import MLP, activation
from epitaxy.nn.segments import segment_mean

Aggregation = Literal["add", "concat", "ensemble"]
GateKind = Literal["scores", "composition"]
CHANG_2022 = TrainingRecipe(
    {
        "epochs": 1000,
        "batch_size": 250,
        "optimiser": "adam",
        "learning_rate": 0.01,
        "weight_decay": 0.0,
        "schedule": "cosine",
        "schedule_epochs": 1000,
        "loss": "mse",
        "patience": 501,
    }
)


@dataclass(frozen=True)
class Expert:
    """A pre-trained encoder as part of a mixture."""

    name: str
    architecture: str
    """Name of its class in the registries of `epitaxy.models`."""
    encoder: Encoder
    act: str = "none"
    """Activation on its crystal vector: that with which its own head began."""
    frozen: int = 0
    """Leading depth groups that never train."""

    def settings(self) -> dict[str, Any]:
        """Return everything but the weights, JSON-serialisable."""
        return {
            "name": self.name,
            "architecture": self.architecture,
            "encoder": self.encoder.settings(),
            "recipe": self.encoder.recipe.model_dump(mode="json"),
            "act": self.act,
            "frozen": self.frozen,
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Expert:
        """Rebuild an expert with fresh weights."""
        recipe = GraphRecipe(**settings["recipe"])
        kind = encoder_kind(settings["architecture"])
        encoder = kind.rebuild(settings["encoder"], recipe)
        return cls(**{**{k: v for k, v in settings.items() if k != "recipe"}, "encoder": encoder})


class _Place(NamedTuple):
    """A depth group of an expert."""

    expert: int
    group: int
    name: str
    last: bool


class Mixture(Encoder):
    """Weighted combination of the crystal vectors of m experts, of which k count.

    Experts that do not count are not computed. Every expert reads the graphs that it was trained
    with. A linear map brings vectors of another length to the common one; vectors of the common
    length are taken as they are, as published.

    Args:
        experts: what is mixed.
        k: how many count, chosen by their scores.
        aggregation: ``add`` (weighted sum), ``concat`` (side by side, each times its score) or
            ``ensemble`` (weighted sum of the numbers that one small network per expert returns).
        gate: ``scores``, one per expert; or ``composition``, scores that also depend on the
            elements of the crystal.
        width: common length of the vectors; None takes that of most experts.
        hidden: layers of the networks of an ensemble.
        strength: factor of the regulariser (a.a - 1)^2, which is there for ``add`` only.
        recipe: graph recipe of the batches; None takes that of the first expert.

    Raises:
        InputError: k or a choice is impossible, or two experts have one name.
    """

    default_head = HeadConfig(hidden=(32, 32), act="softplus", first=False)
    recipes: ClassVar[Mapping[str, TrainingRecipe]] = {
        "default": TrainingRecipe(),
        "published": CHANG_2022,
    }
    elements: Tensor

    def __init__(
        self,
        *,
        experts: Sequence[Expert],
        k: int,
        aggregation: Aggregation = "add",
        gate: GateKind = "scores",
        width: int | None = None,
        hidden: Sequence[int] = (32, 32),
        strength: float = 0.01,
        recipe: GraphRecipe | None = None,
    ) -> None:
        super().__init__()
        _check(experts, k, aggregation, gate)
        self.experts = tuple(experts)
        self.aggregation, self.gate_kind, self.hidden = aggregation, gate, tuple(hidden)
        self.strength = strength
        self.recipe = recipe or self._common_recipe()
        self.common = width or self._common_width()
        self.width = {"add": 1, "concat": len(experts)}.get(aggregation, 0) * self.common or 1
        self.encoders = nn.ModuleList(expert.encoder for expert in experts)
        self.maps = nn.ModuleList(
            nn.Identity()
            if e.encoder.width == self.common
            else nn.Linear(e.encoder.width, self.common)
            for e in experts
        )
        table = torch.tensor(element_table(), dtype=torch.float32)
        self.register_buffer("elements", table, persistent=False)
        self.gate = Gate(len(experts), k, table.shape[1] if gate == "composition" else 0)
        members = experts if aggregation == "ensemble" else ()
        self.members = nn.ModuleList(
            MLP(self.common, self.hidden, act="softplus", first=False) for _ in members
        )
        self.acts = [activation(expert.act) for expert in experts]
        # Hashed once: every step asks for them.
        self._devices: list[torch.device | None] = [None] * len(experts)
        self._graph_names = [_graph_name(expert.encoder.recipe) for expert in experts]
        self.places = self._ordered()
        self._penalty: Tensor | None = None

    def settings(self) -> dict[str, Any]:
        """Return what `rebuild` needs."""
        return {
            "experts": [expert.settings() for expert in self.experts],
            "k": self.gate.k,
            "aggregation": self.aggregation,
            "gate": self.gate_kind,
            "width": self.common,
            "hidden": list(self.hidden),
            "strength": self.strength,
        }

    @classmethod
    def rebuild(cls, settings: Mapping[str, Any], recipe: GraphRecipe) -> Mixture:
        """Return a mixture with fresh weights from what `settings` returned."""
        experts = [Expert.from_settings(expert) for expert in settings["experts"]]
        return cls(**{**settings, "experts": experts, "recipe": recipe})

    @property
    def needs(self) -> Needs:
        """The graphs of experts with another recipe, and what the experts need themselves."""
        found: dict[str, GraphRecipe | str] = {}
        for expert in self.experts:
            found |= expert.encoder.needs
            if not expert.encoder.needs and expert.encoder.recipe != self.recipe:
                found[_graph_name(expert.encoder.recipe)] = expert.encoder.recipe
        return found

    def spread(self, devices: Sequence[torch.device]) -> None:
        """Put the experts on these devices in turn; all else stays on the first of them."""
        for number, encoder in enumerate(self.encoders):
            device = devices[number % len(devices)]
            encoder.to(device)
            self._devices[number] = device

    def gate_weights(self) -> dict[str, float]:
        """Return the weight of every expert by name; 0 where it does not count."""
        names = [expert.name for expert in self.experts]
        return dict(zip(names, self.gate.weights().tolist(), strict=True))

    def depth_groups(self) -> Sequence[DepthGroup]:
        """Return what never trains of all experts, then the rest of them, then ``gate``."""
        found = []
        for place in self.places:
            group = self.experts[place.expert].encoder.depth_groups()[place.group]
            found.append(DepthGroup(place.name, group.modules, group.tags))
        mixing: tuple[nn.Module, ...] = (self.gate, self.maps, self.members)
        return [*found, DepthGroup("gate", mixing, frozenset({"gate"}))]

    def forward(self, batch: CrystalBatch, *, start: int = 0) -> Features:
        """Encode a batch with the experts that count, from depth group ``start`` on."""
        chosen = self.gate.chosen()
        counting = set(chosen)
        state: State = {}
        for number in range(start, len(self.places)):
            if self.places[number].expert in counting:
                state = self._advanced(number, state, batch)
        return self.features(self._mixed(chosen, state, batch), batch)

    def advance(self, group: int, state: State, batch: CrystalBatch) -> State:
        """Run a depth group of an expert, or the gate."""
        if group == len(self.places):
            return self._mixed(self.gate.chosen(), state, batch)
        return self._advanced(group, state, batch)

    def prefix(self, batch: CrystalBatch, stop: int) -> State:
        """Return the state of all experts after the first ``stop`` depth groups."""
        state = super().prefix(batch, stop)
        if self.gate.slopes is not None and stop <= len(self.places):
            state[COMPOSITION] = self._composition(batch)
        return state

    def features(self, state: State, batch: CrystalBatch) -> Features:
        """Return the mixed vectors; the experts' vectors of atoms are not mixed."""
        del batch  # everything is in the state
        crystal = state["crystal"]
        return Features(crystal.new_zeros((0, self.width)), crystal)

    @property
    def reads_lengths(self) -> bool:
        """Whether any expert does."""
        return any(expert.encoder.reads_lengths for expert in self.experts)

    def read(self, batch: CrystalBatch, name: str) -> CrystalBatch:
        """Return the graph to which the state ``name`` belongs."""
        expert = name.rpartition("/")[0]
        numbers = [i for i, e in enumerate(self.experts) if e.name == expert]
        return self._graph(numbers[0], batch) if numbers else batch

    def penalty(self) -> Tensor | None:
        """Return the regulariser for the weights of the last forward pass."""
        return self._penalty

    def _advanced(self, number: int, state: State, batch: CrystalBatch) -> State:
        """Run one depth group of an expert; after its last one only the crystal vectors stay."""
        place = self.places[number]
        expert = self.experts[place.expert]
        before = f"{expert.name}/"
        # The first time, an expert starts from its cached state; the others' is not gathered.
        source = state if any(k.startswith(before) for k in state) else batch.state
        own = {k.removeprefix(before): source[k] for k in source if k.startswith(before)}
        graph, device = self._graph(place.expert, batch), self._devices[place.expert]
        if device is not None:
            graph, own = _on(graph, device), {k: v.to(device) for k, v in own.items()}
        own = expert.encoder.advance(place.group, own, graph)
        if place.last:
            crystal = expert.encoder.features(own, graph).crystal
            own = {"crystal": crystal.to(self.gate.scores.device)}
        others = {k: v for k, v in state.items() if not k.startswith(before)}
        return others | {before + k: v for k, v in own.items()}

    def _mixed(self, chosen: Sequence[int], state: State, batch: CrystalBatch) -> State:
        """Combine the crystal vectors of the chosen experts."""
        vectors = [self._vector(i, state, batch) for i in chosen]
        weights = self.gate(chosen, self._gate_inputs(state, batch))
        self._penalty = None
        if self.aggregation == "concat":
            scores = self.gate.scores[chosen]
            return {"crystal": torch.cat([s * v for s, v in zip(scores, vectors, strict=True)], 1)}
        if self.aggregation == "ensemble":
            numbers = [self.members[i](v) for i, v in zip(chosen, vectors, strict=True)]
            return {"crystal": (torch.stack(numbers, dim=1) * weights).sum(1, keepdim=True)}
        if self.strength:
            self._penalty = self.strength * concentration(weights)
        # (B, F, k) @ (k,) or (B, k, 1): one product instead of k sums.
        stacked = torch.stack(vectors, dim=2)
        return {"crystal": (stacked @ weights.unsqueeze(-1).to(stacked.dtype)).squeeze(2)}

    def _vector(self, expert: int, state: State, batch: CrystalBatch) -> Tensor:
        name = f"{self.experts[expert].name}/crystal"
        # Pooled vectors of a wholly frozen expert come from the cache.
        crystal = state[name] if name in state else batch.state[name]
        vector: Tensor = self.maps[expert](self.acts[expert](crystal))
        return vector

    def _gate_inputs(self, state: State, batch: CrystalBatch) -> Tensor | None:
        if self.gate.slopes is None:
            return None
        if COMPOSITION in state:
            return state[COMPOSITION]
        return batch.state[COMPOSITION] if COMPOSITION in batch.state else self._composition(batch)

    def _composition(self, batch: CrystalBatch) -> Tensor:
        """Return the mean of the elements' features over the atoms, (B, 92)."""
        dtype = self.gate.scores.dtype
        rows = self.elements.to(dtype).index_select(0, batch.atomic_numbers)
        return segment_mean(rows, batch.atom_offsets, batch.atom_weight.to(dtype))

    def _graph(self, expert: int, batch: CrystalBatch) -> CrystalBatch:
        name, needs = self._graph_names[expert], self.experts[expert].encoder.needs
        graph = batch.extras[name] if name in batch.extras and not needs else batch
        assert isinstance(graph, CrystalBatch)
        return graph

    def _ordered(self) -> list[_Place]:
        """Return the depth groups of all experts, those that never train first."""
        frozen: list[_Place] = []
        rest: list[_Place] = []
        for number, expert in enumerate(self.experts):
            groups = expert.encoder.depth_groups()
            for g, group in enumerate(groups):
                name = f"{expert.name}/{group.name}"
                place = _Place(number, g, name, last=g == len(groups) - 1)
                (frozen if g < expert.frozen else rest).append(place)
        return [*frozen, *rest]

    def _common_recipe(self) -> GraphRecipe:
        read = [e.encoder.recipe for e in self.experts if not e.encoder.needs]
        return max(read, key=read.count) if read else GraphRecipe()

    def _common_width(self) -> int:
        networks = [e.encoder.width for e in self.experts if not e.encoder.needs]
        widths = networks or [e.encoder.width for e in self.experts]
        return max(widths, key=widths.count)


COMPOSITION = "composition/crystal"
"""State from which a gate that looks at the elements is computed."""


def _on(batch: CrystalBatch, device: torch.device) -> CrystalBatch:
    """Return a batch on a device; it is kept, since several experts may read it there."""
    key = f"on {device}"
    if key not in batch.__dict__:
        batch.__dict__[key] = batch.to(device)
    moved: CrystalBatch = batch.__dict__[key]
    return moved


def _graph_name(recipe: GraphRecipe) -> str:
    return f"graphs {recipe.hash}"


def _check(experts: Sequence[Expert], k: int, aggregation: str, gate: str) -> None:
    names = [expert.name for expert in experts]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise InputError(f"Two experts are called {double[0]!r}; give them different names.")
    if not 1 <= k <= len(experts):
        raise InputError(
            f"k = {k} of {len(experts)} experts cannot be chosen; give 1 to their number."
        )
    for kind, given, allowed in (
        ("aggregation", aggregation, get_args(Aggregation)),
        ("gate", gate, get_args(GateKind)),
    ):
        if given not in allowed:
            raise unknown(kind, given, allowed)
    if aggregation == "concat" and k < len(experts):
        raise InputError(
            f"Side by side ('concat') all {len(experts)} experts count, but k = {k}; leave k out."
        )
