"""Write docs/settings.md from the settings classes, so that the page cannot go stale.

python scripts/write_settings.py
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from epitaxy.training.config import TrainingConfig

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
HEAD = """# Training settings

Give one with `--set KEY=VALUE`, several in a YAML file with `--config FILE`, or as keyword arguments from Python. Unknown keys, wrong types
and combinations that make no sense are refused, all at once. This page is written by `python scripts/write_settings.py`.

| setting | default | allowed | meaning |
|---|---|---|---|
"""


def rows(kind: type[BaseModel]) -> list[str]:
    """Return one line of the table per field."""
    lines = []
    for name, field in kind.model_fields.items():
        schema = kind.model_json_schema()["properties"][name]
        meaning = " ".join((field.description or "").split())
        lines.append(f"| `{name}` | {shown(field.default)} | {allowed(schema)} | {meaning} |")
    return lines


def shown(default: object) -> str:
    """Return a default value as text."""
    return "none" if default in {None, ()} else f"`{default}`"


def allowed(schema: dict[str, object]) -> str:
    """Return what a JSON schema allows, in short."""
    options = schema.get("anyOf") or [schema.get("items", schema)]
    assert isinstance(options, list)
    option = options[0]
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in option["enum"])
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {option[key]:g}" for key, sign in signs.items() if key in option]
    return " ".join([str(option.get("type", "")), *bounds])


def page() -> str:
    """Return the whole page."""
    return HEAD + "\n".join(rows(TrainingConfig)) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
