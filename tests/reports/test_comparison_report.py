import pytest

from epitaxy.core.errors import InputError
from epitaxy.reports.comparison_report import write_comparison_report
from epitaxy.results.comparison import compare
from pages import check_page


@pytest.fixture
def runs(samples, tmp_path):
    worse, better = samples.predictions(1, 0.8), samples.predictions(2, 0.1)
    return (
        samples.run(tmp_path / "scratch", worse, title="scratch"),
        samples.run(tmp_path / "transfer", better, title="transfer"),
    )


def test_page_has_the_numbers_of_the_last_writing(samples, runs, tmp_path):
    write_comparison_report(runs[0], runs[0], tmp_path / "out")
    path = write_comparison_report(*runs, tmp_path / "out")
    html = path.read_text(encoding="utf-8")
    found = compare(samples.predictions(1, 0.8), samples.predictions(2, 0.1))
    assert f"{found.mae_first:.3f} eV" in html
    assert f"{found.change_percent:+.1f} %" in html
    assert "“transfer” is better" in html
    check_page(path)
    assert {p.name for p in path.parent.iterdir()} >= {"comparison.png", "comparison.csv"}


def test_equal_runs_may_be_chance(runs, tmp_path):
    html = write_comparison_report(runs[0], runs[0], tmp_path / "out").read_text(encoding="utf-8")
    assert "this may be chance" in html
    assert "scratch (1)" in html


def test_never_writes_over_a_run(runs, tmp_path):
    for out in (runs[1], tmp_path):
        with pytest.raises(InputError, match="give another folder"):
            write_comparison_report(*runs, out)
    assert (runs[1] / "predictions.parquet").is_file()


def test_foreign_folder_is_left_alone(runs, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(InputError, match="not written by epitaxy"):
        write_comparison_report(*runs, tmp_path / "mine")
