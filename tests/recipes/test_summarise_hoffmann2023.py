"""The tables of the fidelity study: repeated rows, pairing over seeds, one size and several."""

import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def printed(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    main = runpy.run_path(str(SCRIPTS / "summarise_hoffmann2023.py"))["main"]

    def call(*frames):
        files = [tmp_path / f"{i}.csv" for i in range(len(frames))]
        for frame, file in zip(frames, files, strict=True):
            frame.to_csv(file, index=False)
        out = tmp_path / "merged.csv"
        monkeypatch.setattr(sys, "argv", ["x", *map(str, files), "--out", str(out)])
        main()
        return capsys.readouterr().out, pd.read_csv(out)

    return call


def runs(strategy, size, errors, experiment="bg-ebg"):
    source = 0 if strategy == "none" else 900
    return pd.DataFrame(
        {
            "experiment": experiment,
            "model": "cgcnn",
            "strategy": strategy,
            "source_size": source,
            "target_size": size,
            "seed": range(len(errors)),
            "mae": errors,
            "unit": "eV",
        }
    )


def test_several_sizes_and_files(printed):
    first = pd.concat(
        [
            runs("full, source scale", 50, [0.5, 0.8]),
            runs("full", 50, [0.5, 0.7]),
            runs("none", 50, [9.0, 9.0]),
            runs("none", 100, [0.4]),
        ]
    )
    text, table = printed(first, runs("none", 50, [0.6, 1.0]))
    assert "| none | 0.800 ± 0.283 | 0.400 |" in text
    # -0.1 and -0.3: mean -0.2, and t(1) 12.706 times 0.1.
    assert "| full minus none | -0.200 ± 1.271 |" in text
    assert "| full, source scale minus full | +0.050 ± 0.635 |" in text
    assert list(table["strategy"]) == ["none"] * 3 + ["full"] * 2 + ["full, source scale"] * 2
    assert 9.0 not in set(table["mae"])


def test_smaller_sources_are_not_mixed_with_the_largest(printed):
    few = runs("full", 50, [0.9]).assign(source_size=90)
    text, _ = printed(pd.concat([runs("none", 50, [0.6]), few, runs("full", 50, [0.5])]))
    assert "| full | 1 | 0.500 | unknown | 0.500 |" in text
    assert "| full, 90 source rows | 0.900 |" in text


def test_one_size_has_intervals(printed):
    text, _ = printed(runs("none", 84, [1.0, 2.0, 3.0], "opt-tbmbj"))
    assert "| none | 3 | 2.000 | -0.484 to 4.484 | 1.000, 2.000, 3.000 |" in text
