"""Everything that is wrong with a study file, in sentences, before anything is started."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from epitaxy.core.errors import suggestion
from epitaxy.studies.config import SOURCE, Study, leaves
from epitaxy.studies.expanding import (
    TABLE_VERBS,
    VERB,
    Configuration,
    combinations,
    fields,
    filled,
    fits,
    names_argument,
    nested,
    normalised,
)
from epitaxy.studies.results import COLUMNS
from epitaxy.studies.settings import wrong_settings
from epitaxy.studies.verbs import DECIDED, SUBSET, VERBS, arguments_of, parameters
from epitaxy.training.config import TrainingConfig


def mistakes(study: Study) -> list[str]:
    """Return one sentence per mistake; nothing when the study can be run.

    The rows of all data sets are read, once each, so that a misspelt property is found here.
    """
    called = _configurations(study)
    complete = [given for group in called.values() for given in group]
    found = [
        *_of_axes(study),
        *_of_fields(study),
        *_of_verbs(study),
        *_of_names(study),
        *_of_sources(study, called),
        *_of_excluded(study),
        *_of_compared(study),
        *(sentence for given in complete for sentence in _of_run(given)),
        *_of_tables(called),
    ]
    return list(dict.fromkeys([*found, *wrong_settings(complete, called)]))


def _configurations(study: Study) -> dict[str, list[Configuration]]:
    """Return the settings of all runs by the name of their source; "" are the combinations."""
    found: dict[str, dict[str, Configuration]] = {name: {} for name in ("", *study.sources)}
    for combination in combinations(study, _known()):
        wholes = {"": combination.configuration}
        for name in (reached := [""]):
            whole = wholes.get(name) or nested(study.sources[name])
            given = normalised(filled(whole, combination.values))
            allowed = arguments_of().get(str(given.get(VERB)), given.keys())
            used = {key: value for key, value in given.items() if key in {*allowed, VERB}}
            found[name][repr(used)] = used
            # Only what this combination starts from: of others, its values may make no sense.
            reached += [n for n in _called([used]) if n in study.sources and n not in reached]
    return {name: list(unique.values()) for name, unique in found.items()}


def _called(configurations: Sequence[Configuration]) -> list[str]:
    """Return the names of the sources from which runs start."""
    texts = [text for text in leaves(list(configurations)) if isinstance(text, str)]
    found = [text.removeprefix(SOURCE) for text in texts if text.startswith(SOURCE)]
    return list(dict.fromkeys(found))


def _reached(called: Mapping[str, Sequence[Configuration]], start: str) -> list[str]:
    """Return ``start`` and all sources that it needs, directly or through others."""
    reached = [start]
    for name in reached:
        reached += [n for n in _called(called[name]) if n in called and n not in reached]
    return reached


def _known() -> frozenset[str]:
    return frozenset().union(*arguments_of().values())


def _parts(study: Study) -> dict[str, Configuration]:
    """Return all pieces of configuration by where they stand in the file."""
    parts = {"base": nested(study.base)}
    parts |= {f"sources.{name}": nested(given) for name, given in study.sources.items()}
    for axis in study.axes:
        for choice in study.choices(axis):
            if choice.settings is not None:
                parts[f"axes.{axis}.{choice.label}"] = nested(choice.settings)
    return parts


def _of_axes(study: Study) -> Iterator[str]:
    used = fields([study.base, study.sources, study.axes])
    for axis in study.axes:
        choices = study.choices(axis)
        if axis in COLUMNS:
            other = "training.epochs" if axis == "epochs" else f"my_{axis}"
            yield f"The axis {axis!r} has the name of a result; call it {other!r}, say."
        labels = [str(choice.label) for choice in choices]
        if not choices:
            yield f"The axis {axis!r} has no value."
        for label in dict.fromkeys(x for x in labels if labels.count(x) > 1):
            yield f"The axis {axis!r} has the value {label!r} twice."
        valued = any(choice.settings is None for choice in choices)
        if valued and axis not in used and not names_argument(axis, _known()):
            near = suggestion(axis, [*sorted(_known()), *TrainingConfig.model_fields])
            yield (
                f"The axis {axis!r} is no argument, and nothing refers to it as '{{{axis}}}'.{near}"
            )


def _of_fields(study: Study) -> Iterator[str]:
    for name in fields([study.base, study.sources, study.axes]):
        if name not in study.axes:
            yield f"There is no axis {name!r} for '{{{name}}}'.{suggestion(name, study.axes)}"


def _of_verbs(study: Study) -> Iterator[str]:
    for where, part in _parts(study).items():
        if VERB in part and part[VERB] not in VERBS and not fields(part[VERB]):
            yield (
                f"{where}: unknown verb {part[VERB]!r}; allowed: "
                f"{', '.join(VERBS)}.{suggestion(str(part[VERB]), VERBS)}"
            )
        if VERB not in part and where.startswith("sources."):
            yield f"{where}: the key 'verb' is missing; allowed: {', '.join(VERBS)}."


def _of_names(study: Study) -> Iterator[str]:
    """Find arguments that nothing takes, in all places where they may stand."""
    parts = _parts(study)
    verbs = {part[VERB] for part in parts.values() if VERB in part} | {
        choice.value for choice in (study.choices(VERB) if VERB in study.axes else [])
    }
    verbs &= set(VERBS)
    taken = {verb: _taken(verb) for verb in verbs}
    of_any = frozenset().union(*taken.values()) if taken else frozenset()
    for where, part in parts.items():
        alone = where.startswith("sources.") and part.get(VERB) in VERBS
        allowed = taken[part[VERB]] if alone else of_any
        for key in part if verbs else ():
            if key not in allowed and key != VERB:
                yield f"{where}: {_not_taken(key, allowed, [part[VERB]] if alone else verbs)}"
    for axis in study.axes:
        name = axis.partition(".")[0]
        if verbs and name in _known() - of_any:
            yield f"axes: {_not_taken(name, of_any, verbs)}"


def _taken(verb: str) -> frozenset[str]:
    return arguments_of()[verb] | TrainingConfig.model_fields.keys()


def _not_taken(key: str, allowed: Collection[str], verbs: Collection[str]) -> str:
    if key in DECIDED:
        return f"{key!r} is decided by the study; leave it out."
    verb = " and ".join(sorted(verbs))
    return f"there is no argument {key!r} of {verb}.{suggestion(key, allowed)}"


def _of_sources(study: Study, called: Mapping[str, Sequence[Configuration]]) -> Iterator[str]:
    reached = _reached(called, "")
    for name in reached:
        for other in _called(called[name]):
            if other not in study.sources:
                near = suggestion(other, study.sources)
                yield f"There is no source {other!r} for '{SOURCE}{other}'.{near}"
            elif name and name in _reached(called, other):
                yield f"The source {name!r} needs itself, directly or through others."
    for name in study.sources:
        if name not in reached:
            yield (
                f"The source {name!r} is used nowhere; write '{SOURCE}{name}' where a model is "
                "named."
            )


def _of_excluded(study: Study) -> Iterator[str]:
    hit: set[str] = set()
    for number, rule in enumerate(study.exclude, 1):
        yield from _of_choice(study, rule, f"exclude, entry {number}")
    labels = [c.labels for c in combinations(study.model_copy(update={"exclude": ()}), ())]
    for number, rule in enumerate(study.exclude, 1):
        left_out = [one for one in labels if fits(one, rule)]
        hit.update(map(str, left_out))
        if not rule:
            yield f"exclude, entry {number} names no axis; it would exclude everything."
    if labels and study.exclude and len(hit) == len(labels):
        yield "No run is left: everything is excluded."


def _of_choice(study: Study, rule: Mapping[str, Any], where: str) -> Iterator[str]:
    """Find axes and values in ``rule`` that do not exist."""
    for axis, wanted in rule.items():
        if axis not in study.axes:
            yield f"{where}: there is no axis {axis!r}.{suggestion(axis, study.axes)}"
            continue
        labels = [choice.label for choice in study.choices(axis)]
        for value in wanted if isinstance(wanted, list) else [wanted]:
            if value not in labels:
                near = suggestion(str(value), map(str, labels))
                yield f"{where}: the axis {axis!r} has no value {value!r}.{near}"


def _of_compared(study: Study) -> Iterator[str]:
    compare = study.compare
    if compare is None:
        return
    for axis in compare.over:
        if axis not in study.axes:
            yield f"compare.over: there is no axis {axis!r}.{suggestion(axis, study.axes)}"
        if axis in compare.baseline:
            yield f"compare: {axis!r} is averaged over and cannot be the baseline too."
    for role, axis in compare.roles.items():
        if axis not in study.axes and axis != "property":
            yield f"compare.roles.{role}: no axis {axis!r}.{suggestion(axis, study.axes)}"
    yield from _of_choice(study, compare.baseline, "compare.baseline")


def _of_tables(called: Mapping[str, Sequence[Configuration]]) -> Iterator[str]:
    """Find tables where a model is needed."""
    if any(given.get(VERB) in TABLE_VERBS for given in called[""]):
        yield f"{', '.join(TABLE_VERBS)}: only a source can make a table; write it under 'sources'."
    makes_table = {n for n, all_ in called.items() if any(g.get(VERB) in TABLE_VERBS for g in all_)}
    for given in (given for group in called.values() for given in group):
        models = [given.get("from_model"), given.get("experts")]
        for name in _called([{"models": models}]):
            if name in makes_table:
                yield f"The source {name!r} makes a table, and no model to start from."


def _of_run(given: Configuration) -> Iterator[str]:
    """Find what a complete configuration lacks."""
    verb = str(given.get(VERB))
    if VERB not in given:
        yield "The key 'verb' is missing in 'base'."
    elif verb not in VERBS:
        yield f"Unknown verb {verb!r}; allowed: {', '.join(VERBS)}.{suggestion(verb, VERBS)}"
    if verb not in VERBS:
        return
    for name, parameter in parameters(verb).items():
        if parameter.default is parameter.empty and name not in given:
            yield f"A run of {verb!r} lacks {name!r}; say it in 'base' or in an axis."
    for name in ("training", SUBSET):
        if not isinstance(given.get(name, {}), Mapping):
            yield f"{name!r} is {given[name]!r}; it must be settings, 'key: value'."
