"""Whether the settings of the runs of a study can be what they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from epitaxy.checkpoints.model_files import model_folder, named_models
from epitaxy.core.errors import InputError, unknown
from epitaxy.core.files import file_and_key
from epitaxy.descriptors.table import joined_parts
from epitaxy.models import ENCODERS
from epitaxy.recipes import finetune, mixture, train
from epitaxy.recipes.exclusions import choose_targets, resolve_targets
from epitaxy.recipes.mixture import DESCRIPTOR
from epitaxy.recipes.options import checked, keywords, with_defaults
from epitaxy.recipes.running import as_list
from epitaxy.structures.merge_files import parse_source
from epitaxy.structures.reading import read_table
from epitaxy.structures.selecting import select_ids
from epitaxy.structures.split_files import descend, read_split_file
from epitaxy.studies.config import SOURCE
from epitaxy.studies.expanding import TABLE_VERBS, VERB, Configuration
from epitaxy.studies.subsets import Subset
from epitaxy.studies.tables import DrawnSplit, Selection, is_drawn
from epitaxy.studies.verbs import SUBSET, VERBS, parameters
from epitaxy.training.config import TrainingConfig
from epitaxy.transfer import STRATEGIES
from epitaxy.transfer.plan import INHERITED, NEW

DEFAULTS = {"train": train.DEFAULTS, "finetune": finetune.DEFAULTS, "mixture": mixture.DEFAULTS}
OWN_CHECK = {"data", "split", "training", SUBSET, "graph", "encoder", "head", "exclude_like"}
"""Arguments that are looked at more closely than by their type."""
Check = Callable[[], Any]


def wrong_settings(
    configurations: Sequence[Configuration], sources: Mapping[str, Sequence[Configuration]]
) -> list[str]:
    """Return a sentence for each setting with which a run could not start.

    Every distinct setting is tried once: 1,000 runs on one data set read it a single time.

    Args:
        configurations: of all runs, those of sources included.
        sources: name of a source -> its configurations.
    """
    checks: dict[str, Check] = {}
    for given in configurations:
        if given.get(VERB) in VERBS:
            for name, check, *values in (
                *_checks(given),
                *_of_choices(given),
                *_of_data(given, sources),
            ):
                checks.setdefault(json.dumps([name, *values], default=str), check)
    return [sentence for check in checks.values() if (sentence := _complaint(check))]


def _complaint(check: Check) -> str:
    try:
        check()
    except InputError as error:
        return str(error)
    return ""


def _checks(given: Configuration) -> Iterator[tuple[Any, ...]]:
    """Yield name, check and the values that it looks at."""
    verb = given[VERB]
    for name, value in given.items():
        if name in parameters(verb) and name not in OWN_CHECK:
            yield "type", partial(_type, verb, name, value), verb, name, value
    training = given.get("training") or {}
    if isinstance(training, Mapping):
        values = {**DEFAULTS.get(verb, {}), **training}
        yield "training", partial(checked, TrainingConfig, values, "training"), values
    if isinstance(subset := given.get(SUBSET), Mapping):
        yield SUBSET, partial(checked, Subset, subset, SUBSET), subset
    if verb == "train":
        keys = ("model", "recipe", "graph", "encoder", "head")
        architecture = {key: given[key] for key in keys if key in given}
        yield "network", partial(_network, **architecture), architecture
    for name, (kinds, check) in OF_TEXTS.items():
        if name in parameters(verb) and isinstance(value := given.get(name), kinds):
            yield name, partial(check, value), value


def _of_choices(given: Configuration) -> Iterator[tuple[Any, ...]]:
    """Yield what looks at experts that count, at drawn splits and at excluded rows."""
    if given[VERB] == "mixture" and isinstance(k := given.get("k"), int) and "experts" in given:
        yield "k", partial(_enough, k, given["experts"]), k, given["experts"]
    if is_drawn(split := given.get("split")):
        yield "split", partial(_drawn, split, given.get("data")), split, given.get("data")
    for other in given.get("exclude_like") or ():
        yield "exclude_like", partial(_excluded, other), other


def _of_data(
    given: Configuration, sources: Mapping[str, Sequence[Configuration]]
) -> Iterator[tuple[Any, ...]]:
    """Yield what looks at the data of a run, which a source may make."""
    data, target = given.get("data"), given.get("target")
    if given[VERB] in TABLE_VERBS:
        yield "tables", partial(_merged, data), data
        return
    name = _source_name(data)
    if name is None:
        if "data" in given and isinstance(target, str | list):
            where = (data, target, given.get("exclude_property", ()))
            yield "data", partial(_data, *where), where
        return
    for made in sources.get(name, ()):
        if made.get(VERB) not in TABLE_VERBS:
            yield "table", partial(_no_table, name), name
        elif isinstance(target, str | list):
            where = (made.get("data"), target, given.get("exclude_property", ()))
            yield "merged", partial(_merged, *where), where


def _source_name(value: Any) -> str | None:
    """Return the name in ``source:NAME``."""
    is_source = isinstance(value, str) and value.startswith(SOURCE)
    return value.removeprefix(SOURCE) if is_source else None


def _no_table(name: str) -> None:
    """Complain.

    Raises:
        InputError: always.
    """
    raise InputError(f"The source {name!r} makes a model; 'data' needs a table, or a 'merge'.")


def _merged(data: Any, target: Any = None, excluded: Any = ()) -> None:
    """Make sure that data sets can be joined, and that the result has the properties to learn.

    Raises:
        InputError: they cannot, or it has not.
    """
    if not isinstance(data, list) or not all(isinstance(text, str) for text in data):
        raise InputError(f"'data' of 'merge' is {data!r}; it must be a list of NAME=DATA.")
    known: list[str] = []
    for source in map(parse_source, data):
        known += (
            [source.name or source.property]
            if source.name or source.property
            else (list(read_table(source.data).properties))
        )
    if target is None:
        return
    for name in choose_targets(as_list(target), known, excluded):
        if name not in known:
            raise unknown("property", name, known)


def _drawn(split: Any, data: Any) -> None:
    found = checked(DrawnSplit, split, "split")
    if isinstance(found.test, str) and data is not None and _source_name(data) is None:
        select_ids(found.test, read_table(data))


def _excluded(other: Any) -> None:
    if isinstance(other, Mapping):
        checked(Selection, other, "exclude_like").read()
    elif _source_name(other) is None:
        read_table(other)


def _type(verb: str, name: str, value: Any) -> None:
    """Make sure that an argument is of a kind that the function takes.

    Raises:
        InputError: it is not.
    """
    wanted = parameters(verb)[name].annotation
    try:
        TypeAdapter(wanted, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value)
    except ValidationError:
        kind = getattr(wanted, "__name__", None) or str(wanted).replace("typing.", "")
        raise InputError(f"{name!r} is {value!r}; it must be {kind}.") from None


def _network(
    model: str = "cgcnn",
    recipe: str = "default",
    graph: Any = None,
    encoder: Any = None,
    head: Any = None,
) -> None:
    kind = ENCODERS[model]
    chosen = kind.training_recipe(recipe)
    train.graph_recipe(kind, chosen, graph)
    with_defaults(kind.default_head, {**chosen.head, **(head or {})}, "head")
    keywords(kind, {**chosen.encoder, **(encoder or {})}, f"{model} encoder")


def _data(data: Any, target: Any, excluded: Any) -> None:
    read, names = resolve_targets(str(data), as_list(target), excluded)
    read_table(read, target=names)


def _split(split: str) -> None:
    if split == "random" or split.startswith("random:"):
        return
    found = file_and_key(split)
    if found is None:
        raise InputError(
            f"The split {split!r} is neither an existing JSON file (FILE or FILE:KEY) nor 'random' "
            "or 'random:SEED'; check the path."
        )
    descend(read_split_file(found[0]), found[1], str(found[0]))


def _strategy(strategy: str) -> None:
    base, plus, addition = strategy.partition("+")
    name, kinds = base.partition(":")[0], list(STRATEGIES)
    if name not in kinds:
        raise unknown("strategy", name, kinds)
    if plus and addition.partition(":")[0] not in {NEW, INHERITED}:
        raise unknown("addition to a strategy", addition, [NEW, INHERITED])


def _models(models: str | list[str]) -> None:
    """Make sure that all models exist that are not made by the study itself.

    Raises:
        InputError: all that is wrong with them.
    """
    names = [name for name in named_models(models).values() if _source_name(name) is None]
    sentences = [_complaint(partial(_model, name)) for name in names]
    if any(sentences):
        raise InputError(" ".join(filter(None, sentences)))


def _enough(k: int, experts: Any) -> None:
    """Make sure that a mixture has as many experts as shall count.

    Raises:
        InputError: it has fewer.
    """
    if isinstance(experts, str | list) and not 1 <= k <= (n := len(named_models(experts))):
        raise InputError(f"'k' is {k}, but the mixture has {n} experts; take 1 to {n}.")


def _source_model(model: str) -> None:
    if _source_name(model) is None:
        model_folder(model)


def _model(model: str) -> None:
    if not model.startswith(DESCRIPTOR):
        model_folder(model)
    else:
        joined_parts(model.removeprefix(DESCRIPTOR))


OF_TEXTS: dict[str, tuple[Any, Callable[[Any], None]]] = {
    "split": (str, _split),
    "strategy": (str, _strategy),
    "from_model": (str, _source_model),
    "experts": (str | list, _models),
}
"""Argument -> kinds of value that are looked at, and how."""
