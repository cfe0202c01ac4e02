"""What competes in an outer fold."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.candidates.family import TUNED, Candidate, Task
from epitaxy.fitting.folds import Held


@dataclass(frozen=True)
class Variant:
    """A candidate with its learning scale and length of training: what competes."""

    candidate: Candidate
    transform: str = "identity"
    epochs: int = 0

    @property
    def name(self) -> str:
        """Return it in words; the length of a training that was tuned differs between folds."""
        scale = "" if self.transform == "identity" else f", {self.transform}"
        told = self.epochs and TUNED not in self.candidate.settings
        return f"{self.candidate.name}{scale}" + (f", {self.epochs} epochs" if told else "")

    @property
    def transfers(self) -> bool:
        """Whether it uses what other models have learned."""
        return bool(FAMILIES[self.candidate.family].transfers)

    def reads(self, names: Collection[str]) -> bool:
        """Tell whether it uses any of these blocks of features."""
        return not set(names).isdisjoint(self.candidate.settings.get("blocks", ()))

    def task(self, held: Sequence[int]) -> Task:
        """Return its training without some folds."""
        return Task(self.candidate, tuple(sorted(held)), self.transform, self.epochs)

    def tuned(self, parameters: Mapping[str, Any], *, named: bool = False) -> Variant:
        """Return it with other hyperparameters; ``named`` says all of them in its name."""
        settings = dict(parameters)
        epochs = settings.pop("epochs", self.epochs)
        values = ", ".join(f"{k} = {v:g}" for k, v in parameters.items())
        name = f"{self.candidate.name}, {values if named else 'tuned'}"
        changed = {**self.candidate.settings, TUNED: settings}
        return Variant(Candidate(name, self.candidate.family, changed), self.transform, epochs)


@dataclass(frozen=True)
class Entrant:
    """A variant in an outer fold, with the trainings by which it is judged."""

    variant: Variant
    judged: Mapping[int, Task]
    """Inner fold -> training that saw neither it nor the outer fold."""

    @classmethod
    def of(cls, variant: Variant, held: Mapping[int, Held]) -> Entrant:
        """Return a variant that is judged as it is; ``held`` is what `folds.partners` returns."""
        return cls(variant, {inner: variant.task(pair) for inner, pair in held.items()})
