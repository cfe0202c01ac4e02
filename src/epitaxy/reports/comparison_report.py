"""The report of two runs on the same crystals."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from epitaxy.core.errors import InputError
from epitaxy.core.files import atomic_folder
from epitaxy.reports.figures.comparison import comparison
from epitaxy.reports.numbers import interval_text, p_text, with_unit, words
from epitaxy.reports.page import page_figure, write_page
from epitaxy.reports.run_files import RunFiles, read_run
from epitaxy.results.comparison import Comparison, Interval, paired_rows

CAPTION = (
    "Left: mean absolute errors with 95 % intervals. Right: both predictions of every "
    "crystal, joined by a line."
)
SURE = 0.05
"""Below this p value, with an interval that leaves out 0, a difference is more than chance."""


def write_comparison_report(
    folder_a: str | Path,
    folder_b: str | Path,
    out: str | Path,
    *,
    split: str = "test",
    property_name: str | None = None,
) -> Path:
    """Write the folder ``out`` with ``comparison.png``, its CSV, and ``comparison.html``.

    Args:
        folder_a: run folder of the reference (trained from scratch, say).
        folder_b: run folder of the candidate (transferred, say), on the same split.
        out: folder to write; it may be one that an earlier comparison wrote.
        split: which rows count.
        property_name: which property; None for the only one.

    Returns:
        The path of ``comparison.html``.

    Raises:
        InputError: a folder is no run, the two are not about the same crystals, or ``out`` is
            not ours to write.
    """
    first, second = read_run(folder_a), read_run(folder_b)
    _refuse_nesting(out, first, second)
    return write_prediction_report(
        first.predictions,
        second.predictions,
        out,
        names=_names(first, second),
        split=split,
        property_name=property_name,
        intervals=(_interval(first, split, property_name), _interval(second, split, property_name)),
    )


def write_prediction_report(
    first: pd.DataFrame,
    second: pd.DataFrame,
    out: str | Path,
    *,
    names: tuple[str, str],
    split: str = "test",
    property_name: str | None = None,
    intervals: tuple[Interval, Interval] = (None, None),
) -> Path:
    """Compare two tables of predictions, of all folds of a cross-validation, say.

    Args:
        first: predictions of the reference.
        second: predictions of the candidate for the same crystals.
        out: folder to write.
        names: what the two are called.
        split: which rows count.
        property_name: which property; None for the only one.
        intervals: of both errors, as their runs have them; computed where None.

    Returns:
        The path of ``comparison.html``.

    Raises:
        InputError: the two are not about the same crystals, or ``out`` is not ours to write.
    """
    pairs = paired_rows(first, second, split=split, property_name=property_name)
    found = Comparison.of(pairs, intervals)
    figure = comparison(
        first, second, names=names, split=split, property_name=property_name, found=found
    )
    with atomic_folder(out) as folder:
        drawn = page_figure(figure, folder / "comparison.png", pairs, CAPTION)
        write_page(
            folder / "comparison.html",
            "comparison.html",
            title=f"{names[1]} against {names[0]}",
            names=names,
            found=found,
            verdict=verdict(found, names),
            figure=drawn,
        )
    return Path(out) / "comparison.html"


def _interval(run: RunFiles, split: str, name: str | None) -> Interval:
    numbers = run.metrics.get(split, {})
    found = numbers.get(name or next(iter(numbers), ""), {}).get("mae_interval")
    return found and (found[0], found[1])


def _refuse_nesting(out: str | Path, *runs: RunFiles) -> None:
    """Writing replaces ``out``, so a run must not stand in it."""
    target = Path(out).resolve()
    for run in runs:
        if target == run.folder.resolve() or target in run.folder.resolve().parents:
            raise InputError(
                f"The output {str(out)!r} is or holds the run {str(run.folder)!r}, which would be "
                "lost; give another folder."
            )


def _names(first: RunFiles, second: RunFiles) -> tuple[str, str]:
    """Titles of the two runs, or the folders' names where the titles are equal."""
    if first.title != second.title:
        return first.title, second.title
    folders = first.folder.resolve().name, second.folder.resolve().name
    return folders if folders[0] != folders[1] else (f"{folders[0]} (1)", f"{folders[1]} (2)")


def verdict(found: Comparison, names: tuple[str, str]) -> str:
    """Say in words which model is better, by how much, and whether it could be chance.

    >>> verdict(Comparison(property="gap", unit="eV", split="test", n=40, mae_first=0.5,
    ...                    mae_second=0.4, change=-0.1, change_percent=-20.0,
    ...                    change_interval=(-0.15, -0.05), p_value=0.001), ("scratch", "transfer"))
    'The mean absolute error of gap is 0.400 eV for “transfer” and 0.500 eV for “scratch” on the
    same 40 test crystals, a change of -0.100 eV (-20.0 %; 95 % interval -0.150 to -0.0500 eV,
    Wilcoxon p = 0.001): “transfer” is better.'
    """
    change = with_unit(found.change, found.unit, 3)
    percent = "" if found.change_percent is None else f"{found.change_percent:+.1f} %; "
    interval = interval_text(found.change_interval, found.unit)
    low, high = found.change_interval or (0.0, 0.0)
    # The test looks at ranks and the interval at the mean: only both together are convincing.
    if found.p_value < SURE and low * high > 0:
        end = f"“{names[1] if found.change < 0 else names[0]}” is better"
    else:
        end = "this may be chance"
    return (
        f"The mean absolute error of {words(found.property)} is "
        f"{with_unit(found.mae_second, found.unit, 3)} for “{names[1]}” and "
        f"{with_unit(found.mae_first, found.unit, 3)} for “{names[0]}” on the same {found.n} "
        f"{found.split} crystals, a change of {change} ({percent}95 % interval {interval}, "
        f"Wilcoxon {p_text(found.p_value)}): {end}."
    )
