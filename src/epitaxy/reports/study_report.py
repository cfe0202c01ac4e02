"""Page, table and figures of a study, or of published results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from epitaxy.core.files import atomic_file, write_text
from epitaxy.reports.numbers import cell, markdown_table, significant, with_unit, words
from epitaxy.reports.page import page_figure, sortable, write_page
from epitaxy.reports.study_figures import Conditions, study_figures
from epitaxy.results.rules import Rules

SURE = 0.05
"""Below this corrected p value a change is called significant."""
MOST_RUNS = 2000
"""Rows of the table of single runs; the rest stands in the CSV of the results."""
HEADINGS = {
    "mae": "MAE", "rmse": "RMSE", "r2": "R²", "n": "runs", "low": "95 % from", "high": "to",
    "change_percent": "change (%)", "difference_low": "difference from", "difference_high": "to",
    "p_t": "p (t)", "p_wilcoxon": "p (Wilcoxon)", "p_holm": "p (Holm)", "std": "std",
}  # fmt: skip


@dataclass(frozen=True)
class StudyContent:
    """What the report of a study is written from."""

    name: str
    axes: tuple[str, ...]
    rules: Rules
    table: pd.DataFrame
    """What `summary` returned."""
    ranks: pd.DataFrame
    """What `mean_ranks` returned."""
    lead: str = ""
    """One sentence below the title."""
    runs: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Single runs; not shown when empty."""
    troubles: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Runs that are not finished, with their states and reasons."""
    configuration: str = ""
    """The study file, or the rules, as text."""
    provenance: Sequence[tuple[str, str]] = ()


def write_study_report(out: Path, content: StudyContent) -> Path:
    """Write ``report.csv``, ``report.md``, ``figures/`` (PNG, PDF and CSV) and ``report.html``.

    Args:
        out: folder, which may hold an earlier report.
        content: what to write.

    Returns:
        The path of ``report.html``.

    Raises:
        InputError: ``out`` cannot be written.
    """
    with atomic_file(out / "report.csv") as temporary:
        content.table.to_csv(temporary, index=False)
    found = Conditions.of(content.table, content.axes, content.rules)
    best = best_conditions(found)
    sentences = [*_sentences(found, best)]
    write_text(out / "report.md", _markdown_page(content, sentences, best))
    figures = [
        page_figure(
            one.figure, out / "figures" / f"{one.name}.png", one.data, one.caption, pdf=True
        )
        for one in study_figures(content.table, content.axes, content.rules)
    ]
    parts = {
        "troubles": sortable(content.troubles) if len(content.troubles) else None,
        "best": sortable(best, HEADINGS) if len(best) > 1 else None,
        "ranks": sortable(content.ranks) if len(content.ranks) else None,
        "runs": sortable(content.runs.head(MOST_RUNS), HEADINGS) if len(content.runs) else None,
    }
    anchors = {
        "summary": "Summary", "unfinished": "Not finished", "best": "Best", "figures": "Figures",
        "conditions": "All conditions", "ranks": "Ranks", "runs": "Single runs",
        "configuration": "Configuration", "provenance": "Provenance",
    }  # fmt: skip
    shown = {
        **parts, "unfinished": parts["troubles"], "figures": figures, "summary": True,
        "conditions": True, "configuration": content.configuration, "provenance": True,
    }  # fmt: skip
    return write_page(
        out / "report.html",
        "study.html",
        title=content.name,
        lead=content.lead,
        contents=[(anchor, name) for anchor, name in anchors.items() if shown[anchor]],
        sentences=sentences,
        tiles=_tiles(found),
        figures=figures,
        table=sortable(_without_empty(content.table), HEADINGS),
        explanation=_explanation(content.rules),
        configuration=content.configuration,
        provenance=content.provenance,
        **parts,
    )


def best_conditions(found: Conditions) -> pd.DataFrame:
    """Return the best condition of each property, target and size.

    Columns: those axes as far as they vary, ``best`` (the other axes in words), the mean with its
    interval and unit, and against the baseline ``change_percent`` (0 where the baseline itself is
    the best) and ``p_holm``.
    """
    table, roles = found.table, found.roles
    within = [axis for axis in (roles.target, roles.size) if axis]
    within += ["property"] if roles.target != "property" and _varies(table, "property") else []
    rest = [axis for axis in roles.without(*within) if axis != "property"]
    rows = []
    for _, group in table.groupby(within or "property", sort=False, dropna=False):
        higher = found.rules.higher_is_better
        place = group["value"].argmax() if higher else group["value"].argmin()
        row = group.iloc[int(place)]
        rows.append(
            {
                **{axis: row[axis] for axis in within},
                "best": found.label(row.to_dict(), rest) or "the only condition",
                **{name: row[name] for name in (found.rules.metric, "low", "high", "unit")},
                **(_against_baseline(row) if found.rules.baseline else {}),
            }
        )
    return _without_empty(pd.DataFrame(rows))


def _against_baseline(row: pd.Series) -> dict[str, float]:
    change = 0.0 if row["is_baseline"] else float(row["change_percent"])
    return {"change_percent": change, "p_holm": float(row["p_holm"])}


def _sentences(found: Conditions, best: pd.DataFrame) -> list[str]:
    rows = found.table[found.table["change_percent"].notna() & ~found.table["is_baseline"]]
    sentences = []
    if len(best) == 1:
        row = best.iloc[0]
        sentences.append(
            f"The best {found.metric} is "
            f"{with_unit(row[found.rules.metric], row.get('unit', ''), 3)}, with {row['best']}."
        )
    if rows.empty:
        if len(best) > 1:
            word = "highest" if found.rules.higher_is_better else "lowest"
            sentences.append(
                f"{len(found.table)} conditions of {len(best)} tasks were compared; the table "
                f"below has the {word} {found.metric} of each."
            )
        return sentences
    change = rows["change_percent"]
    sentences.append(
        f"Against {found.baseline}, {int((change > 0).sum())} of {len(rows)} conditions have a "
        f"better mean {found.metric}; the mean change is {change.mean():+.1f} % and the median "
        f"{change.median():+.1f} %, where positive is better."
    )
    gains = best["change_percent"] if "change_percent" in best else pd.Series(dtype=float)
    if len(best) > 1 and gains.notna().any():
        sentences.append(
            f"The best condition of each task changes it by {gains.mean():+.1f} % on average."
        )
    sentences += _tests(rows)
    worst = rows[change < 0].nsmallest(1, "change_percent")
    for one in worst.to_dict("records"):
        where = found.label(one, [a for a in found.axes if _varies(found.table, a)])
        sentences.append(
            f"The worst of all, {where}, is {-one['change_percent']:.1f} % worse than "
            f"{found.baseline}."
        )
    return sentences


def _tests(rows: pd.DataFrame) -> list[str]:
    tested = rows[rows["p_holm"].notna() & (rows["pairs"] > 1)]
    if tested.empty:
        return []
    sure = tested[tested["p_holm"] < SURE]
    better = int((sure["change_percent"] > 0).sum())
    sentence = (
        f"After Holm's correction for {len(tested)} paired t-tests, {better} changes to the better "
        f"and {len(sure) - better} to the worse are significant at 5 %."
    )
    return [sentence]


def _varies(table: pd.DataFrame, axis: str) -> bool:
    return len({*map(str, table[axis])}) > 1


def _tiles(found: Conditions) -> list[tuple[str, str]]:
    rows = found.table[found.table["change_percent"].notna() & ~found.table["is_baseline"]]
    tiles = [(str(len(found.table)), "conditions"), (f"{int(found.table['n'].sum()):,}", "runs")]
    if len(rows):
        change = rows["change_percent"]
        tiles += [
            (f"{change.mean():+.1f} %", f"mean change against {found.baseline}"),
            (f"{change.max():+.1f} %", "largest improvement"),
            (f"{int((change > 0).sum())} / {len(rows)}", f"better than {found.baseline}"),
        ]
    return tiles


def _explanation(rules: Rules) -> str:
    over = " and ".join(rules.over)
    means = f"Means over {over} with 95 % t-intervals. " if over else ""
    if not rules.baseline:
        return means.strip()
    named = ", ".join(f"{axis} {value}" for axis, value in rules.baseline.items())
    before = "(value - baseline) / |baseline|" if rules.higher_is_better else (
        "(baseline - value) / baseline"
    )  # fmt: skip
    return (
        f"{means}The change is 100 {before} against {named}: positive is better. Differences and "
        "tests are paired; p (Holm) is the t-test corrected for all rows of the table."
    )


def _without_empty(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out columns in which nothing stands, and those of a single empty text."""
    empty = table.isna() | (table.astype(object) == "")
    return table.loc[:, ~empty.all()]


def _markdown_page(content: StudyContent, sentences: Sequence[str], best: pd.DataFrame) -> str:
    lines = [f"# {content.name}", ""]
    lines += [content.lead, ""] if content.lead else []
    lines += [part for sentence in sentences for part in (sentence, "")]
    if len(content.troubles):
        lines += ["Not finished:", "", *_markdown(content.troubles), ""]
    if len(best) > 1:
        lines += ["Best of each task:", "", *_markdown(best), ""]
    lines += ["All conditions:", "", *_markdown(_without_empty(content.table)), ""]
    lines += [_explanation(content.rules)]
    if len(content.ranks):
        lines += ["", "Mean rank, 1 is best:", "", *_markdown(content.ranks)]
    return "\n".join(lines) + "\n"


def _markdown(table: pd.DataFrame) -> list[str]:
    head = [words(str(name)) for name in table.columns]
    return markdown_table(
        head, [list(map(_shown, row)) for row in table.astype(object).to_numpy().tolist()]
    )


def _shown(value: Any) -> str:
    return significant(value) if isinstance(value, float) else cell(value)
