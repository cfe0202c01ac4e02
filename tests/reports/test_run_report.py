import json
import re

import numpy as np
import pandas as pd
import pytest

from epitaxy.core.errors import InputError
from epitaxy.reports.numbers import significant
from epitaxy.reports.run_report import write_run_report
from epitaxy.results.predictions import write_predictions
from pages import check_page


def page_text(path):
    html = path.read_text(encoding="utf-8")
    shown = re.sub(r"(?s)<(style|script)>.*?</\1>", " ", html.replace("&nbsp;", " "))
    body = re.sub(r"<[^>]+>", " ", shown)
    return html, re.sub(r"\s+", " ", body)


@pytest.fixture
def bare(tmp_path, predictions):
    """A folder with predictions alone."""
    folder = tmp_path / "bare"
    write_predictions(predictions, folder / "predictions.parquet")
    return folder


@pytest.fixture(scope="module")
def report(samples, tmp_path_factory):
    """The page of a whole run, written once."""
    folder = samples.run(tmp_path_factory.mktemp("runs") / "run", samples.predictions())
    return write_run_report(folder)


def test_whole_report(report, predictions):
    path, run_folder = report, report.parent
    assert path.name == "report.html"
    html, text = page_text(path)
    for split, numbers in json.loads((run_folder / "metrics.json").read_text()).items():
        found = numbers["band_gap"]
        for key in ("mae", "rmse", "r2"):
            assert significant(found[key]) in text, (split, key)
            assert f'data-v="{found[key]}"' in html
    test = json.loads((run_folder / "metrics.json").read_text())["test"]["band_gap"]
    low, high = test["mae_interval"]
    assert f"{significant(low, 3)} to {significant(high, 3)} eV" in text
    share = 1 - test["mae"] / test["baseline_mae"]
    assert f"removes {100 * share:.0f} % of that error" in text
    assert "No model beat" not in text
    assert "Band gap from formation energy" in text
    assert "On 60 test crystals" in text
    assert "3 entries could not be used" in text
    assert "the lowest validation error was reached in epoch" in text
    for word in ("Transfer plan", "learning rate scale", "readout", "training.batch_size", "2.8.0"):
        assert word in text
    images = ["error_distribution", "learning_curve", "parity", "split_distribution"]
    assert sorted(p.stem for p in (run_folder / "figures").glob("*.png")) == images
    assert sorted(p.stem for p in (run_folder / "figures").glob("*.csv")) == images


def test_page_is_self_contained_and_escaped(report):
    html, _ = page_text(report)
    assert html.count("<svg") == 4
    check_page(report)
    assert "no &lt;label&gt;" in html


def test_writing_twice_gives_the_same_page(report):
    first = report.read_bytes()
    assert write_run_report(report.parent).read_bytes() == first


def test_predictions_alone_are_enough(bare):
    html, text = page_text(write_run_report(bare))
    assert "Prediction of band_gap" in text
    assert "None: every entry was used" in text
    for absent in ("Transfer plan", "Configuration", "Provenance", "epochs in"):
        assert absent not in text
    assert html.count("<svg") == 3


def test_no_test_split_is_said(bare, predictions):
    write_predictions(predictions.query("split == 'val'"), bare / "predictions.parquet")
    _, text = page_text(write_run_report(bare))
    assert "no test split with known values of band gap" in text
    assert "On 30 validation crystals" in text


def test_nothing_known_is_said(samples, tmp_path, predictions):
    folder = samples.run(tmp_path / "r", predictions.assign(y_true=np.nan))
    html, text = page_text(write_run_report(folder))
    assert "is known for none of these crystals" in text
    assert html.count("<svg") == 1


def test_a_useless_model_is_called_so(bare, predictions):
    write_predictions(predictions.assign(y_pred=100.0), bare / "predictions.parquet")
    _, text = page_text(write_run_report(bare))
    assert text.index("No model beat predicting the median") < text.index("On 60 test crystals")
    assert "% of that error" not in text


def test_what_may_be_chance_is_called_so(bare, predictions):
    """Better than the mean by far and than the median by a little."""
    test = predictions["split"] == "test"
    centre = predictions.loc[predictions["split"] == "train", "y_true"].median()
    noise = np.random.default_rng(0).normal(size=len(predictions))
    near = predictions.assign(y_pred=np.where(test, centre + 0.5 * noise, centre))
    write_predictions(near, bare / "predictions.parquet")
    html, text = page_text(write_run_report(bare))
    assert "predicting the median" in text.split("On 60 test crystals")[0]
    assert "% of that error" not in text
    assert '<section class="bad"' in html


def test_two_properties(samples, tmp_path, predictions):
    density = samples.predictions(1, name="density (g/cm3)", unit="g/cm³")
    both = pd.concat([predictions, density], ignore_index=True)
    folder = samples.run(tmp_path / "r", both, properties=("band_gap", "density (g/cm3)"))
    html, text = page_text(write_run_report(folder))
    assert html.count("<svg") == 7
    assert "eV" in text
    assert "g/cm³" in text
    assert "lowest mean rank over the properties was reached in epoch" in text
    assert "lowest validation error" not in text
    assert (folder / "figures" / "parity-2-density-g-cm3.png").is_file()


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("config.yaml", "a: [", "not YAML"),
        ("config.yaml", "- a\n", "not a table of settings"),
        ("metrics.json", "{", "not JSON"),
        ("dropped.csv", "a,b\n1,2\n", "CSV table with the columns id, reason"),
        ("history.csv", "a,b\n1,2\n", "not a training history"),
        ("plan.csv", "", "not a CSV table"),
    ],
)
def test_bad_files(bare, name, content, match):
    (bare / name).write_text(content)
    with pytest.raises(InputError, match=match):
        write_run_report(bare)


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="There is no folder"):
        write_run_report(tmp_path / "absent")


def test_no_rows(tmp_path, predictions):
    write_predictions(predictions.iloc[:0], tmp_path / "predictions.parquet")
    with pytest.raises(InputError, match="hold no row"):
        write_run_report(tmp_path)
