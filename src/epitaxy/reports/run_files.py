"""Reading the files of a run folder for a report; what is optional may be absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from epitaxy.core.checksums import verified
from epitaxy.core.errors import InputError
from epitaxy.core.parsing import read_yaml
from epitaxy.results.history import read_history
from epitaxy.results.metrics import read_metrics
from epitaxy.results.predictions import read_predictions


@dataclass(frozen=True)
class RunFiles:
    """What a report needs of a run."""

    folder: Path
    predictions: pd.DataFrame
    metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """As in ``metrics.json``, see `read_metrics`."""
    config: Mapping[str, Any]
    history: pd.DataFrame | None
    dropped: pd.DataFrame | None
    """Columns ``id`` and ``reason``."""
    plan: pd.DataFrame | None
    """The transfer plan, one row per parameter group."""
    gate: pd.DataFrame | None
    """Columns ``expert`` and ``weight``, of a mixture."""

    @property
    def properties(self) -> list[str]:
        """Names of the predicted properties, in the order of the predictions."""
        return [str(name) for name in self.predictions["property"].unique()]

    @property
    def title(self) -> str:
        """``title`` or ``name`` of the configuration, or else what was predicted."""
        given = self.config.get("title") or self.config.get("name")
        return str(given or f"Prediction of {', '.join(self.properties)}")


def read_run(folder: str | Path) -> RunFiles:
    """Read a run folder; only ``predictions.parquet`` must be there.

    Raises:
        InputError: there is no such folder, or a file in it cannot be understood.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"There is no folder {str(folder)!r}; give the folder of a finished run.")
    predictions = read_predictions(folder / "predictions.parquet")
    if predictions.empty:
        raise InputError(
            f"The predictions of {str(folder)!r} hold no row, so there is nothing to report; "
            "evaluate the run on at least one crystal."
        )
    history = folder / "history.csv"
    return RunFiles(
        folder=folder,
        predictions=predictions,
        metrics=read_metrics(folder),
        config=_read_config(folder / "config.yaml"),
        history=read_history(history) if history.is_file() else None,
        dropped=_read_table(folder / "dropped.csv", needed=("id", "reason")),
        plan=_read_table(folder / "plan.csv"),
        gate=_read_table(folder / "gate.csv", needed=("expert", "weight")),
    )


def _read_config(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    verified(path)
    try:
        config = read_yaml(path)
    except ValueError as error:
        raise InputError(
            f"The file {str(path)!r} is not YAML; restore the file that the run wrote."
        ) from error
    if not isinstance(config, dict):
        raise InputError(
            f"The file {str(path)!r} is not a table of settings; restore the file that the run "
            "wrote, or remove it."
        )
    return config


def _read_table(path: Path, needed: tuple[str, ...] = ()) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    verified(path)
    try:
        frame = pd.read_csv(path, dtype=dict.fromkeys(needed, str))
        frame[list(needed)]
    except (KeyError, ValueError) as error:
        columns = f" with the columns {', '.join(needed)}" if needed else ""
        raise InputError(
            f"The file {str(path)!r} is not a CSV table{columns}; restore the file that the run "
            "wrote, or remove it."
        ) from error
    return frame if len(frame) else None
