"""`study_report`: what the finished runs of a study, or published results, say together."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from epitaxy.core.errors import InputError
from epitaxy.core.files import MARKER, check_output_folder, readable_disk_errors
from epitaxy.core.parsing import read_yaml
from epitaxy.reports.study_report import StudyContent, write_study_report
from epitaxy.results.published import read_published, read_rules
from epitaxy.results.summary import mean_ranks, summary
from epitaxy.studies.folder import COPY, StudyFolder
from epitaxy.studies.results import study_results
from epitaxy.studies.status import StudyStatus, study_status


@dataclass(frozen=True)
class StudyReport:
    """What a study says in one table."""

    folder: Path
    """Where ``report.html``, ``report.md``, ``report.csv`` and ``figures/`` are."""
    table: pd.DataFrame
    """What `epitaxy.results.summary.summary` returned."""
    ranks: pd.DataFrame
    """Mean rank of each value of the axes of the baseline; empty without a baseline."""


def study_report(
    study: str | Path, out: str | Path | None = None, *, rules: str | Path | None = None
) -> StudyReport:
    """Sum up what is finished, at any moment.

    Args:
        study: folder of a study, or a CSV with one row per run.
        out: folder to write; the study folder when left out.
        rules: YAML file that says which columns of the CSV are what; see
            `epitaxy.results.published.TableRules` for its keys.

    Raises:
        InputError: it is neither; a study's file has no ``compare``, or nothing is finished; the
            rules do not fit the CSV; ``out`` is missing or not ours to write.
    """
    if Path(study).is_file():
        content = _of_table(Path(study), rules)
        if out is None:
            raise InputError("A report of a table needs a folder to write: add --out FOLDER.")
    else:
        if rules is not None:
            raise InputError(
                f"Rules are for tables of results, and {str(study)!r} is no file; the rules of a "
                "study stand in its own file under 'compare'."
            )
        content = _of_study(StudyFolder(study))
    folder = Path(study) if out is None else check_output_folder(out)
    with readable_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
    write_study_report(folder, content)
    return StudyReport(folder, content.table, content.ranks)


def _of_table(path: Path, rules: str | Path | None) -> StudyContent:
    if rules is None:
        raise InputError(
            f"{str(path)!r} is a table; say with --rules FILE.yaml which of its columns are axes, "
            "what to average over and what to compare with."
        )
    found = read_published(path, read_rules(rules))
    return StudyContent(
        name=found.rules.name,
        axes=found.rules.columns,
        rules=found.rules,
        table=found.table,
        ranks=mean_ranks(found.rows, found.rules.columns, found.rules),
        lead=found.rules.about,
        configuration=Path(rules).read_text(encoding="utf-8"),
        provenance=[("table", path.name), ("rows read", str(len(found.rows)))],
    )


def _of_study(study: StudyFolder) -> StudyContent:
    written = study.read()
    if written.compare is None:
        raise InputError(
            f"The study {written.name!r} does not say what to average over; add for example "
            "'compare: {over: trial}' to its file and run it again (nothing is trained twice)."
        )
    results = study_results(study.root)
    results = results[results["role"] == "run"]
    if results.empty:
        raise InputError(f"The study {written.name!r} has no finished run yet.")
    labels = [labels for _, labels in written.plan.cells]
    status = study_status(study.root)
    return StudyContent(
        name=written.name,
        axes=written.axes,
        rules=written.compare,
        table=summary(results, written.axes, written.compare, labels),
        ranks=mean_ranks(results, written.axes, written.compare),
        lead=_lead(status, results),
        runs=results.drop(columns="role"),
        troubles=_troubles(status),
        configuration=(study.root / COPY).read_text(encoding="utf-8"),
        provenance=_provenance(study, results, status),
    )


def _lead(status: StudyStatus, results: pd.DataFrame) -> str:
    done, planned = status.count("done"), len(status.states)
    whole = "All" if done == planned else f"{done} of"
    single = results.drop_duplicates("run")
    return (
        f"{whole} {planned} runs are finished; those of the table trained for "
        f"{_duration(float(single['seconds'].sum()))} in all."
    )


def _duration(seconds: float) -> str:
    """Write a time as people say it.

    >>> _duration(42), _duration(600), _duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _troubles(status: StudyStatus) -> pd.DataFrame:
    rows = [
        {
            "run": i,
            "what": status.labels[i],
            "state": state,
            "reason": status.reasons.get(i, ""),
        }
        for i, state in status.states.items()
        if state != "done"
    ]
    return pd.DataFrame(rows)


def _provenance(
    study: StudyFolder, results: pd.DataFrame, status: StudyStatus
) -> list[tuple[str, str]]:
    times = [event["time"] for event in study.events() if "time" in event]
    pairs = [("study folder", study.root.name), ("processes", str(status.workers))]
    if times:
        moment = "%Y-%m-%d %H:%M UTC"
        pairs += [
            ("first event", time.strftime(moment, time.gmtime(min(times)))),
            ("last event", time.strftime(moment, time.gmtime(max(times)))),
        ]
    first = str(results["run"].iloc[0])
    config = _configuration(study.run(first) / "config.yaml")
    versions = config.get("versions")
    if isinstance(versions, dict):
        pairs += [(f"version of {name}", str(value)) for name, value in versions.items()]
    return pairs


def _configuration(path: Path) -> Mapping[str, Any]:
    try:
        content = read_yaml(path)
    except (OSError, ValueError):
        # What a run says of itself is an extra here; the run may be an older one.
        return {}
    return content if isinstance(content, dict) else {}
