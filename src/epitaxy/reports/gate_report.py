"""Files, figure and page of an analysis of gates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from epitaxy.core.files import atomic_folder
from epitaxy.reports.figures.gate_heat_map import gate_heat_map
from epitaxy.reports.page import page_figure, write_page
from epitaxy.results.gates import TOP, agreement, mean_gates


def write_gate_report(
    out: str | Path,
    table: pd.DataFrame,
    sizes: Mapping[str, float] | None = None,
    *,
    top: int = TOP,
) -> pd.DataFrame:
    """Write the folder ``out``: ``gates.csv``, ``agreement.csv``, ``figures/``, ``report.html``.

    Args:
        out: folder to write; it may be one that an earlier analysis wrote.
        table: what `gate_table` returned.
        sizes: expert -> number of crystals that it was trained on.
        top: how many of the heaviest experts are compared between runs.

    Returns:
        What `agreement` returned.

    Raises:
        InputError: ``out`` is not ours to write, or the disk is full.
    """
    means = mean_gates(table, sizes)
    agreed = agreement(table, top)
    with atomic_folder(out) as folder:
        table[means.columns].to_csv(folder / "gates.csv")
        agreed.to_csv(folder / "agreement.csv", index=False)
        ordered = (
            " Experts stand in the order of the number of crystals that they were trained on, "
            "which is in brackets."
        )
        drawn = page_figure(
            gate_heat_map(means, sizes),
            folder / "figures" / "gate_heat_map.png",
            means.reset_index(),
            "Mean weight over the runs of a task; the weights of a run sum to 1, and 0 means that "
            f"the expert was never chosen.{ordered if sizes else ''}",
        )
        write_page(
            folder / "report.html",
            "gates.html",
            title="What the gates chose",
            n_runs=len(table),
            n_experts=len(means.columns),
            top=top,
            agreement=agreed.to_dict("records"),
            figure=drawn,
        )
    return agreed
