import math

import numpy as np
import pandas as pd
import pytest

from epitaxy.core.errors import InputError
from epitaxy.results.history import COLUMNS, HistoryWriter, best_epoch, improves, read_history

HEADER = ",".join(COLUMNS) + "\n"


def add(writer, *epochs, **changes):
    for epoch in epochs:
        row = {
            "train_loss": 1 / (3 * epoch),
            "train_mae": 0.1 + 0.2,
            "val_loss": 0.5,
            "val_mae": abs(epoch - 2.5),
            "learning_rate": 1e-3,
            "seconds": 1.0,
        }
        writer.append(epoch=epoch, **(row | changes))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "history.csv"


def test_round_trip_is_exact(path):
    add(HistoryWriter(path), 1, 2, 3)
    found = read_history(path)
    assert tuple(found.columns) == COLUMNS
    assert found["epoch"].tolist() == [1, 2, 3]
    assert found["train_loss"].tolist() == [1 / 3, 1 / 6, 1 / 9]
    assert found["train_mae"][0] == 0.1 + 0.2


def test_rows_are_on_disk_at_once(path):
    writer = HistoryWriter(path)
    assert read_history(path).empty
    add(writer, 1)
    assert len(read_history(path)) == 1


def test_no_validation(path):
    add(HistoryWriter(path), 1, val_loss=None, val_mae=float("nan"))
    found = read_history(path)
    assert np.isnan(found["val_mae"][0])
    assert best_epoch(found) is None


def test_continues_and_truncates(path):
    add(HistoryWriter(path), 1, 2, 3, 4)
    whole = path.read_bytes()
    writer = HistoryWriter(path)
    writer.truncate(2)
    assert read_history(path)["epoch"].tolist() == [1, 2]
    add(writer, 3, 4)
    assert path.read_bytes() == whole
    writer.truncate(0)
    assert path.read_text() == HEADER


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_half_written_row_is_left_out_and_repaired(path, cut):
    add(HistoryWriter(path), 1, 2)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert read_history(path)["epoch"].tolist() == [1]
    add(HistoryWriter(path), 2)
    assert path.read_bytes() == whole


def test_half_a_header_is_repaired(path):
    path.parent.mkdir()
    path.write_text("epoch,tra")
    add(HistoryWriter(path), 1)
    assert len(read_history(path)) == 1


def test_best_epoch(path):
    add(HistoryWriter(path), 1, 2, 3, 4)
    assert best_epoch(read_history(path)) == 2


def test_absent(path):
    with pytest.raises(InputError, match="There is no file"):
        read_history(path)


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", HEADER + "1,x,1,1,1,1,1\n", HEADER + ",1,1,1,1,1,1\n"]
)
def test_bad_files(path, text):
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(InputError, match="not a training history; it needs the columns epoch"):
        read_history(path)


def test_a_column_for_each_of_several_properties(path):
    writer = HistoryWriter(path, ["gap, direct", "bulk\nmodulus"])
    add(writer, 1, val_maes={"gap, direct": 0.5, "bulk\nmodulus": float("inf"), "other": 1.0})
    writer = HistoryWriter(path, ["gap, direct", "bulk\nmodulus"])
    add(writer, 2, val_maes={"gap, direct": 0.25, "bulk\nmodulus": 3.0})
    found = read_history(path)
    assert found["val_mae gap, direct"].tolist() == [0.5, 0.25]
    assert found["val_mae bulk modulus"].fillna(0).tolist() == [0, 3.0]
    writer.truncate(1)
    assert read_history(path)["epoch"].tolist() == [1]
    assert "val_mae gap, direct" in read_history(path)


RANKS = {
    "one property, lower": ([[2.0], [1.0]], 0, True),
    "one property, equal": ([[2.0], [2.0]], 0, False),
    "the first epoch": ([[9.0, 9.0]], None, True),
    "nothing known": ([[1.0], [math.inf]], 0, False),
    "nothing known at first": ([[math.inf], [1.0]], None, True),
    "two of three lower, the third a lot higher": ([[1, 1, 1], [0.9, 0.9, 9]], 0, True),
    "one of three lower": ([[1, 1, 1], [0.1, 1.1, 1.1]], 0, False),
    # Ranks 2, 2 and 1, 3: equal on the mean.
    "other epochs count": ([[1, 1], [3, 0.5], [0.5, 2]], 0, False),
    "a property that nobody knows": ([[1, math.nan], [0.5, math.nan]], 0, True),
    "a property that is not known any more": ([[1, 1], [0.9, math.nan]], 0, False),
}


@pytest.mark.parametrize("case", RANKS)
def test_which_epoch_is_better(case):
    errors, best, better = RANKS[case]
    assert improves(np.array(errors, dtype=float), best) == better


def ranked_by_pandas(errors, best):
    """Return whether the last epoch has the smaller mean rank, with the ranks of all epochs."""
    known = np.where(np.isfinite(errors), errors, np.nan)
    ranks = pd.DataFrame(known).rank(na_option="bottom").mean(axis=1)
    return bool(ranks.iloc[-1] < ranks.iloc[best])


@pytest.mark.parametrize("n_properties", [1, 2, 5])
def test_ranks_are_those_of_pandas(n_properties):
    """On histories with many ties and with errors that are not known."""
    rng = np.random.default_rng(n_properties)
    outcomes = set()
    for _ in range(200):
        errors = rng.integers(1, 6, (rng.integers(2, 12), n_properties)).astype(float)
        errors[rng.random(errors.shape) < 0.2] = rng.choice([math.nan, math.inf, -math.inf])
        errors[-1, 0] = rng.integers(1, 6)
        best = int(rng.integers(len(errors) - 1))
        assert improves(errors, best) == ranked_by_pandas(errors, best)
        outcomes.add(improves(errors, best))
    assert outcomes == {True, False}


def test_the_best_epoch_of_several_properties_is_the_one_that_training_chose(path):
    rng = np.random.default_rng(0)
    errors, best = rng.random((40, 3)), None
    writer = HistoryWriter(path, ["a", "b", "c"])
    for epoch, row in enumerate(errors):
        add(writer, epoch + 1, val_maes=dict(zip("abc", row, strict=True)))
        best = epoch if improves(errors[: epoch + 1], best) else best
    assert best_epoch(read_history(path)) == best + 1
    assert best != errors.mean(axis=1).argmin()
