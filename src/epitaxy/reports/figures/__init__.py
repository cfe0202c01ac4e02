"""One file per figure; a function takes data frames and returns a matplotlib ``Figure``."""

from __future__ import annotations

from epitaxy.core.registry import Registry

FIGURES = Registry(
    "figure",
    {
        "comparison": "epitaxy.reports.figures.comparison:comparison",
        "error_distribution": "epitaxy.reports.figures.error_distribution:error_distribution",
        "gate_heat_map": "epitaxy.reports.figures.gate_heat_map:gate_heat_map",
        "learning_curve": "epitaxy.reports.figures.learning_curve:learning_curve",
        "parity": "epitaxy.reports.figures.parity:parity",
        "shift_scatter": "epitaxy.reports.figures.shift_scatter:shift_scatter",
    },
)
"""Figure name -> function."""
