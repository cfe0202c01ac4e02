"""Merging from file to file: inputs by name, the merged table, and a list of what was joined."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from epitaxy.core.errors import InputError, unknown
from epitaxy.core.outputs import check_output, output_file
from epitaxy.core.tables import cell_text
from epitaxy.structures.comparing import DEFAULT_RULE, MatchRule
from epitaxy.structures.merging import BY, KEEP, Merged, join, refusal
from epitaxy.structures.published import SUFFIX
from epitaxy.structures.reading import read_table, recognise
from epitaxy.structures.sources import SOURCES
from epitaxy.structures.table import StructureTable

REPORT_SUFFIX = ".merges.csv"
COLUMNS = (
    "event", "id", "kept_table", "kept_id", "table", "row_id", "how", "property", "values", "used",
)  # fmt: skip


class Source(NamedTuple):
    """What ``[NAME=]DATA[:PROPERTY]`` says."""

    data: str
    name: str = ""
    property: str = ""


def merge(
    data: Sequence[str],
    out: str | Path,
    *,
    by: str = "structure",
    keep: str = "refuse",
    report: str | Path | None = None,
    rule: MatchRule = DEFAULT_RULE,
    workers: int | None = None,
    overwrite: bool = False,
) -> Merged:
    """Join data sets into one Parquet table and write beside it what was joined.

    Args:
        data: what `read_table` reads. ``DATA:PROPERTY`` takes only this property, ``NAME=DATA``
            calls the only property of a data set NAME (and published values beside it
            NAME_published), ``NAME=DATA:PROPERTY`` does both.
        out: Parquet file to write.
        by: ``structure`` or ``id``.
        keep: what happens to differing values of one property: ``first``, ``mean`` or ``refuse``.
        report: CSV file of every row that was merged into another and of every conflict;
            by default ``out`` with the ending ``.merges.csv``.
        rule: by structure, how much two structures may differ.
        workers: processes; by default one per core when the work is worth it.
        overwrite: replace files that epitaxy did not write.

    Raises:
        InputError: as `merge_tables` and `read_table`; or ``out`` is no new Parquet file. When
            values differ and ``keep`` is ``refuse``, the report is written all the same.
    """
    out = Path(out)
    report = out.with_suffix(REPORT_SUFFIX) if report is None else Path(report)
    sources = [parse_source(text) for text in data]
    _check(by, keep)
    if out.resolve() == report.resolve():
        raise InputError(f"The report {str(report)!r} is the output too; give another name.")
    given = [source.data for source in sources]
    check_output(out, endings=(".parquet",), inputs=given, overwrite=overwrite)
    check_output(report, endings=(".csv",), inputs=given, overwrite=overwrite)
    tables = dict(zip(_table_names(sources), (_read(s) for s in sources), strict=True))
    merged = join(tables, by=by, keep=keep, rule=rule, workers=workers)
    refused = bool(merged.conflicts) and keep == "refuse"
    _write_report(merged, report, with_used=not refused)
    if refused:
        raise refusal(merged.conflicts, f" (all in {str(report)!r})")
    merged.table.to_parquet(out)
    return merged


def parse_source(text: str) -> Source:
    """Split ``[NAME=]DATA[:PROPERTY]``; a file of exactly this name is only a file.

    >>> parse_source("gap=matminer:matbench_mp_gap")
    Source(data='matminer:matbench_mp_gap', name='gap', property='')
    >>> parse_source("gap=demo:semiconductors:gap_exp")
    Source(data='demo:semiconductors', name='gap', property='gap_exp')

    Raises:
        InputError: nothing of the name DATA exists, or a name is empty.
    """
    if _is_data(text):
        return Source(text)
    name, sign, rest = text.partition("=")
    if not sign:
        name, rest = "", text
    data, colon, wanted = rest, "", ""
    if not _is_data(rest):
        data, colon, wanted = rest.rpartition(":")
        if not _is_data(data):
            recognise(rest)
    if (sign and not name) or (colon and not wanted):
        raise InputError(
            f"{text!r} lacks a name; write NAME=FILE, FILE:PROPERTY or NAME=FILE:PROPERTY, for "
            "example gap=table.parquet."
        )
    return Source(data, name, wanted)


def _is_data(text: str) -> bool:
    prefix, _, rest = text.partition(":")
    named = prefix in SOURCES and bool(rest) and ":" not in rest
    return named or (bool(text) and Path(text).expanduser().exists())


def _check(by: str, keep: str) -> None:
    """Find mistakes before the long work begins."""
    if by not in BY:
        raise unknown("way to join rows (by)", by, BY)
    if keep not in KEEP:
        raise unknown("rule for conflicts (keep)", keep, KEEP)


def _table_names(sources: Sequence[Source]) -> list[str]:
    """Return different names: those given, else of the files, else where they stand."""
    short = [source.name or Path(source.data).stem for source in sources]
    if len(set(short)) == len(short):
        return short
    places = [source.data for source in sources]
    if len(set(places)) == len(places):
        return places
    return [f"{number}:{name}" for number, name in enumerate(short, 1)]


def _read(source: Source) -> StructureTable:
    """Read the table with its property picked and named."""
    table = read_table(source.data, target=source.property or None)
    if not source.name:
        return table
    published = {name + SUFFIX for name in table.values}
    own = [name for name in table.values if name not in published]
    if len(own) != 1:
        raise InputError(
            f"{source.data!r} has {len(own)} properties ({', '.join(own) or 'none'}), so "
            f"{source.name!r} could be any; say which one: {source.name}={source.data}:PROPERTY."
        )
    names = {own[0]: source.name, own[0] + SUFFIX: source.name + SUFFIX}
    specs = {
        names[k]: spec.model_copy(update={"name": names[k]}) for k, spec in table.properties.items()
    }
    return replace(table, values={names[k]: v for k, v in table.values.items()}, properties=specs)


def _write_report(merged: Merged, path: Path, *, with_used: bool) -> None:
    """Write the rows that went into others, then the conflicts."""
    row_of = {name: row for row, name in enumerate(merged.table.ids)}
    with output_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {"event": "merged"} | {k: cell_text(v) for k, v in row._asdict().items()}
            for row in merged.rows
        )
        for conflict in merged.conflicts:
            used = float(merged.table.values[conflict.property][row_of[conflict.id]])
            writer.writerow(
                {
                    "event": "conflict",
                    "id": cell_text(conflict.id),
                    "property": cell_text(conflict.property),
                    "values": " ".join(map(repr, conflict.values)),
                    "used": repr(used) if with_used else "",
                }
            )
