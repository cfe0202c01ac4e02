"""What was chosen, trained once more on all rows: this gives the values of new crystals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.candidates.family import Task
from epitaxy.fitting.choosing import Blend
from epitaxy.fitting.repeats import Repeat, blended_folds

EVERYTHING = ()
"""Nothing is held out."""


class Part(NamedTuple):
    """A training whose model gives part of the values."""

    repeat: int
    task: Task
    weight: float


def parts_of(repeats: Sequence[Repeat], blends: Sequence[Blend]) -> list[Part]:
    """Train the shallow members of the blends on all rows; return what gives the values.

    A shallow model that saw everything is better than the mean of those that saw four fifths each.
    Networks cost too much to be trained once more and gain more from being many, so theirs
    are the models of the outer folds; so is what fails on all rows, or
    for which a deadline leaves no time. The weights add up to 1.

    Args:
        repeats: all repeats.
        blends: what is handed over of each outer fold of all repeats, in order.
    """
    runner = repeats[0].runner
    of_folds = [
        Part(number, fold.variants[name].task((fold.number,)), weight / len(blends))
        for number, fold, blend in blended_folds(repeats, blends)
        for name, weight in sorted(blend.items())
    ]
    again = [_of_everything(part.task) for part in of_folds if not _is_network(part.task)]
    runner.do(again, "Training on everything", tail=lambda _: 0.0)
    found: dict[str, Part] = {}
    for part in of_folds:
        task = _of_everything(part.task)
        as_it_is = _is_network(task) or runner.has_failed(task)
        one = part if as_it_is else Part(0, task, part.weight)
        # Not by name: tuned candidates have other settings in each fold under the same name.
        key = f"{one.repeat}/{one.task.key(repeats[one.repeat].problem)}"
        before = found[key].weight if key in found else 0.0
        found[key] = one._replace(weight=before + one.weight)
    return list(found.values())


def _of_everything(task: Task) -> Task:
    return replace(task, held=EVERYTHING)


def _is_network(task: Task) -> bool:
    return bool(FAMILIES[task.candidate.family].is_network)
