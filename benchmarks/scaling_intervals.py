"""Coverage of 95 % intervals of a slope: Student's t over sizes against resampled sizes.

Simulated errors E = n^-0.3 at sizes that double, with normal scatter of ln E between sizes (what
all seeds of a size share) and between seeds.

    python benchmarks/scaling_intervals.py
"""

from __future__ import annotations

import numpy as np

from epitaxy.results.scaling import LogLine, fit_line
from epitaxy.results.scaling_resampling import ResampledLine

RUNS = 1000
CASES = ((4, 3, 0.1, 0.1), (5, 1, 0.0, 0.1), (5, 3, 0.0, 0.1), (5, 5, 0.1, 0.02), (8, 3, 0.1, 0.1))
"""Sizes, seeds, standard deviation between sizes, between seeds."""


def covers(line: LogLine) -> bool:
    low, high = line.slope_interval() or (np.nan, np.nan)
    return bool(low <= -0.3 <= high)


def main() -> None:
    random = np.random.default_rng(0)
    print("sizes  seeds  between sizes  between seeds  t over sizes  resampled  every run a point")
    for m, seeds, between, within in CASES:
        sizes = np.repeat(50.0 * 2 ** np.arange(m), seeds)
        hits = np.zeros(3)
        for n in range(RUNS):
            scatter = np.repeat(between * random.standard_normal(m), seeds)
            scatter += within * random.standard_normal(len(sizes))
            logs = -0.3 * np.log(sizes) + scatter
            line = fit_line(sizes, np.exp(logs))
            every = LogLine(sizes, logs, np.ones(len(sizes), dtype=np.int64))
            hits += [covers(line), covers(ResampledLine.of(line, n)), covers(every)]
        shares = "  ".join(f"{100 * share:9.1f} %" for share in hits / RUNS)
        print(f"{m:5d}  {seeds:5d}  {between:13g}  {within:13g}  {shares}")


if __name__ == "__main__":
    main()
