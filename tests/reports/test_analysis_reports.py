"""Figures and pages of distances between tasks and of gates."""

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from epitaxy.core.errors import InputError
from epitaxy.reports.figures import FIGURES
from epitaxy.reports.gate_report import write_gate_report
from epitaxy.reports.shift_report import write_shift_report
from epitaxy.results.gates import RunGates, gate_table, mean_gates
from epitaxy.results.shift_table import ShiftRow, nearest_sources, shift_table

NOTHING = pd.DataFrame(columns=["data", "id", "reason"])


@pytest.fixture
def gates():
    weights = {"small": 0.75, "tiny": 0.248, "large": 0.002}
    return gate_table(
        [
            RunGates("r0", "band gap", 0, weights),
            RunGates("r1", "shear <modulus>", 0, {**weights, "tiny": 0.25, "large": 0.0}),
            RunGates("r2", "volume", 0, {"small": 1.0, "alien": 0.0}),
        ]
    )


@pytest.fixture
def shifts():
    return shift_table(
        [
            ShiftRow("bulk", "zoo:a", "t", "k", "conv-3", 500, 80, 0.3, 0.2, 0.35, 0.1, 0.0, 0.2),
            ShiftRow("gap", "zoo:b", "t", "gap", "conv-3", 9000, 80, 0.1, label_cmd=0.2),
            ShiftRow("<bare>", "zoo:c", target_rows=80, note="no source table"),
        ]
    )


def words(axes):
    return [text.get_text() for text in axes.texts]


def test_every_cell_of_the_heat_map_has_its_number(gates):
    sizes = {"small": 100, "large": 20_000, "tiny": 3}
    figure = FIGURES["gate_heat_map"](mean_gates(gates, sizes), sizes)
    figure.savefig(io.BytesIO())
    (axes,) = figure.axes
    columns = [label.get_text() for label in axes.get_xticklabels()]
    assert columns == ["tiny (3)", "small (100)", "large (20,000)", "alien"]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["band gap", "shear <modulus>", "volume"]
    found = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    assert found == {
        (0, 0): ".25",
        (1, 0): ".75",
        (2, 0): "<.01",
        (0, 1): ".25",
        (1, 1): ".75",
        (2, 1): "0",
        (1, 2): "1.00",
        (3, 2): "0",
    }


def luminance(colour) -> float:
    rgb = np.asarray(mpl.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_heat_map_in_grey(gates):
    """Heavier is darker, and the numbers stand out from the darkest and the lightest cell."""
    figure = FIGURES["gate_heat_map"](mean_gates(gates))
    (image,) = figure.axes[0].images
    cells = [luminance(image.to_rgba(weight)[:3]) for weight in np.linspace(0, 1, 11)]
    assert cells == sorted(cells, reverse=True)
    for text in figure.axes[0].texts:
        column, row = map(int, text.get_position())
        weight = image.get_array()[row, column]
        pair = sorted([luminance(image.to_rgba(weight)[:3]), luminance(text.get_color())])
        assert (pair[1] + 0.05) / (pair[0] + 0.05) > 4, weight


def test_heat_map_of_one_cell_and_of_none(gates):
    one = gate_table([RunGates("r", "gap", None, {"only": 0.0})])
    FIGURES["gate_heat_map"](mean_gates(one)).savefig(io.BytesIO())
    with pytest.raises(InputError, match="no gate weights to draw"):
        FIGURES["gate_heat_map"](mean_gates(gates).iloc[:0])


def test_gate_report(gates, tmp_path):
    found = write_gate_report(tmp_path / "out", gates, {"large": 7})
    assert list(found["runs"]) == [1, 1, 1]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "3 mixture runs of 3 tasks, 4 experts." in page
    assert "shear &lt;modulus&gt;" in page
    table = pd.read_csv(tmp_path / "out" / "gates.csv")
    assert list(table.columns) == ["run", "task", "seed", "large", "small", "tiny", "alien"]
    assert table["alien"].isna().tolist() == [True, True, False]
    drawn = pd.read_csv(tmp_path / "out" / "figures" / "gate_heat_map.csv")
    assert drawn.shape == (3, 5)


def test_scatter_shows_the_sources_that_have_both_distances(shifts):
    figure = FIGURES["shift_scatter"](shifts)
    figure.savefig(io.BytesIO())
    axes, beside = figure.axes
    assert words(axes) == ["1", "2"]
    assert words(beside)[0].splitlines()[1:] == ["1  gap (9,000)", "2  bulk (500)"]
    np.testing.assert_allclose(axes.collections[-1].get_offsets(), [[0.1, 0.2], [0.3, 0.1]])
    assert axes.get_xlim()[0] == axes.get_ylim()[0] == 0


def test_scatter_of_equal_distributions_and_of_nothing(shifts):
    same = shifts.iloc[:1].assign(feature_cmd=0.0, label_cmd=0.0)
    FIGURES["shift_scatter"](same).savefig(io.BytesIO())
    with pytest.raises(InputError, match="No source has both distances"):
        FIGURES["shift_scatter"](shifts.iloc[2:])


def test_shift_report(shifts, tmp_path):
    lost = pd.DataFrame({"data": ["t"], "id": ["x"], "reason": ["too heavy"]})
    write_shift_report(tmp_path / "out", shifts, nearest_sources(shifts), lost, target="hardness")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "hardness, 80 crystals with a value, against 3 sources." in page
    assert "Nearest in features: gap, bulk." in page
    assert "Nearest in labels: bulk, gap." in page
    assert "0.20 to 0.35" in page
    assert "&lt;bare&gt;" in page
    assert "1 entry could not be used" in page
    # Written again without what cannot be drawn.
    bare = shifts.iloc[2:]
    write_shift_report(tmp_path / "out", bare, nearest_sources(bare), NOTHING, target="hardness")
    files = {p.name for p in (tmp_path / "out").iterdir()}
    assert files == {".epitaxy", "shift.csv", "nearest.csv", "report.html"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "No source has a distance in features." in page
    assert "against 1 source." in page
    assert "intervals" not in page
