"""Whether transfer helps, on rows outside every choice, and what is handed over therefore."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from epitaxy.fitting.bundling import Handed, blends_of
from epitaxy.fitting.folds import FOLDS
from epitaxy.fitting.problem import Problem
from epitaxy.fitting.protocol import Nested
from epitaxy.reports.numbers import interval_text, with_unit
from epitaxy.results.intervals import Score, difference

HELPS, HURTS, NO_DIFFERENCE = "helps", "hurts", "no difference"


class Effect(NamedTuple):
    """Error with transfer minus error without it, on the same rows."""

    with_it: float
    without: float
    difference: Score
    unit: str

    @property
    def verdict(self) -> str:
        """`HELPS` or `HURTS` where the 95 % interval is clear of zero, else `NO_DIFFERENCE`."""
        low, high = self.difference.interval
        return HELPS if high < 0 else HURTS if low > 0 else NO_DIFFERENCE

    @property
    def bound(self) -> float:
        """Size that the effect does not exceed, with 95 % confidence."""
        return max(abs(end) for end in self.difference.interval)

    def text(self) -> str:
        """Return the verdict in words."""
        said = {
            HELPS: "Transfer helps",
            HURTS: "Transfer hurts",
            NO_DIFFERENCE: (
                f"Transfer makes no difference larger than {with_unit(self.bound, self.unit, 2)}"
            ),
        }[self.verdict]
        return (
            f"{said}: the error with it is {with_unit(self.with_it, self.unit, 3)}, without it "
            f"{with_unit(self.without, self.unit, 3)} (difference "
            f"{with_unit(self.difference.mae, self.unit, 2)}, 95 % interval "
            f"{interval_text(self.difference.interval, self.unit, 2)})."
        )

    def content(self) -> dict[str, Any]:
        """Return what score.json keeps."""
        return {
            "verdict": self.verdict,
            "with": self.with_it,
            "without": self.without,
            "difference": self.difference.mae,
            "interval": list(self.difference.interval),
            "bound": self.bound,
        }


class Verdict(NamedTuple):
    """What is handed over, and why."""

    handed: Handed
    used_in: int
    """Outer folds whose model uses transfer."""
    effect: Effect | None
    """None where no candidate uses transfer, or there are too few rows to tell."""
    sentence: str
    """In words; empty where no candidate uses transfer."""
    hands_over_plain: bool = False
    """Whether models without transfer are taken in place of what was chosen."""


def judge(problem: Problem, outcome: Nested) -> Verdict:
    """Say whether transfer helps, and hand over the better model.

    The effect is that of the best blend with transfer over the best without it, chosen inside
    each outer fold, on the rows outside: with transfer where it was taken, if it is handed over,
    and everywhere if it is not. Models with transfer are handed over where they were
    better by more than chance inside at least half of the outer folds, and better at all outside;
    otherwise the simpler ones are.
    """
    guarded = Handed(blends_of(outcome.outer, "chosen"), outcome.chosen)
    if not any(
        variant.transfers and not variant.reads(problem.apart)
        for fold in outcome.outer
        for variant in fold.variants.values()
    ):
        return Verdict(guarded, 0, None, "")
    gains = _error(problem, outcome.chosen) < _error(problem, outcome.plain)
    if gains and 2 * outcome.transfers >= len(outcome.outer):
        effect = effect_of(problem, outcome.chosen, outcome.plain)
        often = f"{outcome.transfers} of {len(outcome.outer)} outer folds"
        told = f"The model uses it: inside, it was better by more than chance in {often}."
        return Verdict(guarded, outcome.transfers, effect, _joined(effect, told))
    effect = effect_of(problem, outcome.free, outcome.plain)
    plain = Handed(blends_of(outcome.outer, "plain"), outcome.plain)
    told = _joined(effect, "The model does not use it.")
    return Verdict(plain, 0, effect, told, hands_over_plain=True)


def effect_of(problem: Problem, found: np.ndarray, plain: np.ndarray) -> Effect | None:
    """Compare two sets of (n,) outer predictions, paired, on the rows of the headline."""
    rows = problem.headline
    if not len(rows):
        return None
    errors, others = (np.abs(p - problem.labels)[rows] for p in (found, plain))
    change = difference(errors, others, problem.groups_of(rows), FOLDS)
    return Effect(float(errors.mean()), float(others.mean()), change, problem.spec.unit)


def _joined(effect: Effect | None, told: str) -> str:
    return f"{effect.text()} {told}" if effect else told


def _error(problem: Problem, predictions: np.ndarray) -> float:
    rows = problem.told
    return float(np.abs(predictions - problem.labels)[rows].mean())
