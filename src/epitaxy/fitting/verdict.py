"""The guard: whether transfer beat the best model without it, in plain words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from epitaxy.fitting.bundling import Handed, blends_of
from epitaxy.fitting.folds import FOLDS
from epitaxy.fitting.problem import Problem
from epitaxy.fitting.protocol import Nested
from epitaxy.fitting.score import Score, difference
from epitaxy.reports.numbers import interval_text, with_unit

PLAIN = "The model handed over uses no transfer."


class Verdict(NamedTuple):
    """What the guard found."""

    handed: Handed
    used_in: int
    """Outer folds whose model uses transfer."""
    change: Score | None
    """Outer error with the guard minus that without transfer; None if they are one model."""
    sentence: str
    """In words; empty where no candidate uses transfer."""
    hands_over_plain: bool = False
    """Whether models without transfer are taken in place of what was chosen."""


def judge(problem: Problem, outcome: Nested) -> Verdict:
    """Say whether transfer helped, and hand over the better model.

    Inside the outer folds transfer was taken only where it was better by more than chance. Where
    that is so in less than half of the outer folds, or where the rows outside contradict (the 95 %
    interval of the difference lies above 0), the models without transfer are handed over.
    """
    guarded = Handed(blends_of(outcome.outer, plain=False), outcome.chosen)
    transferring = any(v.transfers for fold in outcome.outer for v in fold.variants.values())
    if not transferring:
        return Verdict(guarded, 0, None, "")
    if 2 * outcome.transfers < len(outcome.outer):
        return _without(outcome, None, _did_not_help(problem, outcome))
    change, told = _compared(problem, outcome)
    if change.interval[0] > 0:
        return _without(outcome, change, f"Transfer did harm: {told}. {PLAIN}")
    often = f"it was taken in {outcome.transfers} of {len(outcome.outer)} outer folds"
    helped = "Transfer helped" if change.interval[1] < 0 else "Whether transfer helps is not sure"
    return Verdict(guarded, outcome.transfers, change, f"{helped}: {often}; {told}.")


def _without(outcome: Nested, change: Score | None, sentence: str) -> Verdict:
    handed = Handed(blends_of(outcome.outer, plain=True), outcome.plain)
    return Verdict(handed, 0, change, sentence, hands_over_plain=True)


def _did_not_help(problem: Problem, outcome: Nested) -> str:
    gain = float(np.mean([fold.choice.gain for fold in outcome.outer]))
    often = f"only {outcome.transfers}" if outcome.transfers else "none"
    return (
        f"Transfer did not help: in {often} of the {len(outcome.outer)} outer folds was the best "
        "choice with it better inside than the best without it by more than chance (mean gain "
        f"{with_unit(gain, problem.spec.unit, 2)}). {PLAIN}"
    )


def _compared(problem: Problem, outcome: Nested) -> tuple[Score, str]:
    """Return the outer error with transfer minus that without, and both in words."""
    unit = problem.spec.unit
    found = (outcome.chosen, outcome.plain)
    errors, plain = (np.abs(p - problem.labels)[problem.scored] for p in found)
    change = difference(errors, plain, problem.scored_groups, FOLDS)
    return change, (
        f"on the outer rows the error with it is {with_unit(float(errors.mean()), unit, 3)}, "
        f"without it {with_unit(float(plain.mean()), unit, 3)} (difference "
        f"{with_unit(change.mae, unit, 2)}, 95 % interval "
        f"{interval_text(change.interval, unit, 2)})"
    )
