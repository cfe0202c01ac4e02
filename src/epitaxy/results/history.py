"""``history.csv``: one row per training epoch, readable while the training still runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from epitaxy.core.checksums import verified
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
OF_PROPERTY = "val_mae "
"""A model with several properties has one more column for each, this and its name: validation MAE
in physical units. Its ``train_mae`` and ``val_mae`` are means over the learning scales."""


class HistoryWriter:
    """Appends epochs to a history file; a killed program loses no row that `append` wrote.

    A file that is already there is continued; a row that a killed run left half written is
    removed. Numbers are written with all their digits, so that a resumed run ends with the same
    file as an uninterrupted one (but for the seconds).

    Args:
        path: file to write.
        properties: names of the properties of a model with several.
    """

    def __init__(self, path: str | Path, properties: Sequence[str] = ()) -> None:
        self.path, self.properties = Path(path), tuple(properties)
        of_each = [f"{OF_PROPERTY}{' '.join(name.split())}" for name in properties]
        self.header = _line([*COLUMNS, *of_each])
        if not self.path.is_file():
            write_text(self.path, self.header)
        elif (text := self.path.read_text(encoding="utf-8")) != (whole := _whole_rows(text)):
            write_text(self.path, whole or self.header)

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
        val_maes: Mapping[str, float] | None = None,
    ) -> None:
        """Write one row; validation numbers are None when there is no validation split.

        ``val_maes`` holds the error of each property by name; those of `properties` are written.

        Raises:
            InputError: the disk is full or not writable.
        """
        numbers = (train_loss, train_mae, val_loss, val_mae, learning_rate, seconds)
        of_each = [(val_maes or {}).get(name) for name in self.properties]
        fields = [
            "" if x is None or not np.isfinite(x) else repr(float(x)) for x in (*numbers, *of_each)
        ]
        with (
            readable_disk_errors(self.path),
            self.path.open("a", encoding="utf-8", newline="") as file,
        ):
            file.write(_line([str(int(epoch)), *fields]))
            file.flush()

    def truncate(self, epoch: int) -> None:
        """Forget what came after ``epoch`` (0: everything), for a run that resumes from there."""
        lines = _whole_rows(self.path.read_text(encoding="utf-8")).splitlines(keepends=True)
        kept = [line for line in lines[1:] if int(line.split(",", 1)[0]) <= epoch]
        write_text(self.path, self.header + "".join(kept))


def read_history(path: str | Path) -> pd.DataFrame:
    """Read a history, epochs in rising order; a half-written last row is left out.

    Returns:
        The columns of `COLUMNS`, and one per property where there are several; ``epoch`` int64,
        the others float64 with NaN where not known.

    Raises:
        InputError: the file is absent or is not a history.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {str(path)!r}; give the history.csv of a run folder.")
    verified(path)
    try:
        text = _whole_rows(path.read_text(encoding="utf-8"))
        frame = pd.read_csv(io.StringIO(text), float_precision="round_trip")
        of_each = [name for name in frame if str(name).startswith(OF_PROPERTY)]
        numbers = frame[[*COLUMNS, *of_each]].astype(np.float64)
        # A cast, not a conversion of text: an epoch that is empty or infinite fails here.
        numbers["epoch"] = numbers["epoch"].astype(np.int64)
    except (KeyError, ValueError) as error:
        raise InputError(
            f"The file {str(path)!r} is not a training history; it needs the columns "
            f"{', '.join(COLUMNS)} with plain numbers: take the file that the training wrote."
        ) from error
    return numbers.sort_values("epoch").reset_index(drop=True)


def best_epoch(history: pd.DataFrame) -> int | None:
    """Return the epoch of the best validation errors (see `improves`), None without validation.

    >>> rows = {"epoch": [1, 2, 3], "val_mae": [0.3, 0.1, 0.2]}
    >>> best_epoch(pd.DataFrame(rows))
    2
    """
    of_each = [name for name in history if str(name).startswith(OF_PROPERTY)]
    errors = history[of_each or ["val_mae"]].to_numpy(dtype=np.float64)
    best: int | None = None
    for row in range(len(errors)):
        if improves(errors[: row + 1], best):
            best = row
    return None if best is None else int(history["epoch"].to_numpy()[best])


def improves(errors: np.ndarray, best: int | None) -> bool:
    """Return whether the last epoch takes the place of the best one.

    It does when its mean rank over the properties, among all epochs so far, is the smaller one.
    Ranks let properties of any unit and difficulty count the same; with one property this is the
    smaller error.

    Args:
        errors: (T, P) validation errors of the epochs so far; NaN or infinite where not known.
        best: row of the best epoch before, None when there is none yet.

    >>> errors = np.array([[1.0, 1.0, 1.0], [0.9, 0.9, 5.0]])
    >>> improves(errors, 0)
    True
    """
    known = np.where(np.isfinite(errors), errors, np.inf)
    if np.isinf(known[-1]).all():
        return False
    if best is None:
        return True
    return _rank_sum(known, len(known) - 1) < _rank_sum(known, best)


def _rank_sum(errors: np.ndarray, row: int) -> float:
    """Sum the ranks of a row of (T, P) over the columns; equal entries share the mean of theirs.

    The ranks are short by 1/2 each, which comparisons do not notice.
    """
    less, equal = errors < errors[row], errors == errors[row]
    return float(less.sum() + equal.sum() / 2)


def _line(fields: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue()


def _whole_rows(text: str) -> str:
    """Cut what stands behind the last line end."""
    return text[: text.rfind("\n") + 1]
