"""`demo`: `fit` on the data and models that the package ships, and predictions of new crystals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from epitaxy.fitting.fit import Fitted, fit
from epitaxy.recipes.predict import predict
from epitaxy.structures.sources.demo import example_files

DATA = "demo:semiconductors"
TARGET = "gap"
BUDGET = "2m"
THREADS = 2
CALIBRATION = 1.0
"""The plan depends on these; so every machine finds the same."""


@dataclass(frozen=True)
class Demo:
    """What the demonstration found."""

    fitted: Fitted
    examples: pd.DataFrame
    """Predictions of the example crystals."""

    def text(self) -> str:
        """Return the result in words."""
        rows = [
            f"  {row['id']:10s} {row['y_pred']:5.2f} {row['unit']}  "
            f"({row['y_lower']:.2f} to {row['y_upper']:.2f}; {row['domain']})"
            for row in self.examples.to_dict("records")
        ]
        return "\n".join(
            [
                "",
                f"Measured band gaps of {self.fitted.score['rows']} semiconductors.",
                self.fitted.text(),
                "",
                "Three crystals that are not among them, with 90 % intervals:",
                *rows,
            ]
        )


def demo(out: str | Path = "demo-run") -> Demo:
    """Fit the measured band gaps of the shipped semiconductors, and predict three others.

    Args:
        out: run folder to write.

    Raises:
        InputError: ``out`` is not ours to write.
    """
    out = Path(out)
    fitted = fit(DATA, TARGET, out, budget=BUDGET, threads=THREADS, calibration=CALIBRATION)
    return Demo(fitted, predict(out, example_files()))
