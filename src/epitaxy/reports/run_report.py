"""The report of one run: figures, tables and one HTML page that needs no other file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from epitaxy.reports.baseline import rough_figure, verdict_of
from epitaxy.reports.figures.error_distribution import absolute_errors, error_distribution
from epitaxy.reports.figures.learning_curve import learning_curve
from epitaxy.reports.figures.parity import parity
from epitaxy.reports.figures.split_distribution import split_distribution
from epitaxy.reports.numbers import words
from epitaxy.reports.page import PageFigure, page_figure, sortable, write_page
from epitaxy.reports.run_files import RunFiles, read_run
from epitaxy.results.history import OF_PROPERTY, best_epoch
from epitaxy.results.metrics import bounds_coverage
from epitaxy.results.predictions import select_property

SPLIT_WORDS = {
    "test": "Test",
    "other": "Other held-out",
    "val": "Validation",
    "train": "Training",
    "new": "New",
}
"""Splits in the order of the tables."""

MOST_DROPPED = 100
"""Rows of the table of dropped entries; the whole list is in ``dropped.csv``."""

WORST = 10
"""Rows of the table of the largest errors."""

PARITY_CAPTION = (
    "Predicted against true values. On the dashed line a prediction is perfect; thin vertical "
    "lines are the predicted bounds, where there are any."
)
ERRORS_CAPTION = (
    "Absolute errors: how many crystals have which error, and the share of crystals below an error."
)
SPLITS_CAPTION = (
    "True values of the splits. A test split that looks unlike the training split is harder than "
    "its size tells."
)

PROVENANCE = ("provenance", "versions", "hashes", "seed", "device", "created", "command")
"""Keys of the configuration that say where a run comes from, shown apart from the settings."""


class Section(NamedTuple):
    """What the page shows of one property."""

    name: str
    unit: str
    split: str | None
    """The split of the headline: test, or the next best one; None when nothing is known."""
    numbers: Mapping[str, Any] | None
    verdict: str | None
    """That the median is not beaten."""
    rough: str
    """That the numbers come from few rows; empty where they do not."""
    baseline: float | None
    """Error of the median of the training values."""
    coverage: tuple[float, int] | None
    figures: tuple[PageFigure, ...]
    worst: list[Mapping[str, Any]]


def write_run_report(run_folder: str | Path) -> Path:
    """Write ``figures/*.png`` (each with a CSV of its data) and ``report.html`` of a run.

    The page says first where the median is not beaten. It has the test error in words with its 95 %
    interval, a parity plot per split, the
    learning curve, the table of metrics, the largest errors, what was dropped and why, the gate of
    a mixture, the transfer plan, the configuration and the provenance. Files that are optional may
    be absent; ``predictions.parquet`` must be there.

    Args:
        run_folder: a run folder; its configuration's ``title`` becomes the title.

    Returns:
        The path of ``report.html``.

    Raises:
        InputError: a file is missing or cannot be understood, or the folder is not writable.
    """
    run = read_run(run_folder)
    sections = [_section(run, name) for name in run.properties]
    history = _history_figure(run, sections)
    provenance = {key: run.config[key] for key in PROVENANCE if key in run.config}
    settings = {key: value for key, value in run.config.items() if key not in PROVENANCE}
    return write_page(
        run.folder / "report.html",
        "run.html",
        title=run.title,
        sections=sections,
        splits=SPLIT_WORDS,
        metrics=run.metrics,
        counts=_counts(run.predictions),
        history=history,
        training=_training_words(run.history),
        dropped=_dropped(run.dropped),
        gate=_shares(run.gate),
        plan=None if run.plan is None else sortable(run.plan),
        settings=flatten(settings),
        provenance=flatten(provenance),
    )


def _section(run: RunFiles, name: str) -> Section:
    rows = select_property(run.predictions, name)
    scored = [split for split in SPLIT_WORDS if name in run.metrics.get(split, {})]
    split = scored[0] if scored else None
    numbers = run.metrics[split][name] if split else None
    # Below the training error the median of the training values is no yardstick.
    judged = numbers if split in ("test", "val") else None
    called = words(name) if len(run.properties) > 1 else ""
    return Section(
        name=name,
        unit=str(rows["unit"].iloc[0]),
        split=split,
        numbers=numbers,
        verdict=verdict_of(judged, called) if judged else None,
        rough=" ".join(rough_figure(judged)) if judged else "",
        baseline=judged["baseline_mae"] if judged else None,
        coverage=bounds_coverage(rows, split) if split else None,
        figures=_property_figures(run, rows, name) if rows["y_true"].notna().any() else (),
        worst=_worst(rows, split) if split else [],
    )


def _property_figures(run: RunFiles, rows: pd.DataFrame, name: str) -> tuple[PageFigure, ...]:
    folder, ending = run.folder / "figures", ""
    if len(run.properties) > 1:
        slug = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")
        ending = f"-{run.properties.index(name) + 1}-{slug}"
    errors = absolute_errors(rows)
    drawn = (
        ("parity", parity(rows), rows, PARITY_CAPTION),
        ("error_distribution", error_distribution(rows), errors, ERRORS_CAPTION),
        ("split_distribution", split_distribution(rows), rows, SPLITS_CAPTION),
    )
    return tuple(
        page_figure(figure, folder / f"{kind}{ending}.png", data, caption)
        for kind, figure, data, caption in drawn
    )


def _history_figure(run: RunFiles, sections: list[Section]) -> PageFigure | None:
    if run.history is None or run.history.empty:
        return None
    units = {section.unit for section in sections}
    # An error averaged over properties of different units has none.
    unit = units.pop() if len(units) == 1 else ""
    figure = learning_curve(run.history, unit)
    caption = f"Mean absolute error of every epoch. {_training_words(run.history)}"
    path = run.folder / "figures" / "learning_curve.png"
    return page_figure(figure, path, run.history, caption)


def _training_words(history: pd.DataFrame | None) -> str:
    if history is None or history.empty:
        return ""
    seconds = float(history["seconds"].sum())
    duration = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    if seconds >= 7200:
        duration = f"{seconds / 3600:.1f} h"
    best = best_epoch(history)
    several = any(str(name).startswith(OF_PROPERTY) for name in history)
    lowest = "mean rank over the properties" if several else "validation error"
    chosen = "" if best is None else f"; the lowest {lowest} was reached in epoch {best}"
    return f"{len(history)} epochs in {duration}{chosen}."


def _shares(gate: pd.DataFrame | None) -> list[tuple[str, float]]:
    """Return (expert, weight) of a mixture, the heaviest first."""
    if gate is None:
        return []
    return [(str(e), float(w)) for e, w in zip(gate["expert"], gate["weight"], strict=True)]


def _counts(predictions: pd.DataFrame) -> str:
    counts = predictions.drop_duplicates(["id", "split"])["split"].value_counts()
    parts = [
        f"{counts[split]} {word.lower()}" for split, word in SPLIT_WORDS.items() if split in counts
    ]
    return ", ".join(parts)


def _worst(rows: pd.DataFrame, split: str) -> list[Mapping[str, Any]]:
    errors = absolute_errors(rows[rows["split"] == split])
    largest = errors.nlargest(WORST, "absolute_error")
    return [{str(key): value for key, value in row.items()} for row in largest.to_dict("records")]


def _dropped(dropped: pd.DataFrame | None) -> Mapping[str, Any] | None:
    if dropped is None:
        return None
    counts = dropped["reason"].fillna("no reason given").value_counts()
    return {
        "n": len(dropped),
        "reasons": [(str(reason), int(count)) for reason, count in counts.head(20).items()],
        "rows": dropped[["id", "reason"]].head(MOST_DROPPED).fillna("").to_numpy().tolist(),
    }


def flatten(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Write nested settings as pairs of dotted name and value.

    >>> flatten({"model": {"width": 64}, "seeds": [1, 2], "from": None})
    [('model.width', '64'), ('seeds', '1, 2'), ('from', 'none')]
    """
    pairs: list[tuple[str, str]] = []
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            pairs += flatten(value, f"{name}.")
        elif isinstance(value, list):
            pairs.append((name, ", ".join(str(item) for item in value) or "none"))
        else:
            pairs.append((name, "none" if value is None else str(value)))
    return pairs
