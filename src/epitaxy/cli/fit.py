"""``epitaxy fit``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from epitaxy.cli import options as o
from epitaxy.core.processes import age

Targets = Annotated[list[str], typer.Option(help="Property to learn (repeat: each by itself).")]
Budget = Annotated[
    str | None, typer.Option(help="90s, 30m, 2h; by the number of rows when left out.")
]
End = Annotated[str | None, typer.Option(help="On the clock: then the best so far is handed over.")]
Candidates = Annotated[str, typer.Option(help="Families with commas, or all.")]
Sources = Annotated[
    str, typer.Option(help="Trained models: run folders, zoo:NAME, zoo:*, with commas.")
]
Expect = Annotated[
    str,
    typer.Option(
        help="Crystals to be predicted: unknown to all sources, related (one knows a related "
        "property of them), or any."
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Threads = Annotated[int | None, typer.Option(help="Processes that work at a time; one per core.")]
Repeats = Annotated[
    int | None, typer.Option(help="Of everything, with other folds; 1 to 3 by the budget.")
]
Calibration = Annotated[
    float | None, typer.Option(help="Slowness of the machine; measured once if left out.")
]
Trust = Annotated[
    bool, typer.Option(help="Let sources compete that do not say what they have learned.")
]
Tune = Annotated[
    bool, typer.Option(help="Also seek hyperparameters of the best candidates (Optuna).")
]
DryRun = Annotated[bool, typer.Option(help="Say what was understood, and stop.")]


def command(
    data: o.Data,
    target: Targets,
    out: o.Out,
    budget: Budget = None,
    deadline: End = None,
    candidates: Candidates = "all",
    sources: Sources = "zoo:*",
    expect: Expect = "unknown",
    group_by: o.GroupBy = "auto",
    unit: o.Unit = None,
    seed: Seed = 0,
    threads: Threads = None,
    repeats: Repeats = None,
    calibration: Calibration = None,
    *,
    trust_sources: Trust = False,
    tune: Tune = False,
    dry_run: DryRun = False,
    overwrite: o.Overwrite = False,
) -> None:
    """Find the best model for a property, with its honest error."""
    from epitaxy.fitting.fit import fit, prepare_fit
    from epitaxy.fitting.pace import Deadline
    from epitaxy.fitting.plan import seconds_of

    end = None
    if deadline is not None:
        end = Deadline.after(seconds_of(deadline, "deadline"), age())
    settings: dict[str, Any] = {
        "budget": budget,
        "deadline": end,
        "candidates": candidates,
        "sources": sources,
        "trust_sources": trust_sources,
        "expect": expect,
        "group_by": group_by,
        "unit": unit,
        "seed": seed,
        "threads": threads,
        "repeats": repeats,
        "tune": tune,
        "calibration": calibration,
    }
    if dry_run:
        for name in target:
            typer.echo("\n".join(prepare_fit(data, name, **settings).understood))
        return
    wanted = target[0] if len(target) == 1 else target
    found = fit(data, wanted, out, overwrite=overwrite, **settings)
    typer.echo(o.painted(found.text()))
