"""``epitaxy study``: many runs from one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from epitaxy.cli import options as o

if TYPE_CHECKING:
    from epitaxy.studies.run import StudyRun
    from epitaxy.studies.status import StudyStatus

app = typer.Typer(no_args_is_help=True, help="Many runs from one file, and what they say together.")
Folder = Annotated[Path, typer.Argument(help="Folder of a study.")]
SHOWN = 20
"""Lines of a list that is printed."""


@app.command("list")
def list_() -> None:
    """List the studies that are shipped."""
    from epitaxy.studies.study_file import ready_studies

    for study in ready_studies():
        needs = f"; needs {', '.join(study.needs)}" if study.needs else ""
        size = f"{study.size} combinations, quick {study.quick_size}"
        typer.echo(f"{study.name:18s} {study.about} ({size}{needs})")


@app.command()
def show(study: Annotated[str, typer.Argument(help="Name of a shipped study.")]) -> None:
    """Print the file of a study, to be copied and changed."""
    from epitaxy.studies.study_file import show_study

    typer.echo(show_study(study).rstrip())


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="YAML file, or name of a shipped study.")],
    out: Annotated[Path, typer.Option(help="Folder to write, or to go on with.")],
    *,
    quick: Annotated[bool, typer.Option("--quick", help="The small size of the study.")] = False,
    data_folder: Annotated[
        Path | None, typer.Option(help="Value of the parameter data_folder.")
    ] = None,
    experts: Annotated[
        str | None, typer.Option(help="Value of the parameter experts: MODEL,MODEL,...")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="Value of any parameter, NAME=VALUE (repeat)."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at the same time; by default all that fit.")
    ] = None,
    executor: Annotated[str, typer.Option(help="local, or ray.")] = "local",
    cpus: Annotated[int | None, typer.Option(min=1, help="Cores of each run.")] = None,
    gpus: Annotated[float, typer.Option(min=0.0, help="Graphics cards of each run (ray).")] = 0.0,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster, auto for the one of this machine.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the file and list the runs.")
    ] = False,
) -> None:
    """Execute what is not finished; stopped runs continue where they were."""
    from epitaxy.recipes.options import parse_assignments
    from epitaxy.studies.run import run_study

    values = {"data_folder": data_folder and str(data_folder), "experts": experts}
    given = {name: value for name, value in values.items() if value is not None}
    done = run_study(
        study,
        out,
        parameters={**parse_assignments(assignments or []), **given},
        quick=quick,
        workers=workers,
        dry_run=dry_run,
        executor=executor,
        cpus=cpus,
        gpus=gpus,
        address=address,
    )
    if dry_run:
        typer.echo(_planned(done))
        return
    typer.echo(
        f"{len(done.plan.runs)} runs: {done.finished} finished now, {done.finished_before} before, "
        f"{len(done.failed)} not finished."
    )
    if done.failed:
        from epitaxy.studies.status import run_labels

        labels = run_labels(done.plan)
        for i, reason in done.failed.items():
            typer.echo(f"  {i} ({labels[i]}): {reason}")
        raise typer.Exit(1)
    typer.echo(f"Study folder: {done.folder}")


@app.command()
def status(folder: Folder) -> None:
    """Tell how far a study is."""
    from epitaxy.studies.status import STATES, study_status

    found = study_status(folder)
    typer.echo(f"{found.name}: {len(found.states)} runs")
    for state in STATES:
        if found.count(state) or state != "not run":
            typer.echo(f"  {state:8s} {found.count(state):6d}")
    typer.echo(_left(found))
    for state in ("running", "failed", "not run"):
        chosen = [i for i, s in found.states.items() if s == state]
        for i in chosen[:SHOWN]:
            reason = f": {found.reasons[i]}" if i in found.reasons else ""
            typer.echo(f"{state} {i} ({found.labels[i]}){reason}")
        if len(chosen) > SHOWN:
            typer.echo(f"... and {len(chosen) - SHOWN} more.")


@app.command()
def results(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="File to write: .csv, .json, .parquet.")],
    *,
    part: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    overwrite: o.Replace = False,
) -> None:
    """Write the errors of all finished runs as one table."""
    from epitaxy.studies.results import study_results

    frame = study_results(folder, out, part=part, overwrite=overwrite)
    typer.echo(f"{len(frame)} rows of {frame['run'].nunique()} finished runs written to {out}.")


@app.command()
def report(
    study: Annotated[Path, typer.Argument(help="Folder of a study, or a CSV of results.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default the folder of the study.")
    ] = None,
    *,
    rules: Annotated[
        Path | None, typer.Option(help="YAML file: which columns of the CSV are what.")
    ] = None,
) -> None:
    """Write means over trials and changes against the baseline, with figures and a page."""
    from epitaxy.studies.report import study_report

    found = study_report(study, out, rules=rules)
    typer.echo((found.folder / "report.md").read_text(encoding="utf-8").rstrip())
    typer.echo(f"Written: {found.folder}/report.html, report.md, report.csv and figures/")


def _planned(done: StudyRun) -> str:
    from epitaxy.studies.status import run_labels

    labels = run_labels(done.plan)
    lines = [f"{i}  {run.verb:8s}  {labels[i]}" for i, run in done.plan.runs.items()]
    left = len(done.plan.runs) - done.finished_before
    return "\n".join([*lines, f"{len(lines)} runs, {left} of them to do; nothing was started."])


def _left(found: StudyStatus) -> str:
    """Return in words whether it goes on, and for how long."""
    left = found.seconds_left
    if not found.count("waiting") + found.count("running"):
        return "nothing is left to do"
    about = "unknown" if left is None else f"about {_time(left)}"
    ways = f"with {found.workers} workers"
    if found.is_running:
        return f"running {ways}; time left: {about}"
    return f"not running now; time left {ways}: {about}; go on with 'epitaxy study run'"


def _time(seconds: float) -> str:
    """Write a time as people say it.

    >>> _time(42), _time(600), _time(9000), _time(200000)
    ('42 s', '10 min', '2.5 h', '2.3 days')
    """
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"
