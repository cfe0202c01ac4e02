import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import epitaxy.reports.figures as package
from epitaxy.core.errors import InputError
from epitaxy.reports.figures import FIGURES
from epitaxy.reports.figures.error_distribution import absolute_errors
from epitaxy.reports.style import DPI, save_figure
from epitaxy.results.history import COLUMNS

HISTORY = pd.DataFrame(np.linspace(0.1, 1.0, 35).reshape(5, 7), columns=list(COLUMNS)).assign(
    epoch=[1, 2, 3, 4, 5]
)


WITHOUT_UNIT = {
    *("budget_curves", "budget_map", "gate_heat_map"),
    *("scaling_lines", "scaling_worth", "shift_scatter"),
    *("change_bars", "crystal_systems", "error_by_size", "interval_dots", "periodic_table"),
    *("property_violins", "strategy_circle", "transfer_heat_map"),
}
"""Figures of pure numbers, or of other frames; they have tests in files of their own."""


def draw(samples, name, seed=0, **more):
    if name == "learning_curve":
        return FIGURES[name](HISTORY, "eV", **more)
    frames = [samples.predictions(seed)]
    if name == "comparison":
        frames.append(samples.predictions(seed + 1))
    return FIGURES[name](*frames, **more)


def texts(figure):
    found = [t.get_text() for axes in figure.axes for t in axes.texts]
    for axes in figure.axes:
        found += [axes.get_xlabel(), axes.get_ylabel(), axes.get_title(loc="left")]
        legend = axes.get_legend()
        found += [t.get_text() for t in legend.get_texts()] if legend else []
    return " | ".join(found)


def test_registry_and_files_match():
    files = {p.stem for p in Path(package.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(FIGURES)
    for name, target in FIGURES.table.items():
        assert target == f"epitaxy.reports.figures.{name}:{name}"


@pytest.mark.parametrize("name", sorted(set(FIGURES) - WITHOUT_UNIT))
def test_every_figure_draws_with_units(samples, name, tmp_path):
    data = pd.DataFrame({"x": [1.5]})
    figure = draw(samples, name)
    assert isinstance(figure, Figure)
    assert "(eV)" in texts(figure)
    path = save_figure(figure, tmp_path / "new" / "one.png", data)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.with_suffix(".csv").read_text() == "x\n1.5\n"


def test_resolution(samples, tmp_path):
    import matplotlib.image

    path = save_figure(draw(samples, "learning_curve"), tmp_path / "f.png", HISTORY)
    height, width = matplotlib.image.imread(path).shape[:2]
    assert (width, height) == (round(6.6 * DPI), round(3.6 * DPI))


def test_no_window_state(samples):
    draw(samples, "learning_curve").savefig(io.BytesIO())
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


def test_parity_has_a_panel_per_split_test_first(samples):
    figure = draw(samples, "parity")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Test", "Validation", "Training"]
    only = FIGURES["parity"](samples.predictions().query("split == 'test'"))
    assert len(only.axes) == 1


def test_parity_notes_what_the_metrics_say(samples):
    from epitaxy.results.metrics import metrics

    found = metrics(samples.predictions())["test"]["band_gap"]
    note = draw(samples, "parity").axes[0].texts[0].get_text()
    assert f"MAE  {found['mae']:.3f} eV" in note
    assert f"R²  {found['r2']:.3f}" in note


def test_parity_with_one_constant_crystal(samples):
    one = samples.predictions(sizes=(0, 0, 1))
    assert "undefined" in texts(FIGURES["parity"](one.assign(y_pred=one["y_true"])))


@pytest.mark.parametrize("name", ["parity", "error_distribution"])
def test_nothing_known(samples, name):
    with pytest.raises(InputError, match="No true value of 'band_gap' is known"):
        FIGURES[name](samples.predictions().assign(y_true=np.nan))


def test_perfect_predictions_have_a_histogram(samples):
    frame = samples.predictions()
    figure = FIGURES["error_distribution"](frame.assign(y_pred=frame["y_true"]))
    assert "mean (MAE)  0 eV" in texts(figure)


def test_absolute_errors(samples):
    found = absolute_errors(samples.predictions())
    expected = (found["y_pred"] - found["y_true"]).abs()
    assert found["absolute_error"].tolist() == expected.tolist()


def test_learning_curve_marks_the_best_epoch(samples):
    assert "best: epoch 1, " in texts(draw(samples, "learning_curve"))


@pytest.mark.parametrize(("ratio", "scale"), [(2, "linear"), (10, "log"), (1000, "log")])
def test_learning_curve_scale(ratio, scale):
    history = HISTORY.assign(train_mae=np.geomspace(1, ratio, 5), val_mae=1.0)
    figure = FIGURES["learning_curve"](history)
    assert figure.axes[0].get_yscale() == scale
    figure.draw_without_rendering()


def test_learning_curve_without_validation():
    figure = FIGURES["learning_curve"](HISTORY.assign(val_mae=np.nan, val_loss=np.nan))
    assert "best" not in texts(figure)


def test_learning_curve_without_epochs():
    with pytest.raises(InputError, match="no epoch yet"):
        FIGURES["learning_curve"](HISTORY.iloc[:0])


def test_comparison_bars_are_the_maes(samples):
    figure = draw(samples, "comparison", names=("scratch", "transfer"))
    frame = samples.predictions(0).query("split == 'test'")
    mae = (frame["y_pred"] - frame["y_true"]).abs().mean()
    assert figure.axes[0].patches[0].get_height() == pytest.approx(mae)
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["scratch", "transfer"]
