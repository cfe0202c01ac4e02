"""``history.csv``: one row per training epoch, readable while the training still runs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd

from epitaxy.core.errors import InputError
from epitaxy.core.files import readable_disk_errors, write_text

COLUMNS = (
    "epoch",
    "train_loss",
    "train_mae",
    "val_loss",
    "val_mae",
    "learning_rate",
    "seconds",
)
"""Epochs count from 1; losses have no unit, mean absolute errors are physical, ``seconds`` is the
duration of the epoch."""

HEADER = ",".join(COLUMNS) + "\n"


class HistoryWriter:
    """Appends epochs to a history file; a killed program loses no row that `append` wrote.

    A file that is already there is continued; a row that a killed run left half written is
    removed. Numbers are written with all their digits, so that a resumed run ends with the same
    file as an uninterrupted one (but for the seconds).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            write_text(self.path, HEADER)
        elif (text := self.path.read_text(encoding="utf-8")) != (whole := _whole_rows(text)):
            write_text(self.path, whole or HEADER)

    def append(
        self,
        *,
        epoch: int,
        train_loss: float,
        train_mae: float,
        learning_rate: float,
        seconds: float,
        val_loss: float | None = None,
        val_mae: float | None = None,
    ) -> None:
        """Write one row; validation numbers are None when there is no validation split.

        Raises:
            InputError: the disk is full or not writable.
        """
        numbers = (train_loss, train_mae, val_loss, val_mae, learning_rate, seconds)
        fields = ["" if x is None or np.isnan(x) else repr(float(x)) for x in numbers]
        with (
            readable_disk_errors(self.path),
            self.path.open("a", encoding="utf-8", newline="") as file,
        ):
            file.write(",".join([str(int(epoch)), *fields]) + "\n")
            file.flush()

    def truncate(self, epoch: int) -> None:
        """Forget what came after ``epoch`` (0: everything), for a run that resumes from there."""
        lines = _whole_rows(self.path.read_text(encoding="utf-8")).splitlines(keepends=True)
        kept = [line for line in lines[1:] if int(line.split(",", 1)[0]) <= epoch]
        write_text(self.path, HEADER + "".join(kept))


def read_history(path: str | Path) -> pd.DataFrame:
    """Read a history, epochs in rising order; a half-written last row is left out.

    Returns:
        The columns of `COLUMNS`; ``epoch`` int64, the others float64 with NaN where not known.

    Raises:
        InputError: the file is absent or is not a history.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {str(path)!r}; give the history.csv of a run folder.")
    try:
        text = _whole_rows(path.read_text(encoding="utf-8"))
        frame = pd.read_csv(io.StringIO(text), float_precision="round_trip")
        numbers = frame[list(COLUMNS)].astype(np.float64)
        # A cast, not a conversion of text: an epoch that is empty or infinite fails here.
        numbers["epoch"] = numbers["epoch"].astype(np.int64)
    except (KeyError, ValueError) as error:
        raise InputError(
            f"The file {str(path)!r} is not a training history; it needs the columns "
            f"{', '.join(COLUMNS)} with plain numbers: take the file that the training wrote."
        ) from error
    return numbers.sort_values("epoch").reset_index(drop=True)


def best_epoch(history: pd.DataFrame) -> int | None:
    """Return the epoch of the lowest validation MAE, None when there is no validation.

    >>> rows = {"epoch": [1, 2, 3], "val_mae": [0.3, 0.1, 0.2]}
    >>> best_epoch(pd.DataFrame(rows))
    2
    """
    known = history.dropna(subset=["val_mae"])
    if known.empty:
        return None
    return int(known["epoch"].to_numpy()[known["val_mae"].to_numpy().argmin()])


def _whole_rows(text: str) -> str:
    """Cut what stands behind the last line end."""
    return text[: text.rfind("\n") + 1]
