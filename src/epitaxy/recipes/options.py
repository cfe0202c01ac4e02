"""From loose options and configuration files to checked settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from epitaxy.core.errors import InputError, once, suggestion
from epitaxy.core.parsing import parse_yaml, read_yaml
from epitaxy.models.limits import check_size
from epitaxy.models.training_recipe import TrainingRecipe
from epitaxy.training.config import TrainingConfig

M = TypeVar("M", bound=BaseModel)
Settings = Mapping[str, Any] | str | Path | None
"""Keys and values, or the path of a YAML file with them."""


def checked(kind: type[M], values: Mapping[str, Any], what: str) -> M:
    """Build a settings object; everything that is wrong is reported in one sentence.

    Raises:
        InputError: unknown keys, wrong types or impossible combinations.

    >>> checked(TrainingConfig, {"epoch": 3}, "training")
    Traceback (most recent call last):
    ...
    epitaxy.core.errors.InputError: Wrong training settings: unknown key 'epoch'. Did you mean
    'epochs'?
    """
    try:
        return kind(**values)
    except ValidationError as error:
        faults = [_fault(kind, dict(e)) for e in error.errors()]
        raise InputError(f"Wrong {what} settings: {'; '.join(faults)}") from None


def with_defaults(defaults: M, settings: Settings, what: str) -> M:
    """Return ``defaults`` with some settings changed.

    Raises:
        InputError: unknown keys, wrong types or impossible combinations.
    """
    return checked(type(defaults), defaults.model_dump() | read_settings(settings), what)


def keywords(kind: Any, values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return ``values`` if all are numbers or choices that ``kind`` takes as keyword arguments.

    Raises:
        InputError: a key is not known, a number is not positive or of another type, or a choice is
            not one of its `Literal`.

    >>> keywords(sorted, {"reversed": True}, "sorting")
    Traceback (most recent call last):
    ...
    epitaxy.core.errors.InputError: Wrong sorting settings: unknown key 'reversed'. Did you mean
    'reverse'?
    """
    known = {
        name: p
        for name, p in inspect.signature(kind, eval_str=True).parameters.items()
        if p.kind is p.KEYWORD_ONLY
        and (isinstance(p.default, int | float) or get_origin(p.annotation) is Literal)
    }
    for key, value in values.items():
        if key not in known:
            raise InputError(f"Wrong {what} settings: unknown key {key!r}.{suggestion(key, known)}")
        needed = _needed(known[key], value)
        if needed:
            raise InputError(f"Wrong {what} settings: {key} = {value!r}; it must be {needed}.")
    check_size(values)
    return dict(values)


def _needed(parameter: inspect.Parameter, value: Any) -> str:
    """Return what the value of a keyword argument must be; nothing if it is that."""
    if get_origin(parameter.annotation) is Literal:
        allowed = get_args(parameter.annotation)
        return "" if value in allowed else " or ".join(map(repr, allowed))
    wanted = type(parameter.default)
    fits = isinstance(value, int | float if wanted is float else wanted) and value > 0
    return "" if fits else f"a positive number ({wanted.__name__})"


def _fault(kind: type[BaseModel], error: dict[str, Any]) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"unknown key {key!r}.{suggestion(key, list(kind.model_fields))}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{key} = {error['input']!r}: {message}" if key else message


def read_settings(settings: Settings) -> dict[str, Any]:
    """Return settings as a dictionary, from a mapping or a YAML file.

    Raises:
        InputError: the file is absent or is not a YAML mapping.
    """
    if settings is None:
        return {}
    if isinstance(settings, Mapping):
        return dict(settings)
    path = Path(settings)
    try:
        content = read_yaml(path, scientific=True)
    except (OSError, ValueError) as error:
        raise InputError(f"The settings file {str(path)!r} cannot be read: {error}.") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(f"The settings file {str(path)!r} must hold lines 'key: value'.")
    return content


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Turn ``KEY=VALUE`` texts into settings; values are read as YAML.

    >>> parse_assignments(["schedule=cosine", "patience=20"])
    {'schedule': 'cosine', 'patience': 20}

    Raises:
        InputError: a text has no ``=``, its value is not YAML, or a key comes twice.
    """
    settings = []
    for text in assignments:
        key, equals, value = text.partition("=")
        try:
            settings.append((key.strip(), parse_yaml(value, scientific=True)))
        except ValueError:
            equals = ""
        if not equals:
            raise InputError(f"A setting is written KEY=VALUE, but {text!r} came.")
    return once(settings, "setting")


def training_configs(
    defaults: Mapping[str, Any],
    recipe: TrainingRecipe,
    settings: Settings,
    *,
    targets: Sequence[str],
    fine_tuning: bool = False,
    **options: Any,
) -> Callable[[int], TrainingConfig]:
    """Return the function from the number of training rows to the settings of a training.

    Defaults, the recipe, settings and explicit options (None = not given) are merged, the later
    ones winning.

    Raises:
        InputError: unknown keys, wrong types or impossible combinations, or settings that weigh
            several properties where there is one target; at once, not only when the rows are known.
    """
    given = {key: value for key, value in options.items() if value is not None}
    user = {**read_settings(settings), **given}

    def config(rows: int) -> TrainingConfig:
        named = recipe.settings(rows, fine_tuning=fine_tuning)
        return checked(TrainingConfig, {**defaults, **named, **user}, "training")

    _check_weighting(config(1), targets)
    return config


def _check_weighting(config: TrainingConfig, targets: Sequence[str]) -> None:
    """Refuse settings that weigh several properties where only one is learned.

    Raises:
        InputError: as said.
    """
    plain = TrainingConfig.model_fields
    for key in ("balance", "sampling_temperature"):
        if len(targets) == 1 and getattr(config, key) != plain[key].default:
            raise InputError(
                f"The setting {key!r} weighs several properties against each other, but only "
                f"{targets[0]!r} is to be learned; leave it out, or name more targets."
            )
    if len(targets) > 1 and config.sampling_bins is not None:
        raise InputError(
            f"The setting 'sampling_bins' draws by the values of one property, but {len(targets)} "
            "are to be learned; use sampling_temperature."
        )
