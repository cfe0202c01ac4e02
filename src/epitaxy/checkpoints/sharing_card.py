"""The card of a shared model: what it predicts, how well, from which data."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml

from epitaxy.checkpoints.model_files import load_model
from epitaxy.core.parsing import read_json, read_yaml
from epitaxy.reports.baseline import error_text, verdict_of
from epitaxy.results.metrics import FILE, read_metrics

CARDS = ("card.md", "README.md")


def model_card(folder: Path, *, licence: str = "", description: str = "") -> str:
    """Return the card in Markdown, with the fields of the Hugging Face hub at its top.

    A card in the folder is kept; otherwise one is made of ``model.json``, ``config.yaml`` and
    ``metrics.json``, as far as they are there. Paths of the machine do not go into it.
    """
    fields = {"library_name": "epitaxy", "tags": ["materials-science", "crystals", "regression"]}
    if licence:
        fields["license"] = licence
    front = f"---\n{yaml.safe_dump(fields, sort_keys=True)}---\n"
    for name in CARDS:
        if (folder / name).is_file():
            return front + without_front((folder / name).read_text(encoding="utf-8"))
    return front + _made(folder, licence, description)


def without_front(card: str) -> str:
    r"""Return a card without the fields at its top.

    >>> without_front("---\nlicense: mit\n---\n# gaps\n")
    '# gaps\n'
    """
    if not card.startswith("---\n"):
        return card
    _, _, rest = card[4:].partition("\n---\n")
    return rest or card


def _made(folder: Path, licence: str, description: str) -> str:
    model = load_model(folder)
    config = _read(folder / "config.yaml")
    kept = (folder / "predictions.parquet").is_file()
    errors = (read_metrics(folder) if kept else _read(folder / FILE)).get("test", {})
    count = sum(p.numel() for p in model.parameters())
    rows = [("Network", f"{model.architecture} with {count:,} parameters")]
    for name, spec in model.specs.items():
        told = f"{spec.label or name} ({spec.unit})" if spec.unit else spec.label or name
        rows.append((f"Property `{name}`", told))
        if name in errors:
            text = [error_text(errors[name]), verdict_of(errors[name])]
            rows.append((f"Test error of `{name}`", " ".join(filter(None, text))))
        for word, content in (("Source", spec.source), ("Citation", spec.citation)):
            if content:
                rows.append((f"{word} of `{name}`", content))
    if config.get("data"):
        # Windows rules split at both kinds of slashes.
        rows.append(("Data", f"`{PureWindowsPath(str(config['data'])).name}`"))
    if config.get("rows"):
        parts = ", ".join(f"{n:,} {part}" for part, n in config["rows"].items())
        rows.append(("Rows", f"{parts}; split: {_base(config.get('split', 'given'))}"))
    rows.append(("Graphs", f"rule `{model.recipe.rule}`, cutoff {model.recipe.cutoff:g} Å"))
    rows.append(("Licence of the weights", licence or "not stated"))
    rows.append(("Made with", f"epitaxy {version('epitaxy')}"))
    table = "\n".join(f"| {word} | {text} |" for word, text in rows)
    properties = ", ".join(model.names)
    opening = description or f"Predicts {properties} from crystal structures."
    return (
        f"# {properties}\n\n{opening}\n\n| | |\n|---|---|\n{table}\n\n"
        "Pull it with `epitaxy zoo pull`, predict with `epitaxy predict zoo:NAME structures/`.\n"
    )


def _base(split: Any) -> str:
    return PureWindowsPath(str(split)).name


def _read(path: Path) -> dict[str, Any]:
    """Return a YAML or JSON mapping, empty when there is none to read."""
    try:
        content = read_json(path) if path.suffix == ".json" else read_yaml(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
