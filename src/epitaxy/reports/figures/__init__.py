"""One file per figure; a function takes data frames and returns a matplotlib ``Figure``."""

from __future__ import annotations

from epitaxy.core.registry import Registry

FIGURES = Registry(
    "figure",
    {
        "budget_curves": "epitaxy.reports.figures.budget_curves:budget_curves",
        "budget_map": "epitaxy.reports.figures.budget_map:budget_map",
        "change_bars": "epitaxy.reports.figures.change_bars:change_bars",
        "comparison": "epitaxy.reports.figures.comparison:comparison",
        "crystal_systems": "epitaxy.reports.figures.crystal_systems:crystal_systems",
        "error_by_size": "epitaxy.reports.figures.error_by_size:error_by_size",
        "error_distribution": "epitaxy.reports.figures.error_distribution:error_distribution",
        "gate_heat_map": "epitaxy.reports.figures.gate_heat_map:gate_heat_map",
        "interval_dots": "epitaxy.reports.figures.interval_dots:interval_dots",
        "learning_curve": "epitaxy.reports.figures.learning_curve:learning_curve",
        "parity": "epitaxy.reports.figures.parity:parity",
        "periodic_table": "epitaxy.reports.figures.periodic_table:periodic_table",
        "property_violins": "epitaxy.reports.figures.property_violins:property_violins",
        "scaling_lines": "epitaxy.reports.figures.scaling_lines:scaling_lines",
        "scaling_worth": "epitaxy.reports.figures.scaling_worth:scaling_worth",
        "shift_scatter": "epitaxy.reports.figures.shift_scatter:shift_scatter",
        "split_distribution": "epitaxy.reports.figures.split_distribution:split_distribution",
        "strategy_circle": "epitaxy.reports.figures.strategy_circle:strategy_circle",
        "transfer_heat_map": "epitaxy.reports.figures.transfer_heat_map:transfer_heat_map",
    },
)
"""Figure name -> function."""
