"""From axes to runs: every combination, with its settings, its id and the runs it needs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from epitaxy.core.hashing import content_hash
from epitaxy.studies.config import SOURCE, Choice, Study, leaves
from epitaxy.training.config import TrainingConfig

FIELD = re.compile(r"\{(\w[\w.-]*)\}")
"""``{AXIS}`` in a text of a configuration."""
VERB = "verb"
"""Key of a configuration beside the arguments: what is done."""
TABLE_VERBS = frozenset({"merge"})
"""Verbs that make a table and no model."""
TABLE = "table.parquet"
"""What they write."""
Configuration = dict[str, Any]


class Combination(NamedTuple):
    """One value of every axis, and the configuration that they make."""

    labels: dict[str, Any]
    """Axis -> what tables show."""
    values: dict[str, Any]
    """Axis -> what takes the place of ``{AXIS}``."""
    configuration: Configuration


class PlannedRun(NamedTuple):
    """One run of a study."""

    id: str
    """Hash of everything below but the name; the same settings have the same id in any study."""
    verb: str
    arguments: dict[str, Any]
    """As the function of the verb takes them; ``source:ID`` stands for the folder of a run."""
    needs: tuple[str, ...]
    """Runs that must be finished before."""
    source: str | None
    """Name of the source; None for a combination of axis values."""


class Plan(NamedTuple):
    """All runs of a study, those that others need first."""

    runs: dict[str, PlannedRun]
    cells: tuple[tuple[str, dict[str, Any]], ...]
    """(id of the run, axis -> label) of every combination; several may share a run."""


def combinations(study: Study, known: Collection[str]) -> Iterator[Combination]:
    """Yield all combinations that are not excluded, the last axis moving fastest.

    An axis that is named after one of the ``known`` arguments sets it.
    """
    axes = list(study.axes)
    for chosen in itertools.product(*(study.choices(axis) for axis in axes)):
        labels = {axis: choice.label for axis, choice in zip(axes, chosen, strict=True)}
        if not any(fits(labels, rule) for rule in study.exclude):
            values = {axis: choice.value for axis, choice in zip(axes, chosen, strict=True)}
            yield Combination(labels, values, _merged(study, axes, chosen, known))


def fits(labels: Mapping[str, Any], rule: Mapping[str, Any]) -> bool:
    """Tell whether a combination is one of those that a rule names.

    >>> fits({"trial": 1, "source": "gap"}, {"trial": [1, 2]})
    True
    """
    return all(
        labels.get(axis) in (wanted if isinstance(wanted, list) else [wanted])
        for axis, wanted in rule.items()
    )


def filled(node: Any, values: Mapping[str, Any], field: re.Pattern[str] = FIELD) -> Any:
    """Put values, those of the axes for example, into all texts; a lone field becomes the value.

    Fields without a value stay as they are. The first group of ``field`` is the name.

    >>> filled({"seed": "{trial}", "split": "s.json:{trial}/{n}"}, {"trial": 2, "n": 50})
    {'seed': 2, 'split': 's.json:2/50'}
    """
    if isinstance(node, Mapping):
        return {key: filled(part, values, field) for key, part in node.items()}
    if isinstance(node, list):
        return [filled(part, values, field) for part in node]
    if not isinstance(node, str):
        return node
    whole = field.fullmatch(node)
    if whole and whole[1] in values:
        return values[whole[1]]
    return field.sub(lambda m: str(values[m[1]]) if m[1] in values else m[0], node)


def nested(settings: Mapping[str, Any]) -> Configuration:
    """Turn ``{"training.epochs": 3}`` into ``{"training": {"epochs": 3}}``, at the top only."""
    result: Configuration = {}
    for key, value in settings.items():
        *parents, last = key.split(".")
        part: Any = {last: value}
        for parent in reversed(parents):
            part = {parent: part}
        result = update(result, part)
    return result


def update(old: Mapping[str, Any], new: Mapping[str, Any]) -> Configuration:
    """Return ``old`` with ``new`` in it; mappings are joined, everything else replaced."""
    result = dict(old)
    for key, value in new.items():
        before = result.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        result[key] = update(before, value) if both else value  # type: ignore[arg-type]
    return result


def normalised(configuration: Configuration) -> Configuration:
    """Return one configuration for all ways of writing the same.

    A null argument is as good as none, and settings of the training stand in ``training``.
    """
    given = {key: value for key, value in configuration.items() if value is not None}
    training = given.get("training", {})
    single = {key: value for key, value in given.items() if key in TrainingConfig.model_fields}
    if not single or not isinstance(training, Mapping):
        return given
    rest = {key: value for key, value in given.items() if key not in single}
    return {**rest, "training": {**training, **single}}


def plan(study: Study, arguments_of: Mapping[str, Collection[str]]) -> Plan:
    """Return the runs of a study that has no mistakes.

    Args:
        study: what the file says.
        arguments_of: verb -> arguments that its function takes; others are left out.
    """
    runs: dict[str, PlannedRun] = {}
    cells = []
    for combination in combinations(study, frozenset().union(*arguments_of.values())):
        planner = _Planner(study, arguments_of, combination, runs)
        cells.append((planner.add(combination.configuration), combination.labels))
    return Plan(runs, tuple(cells))


class _Planner:
    """Adds a run and the sources that it needs, for one combination of axis values."""

    def __init__(
        self,
        study: Study,
        arguments_of: Mapping[str, Collection[str]],
        combination: Combination,
        runs: dict[str, PlannedRun],
    ) -> None:
        self.study, self.arguments_of = study, arguments_of
        self.values, self.runs = combination.values, runs

    def add(self, configuration: Configuration, source: str | None = None) -> str:
        """Return the id of a run, which is planned with all that it needs if it is new."""
        given = normalised(filled(configuration, self.values))
        verb = given.pop(VERB)
        used = {key: value for key, value in given.items() if key in self.arguments_of[verb]}
        needs: list[str] = []
        arguments = self._with_ids(used, needs)
        identity = content_hash({VERB: verb, "arguments": arguments})
        if identity not in self.runs or source is None:
            # Asked for by its axes, a source is a run like any other.
            self.runs[identity] = PlannedRun(identity, verb, arguments, tuple(needs), source)
        return identity

    def _with_ids(self, node: Any, needs: list[str]) -> Any:
        if isinstance(node, Mapping):
            return {key: self._with_ids(part, needs) for key, part in node.items()}
        if isinstance(node, list):
            return [self._with_ids(part, needs) for part in node]
        if not isinstance(node, str) or not node.startswith(SOURCE):
            return node
        name = node.removeprefix(SOURCE)
        identity = self.add(nested(self.study.sources[name]), name)
        if identity not in needs:
            needs.append(identity)
        return SOURCE + identity


def fields(node: Any) -> list[str]:
    """Return the names of all ``{AXIS}`` in the texts of a configuration."""
    texts = [text for text in leaves(node) if isinstance(text, str)]
    return list(dict.fromkeys(name for text in texts for name in FIELD.findall(text)))


def names_argument(axis: str, known: Collection[str]) -> bool:
    """Tell whether an axis is named after an argument, or a setting within one.

    >>> names_argument("training.epochs", {"training"}), names_argument("trial", {"training"})
    (True, False)
    """
    name = axis.partition(".")[0]
    return name in {VERB, *known} or name in TrainingConfig.model_fields


def _merged(
    study: Study, axes: Sequence[str], chosen: Sequence[Choice], known: Collection[str]
) -> Configuration:
    configuration = nested(study.base)
    for axis, choice in zip(axes, chosen, strict=True):
        if choice.settings is not None:
            configuration = update(configuration, nested(choice.settings))
        elif names_argument(axis, known):
            configuration = update(configuration, nested({axis: choice.value}))
    return configuration
