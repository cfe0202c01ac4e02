"""Spread of the workload by which `epitaxy fit` measures a machine, alone and beside others.

python benchmarks/fit_speed.py --times 10 --busy 4
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

ONCE = (
    "import time; began = time.monotonic();"
    "from epitaxy.fitting.speed import REFERENCE, rounded, workload_seconds;"
    "import torch; ready = time.monotonic(); found = workload_seconds();"
    "print(found, rounded(found / REFERENCE), time.monotonic() - ready)"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--busy", type=int, default=4, help="Processes beside it.")
    given = parser.parse_args()
    print("| busy processes | workload (ms) | factor | took (s) |")
    print("|---|---|---|---|")
    for busy in (0, given.busy):
        others = [subprocess.Popen([sys.executable, "-c", "while 1: pass"]) for _ in range(busy)]
        for _ in range(given.times):
            done = subprocess.run(
                [sys.executable, "-c", ONCE], capture_output=True, text=True, check=True
            )
            seconds, factor, took = map(float, done.stdout.split())
            print(f"| {busy} | {1e3 * seconds:.2f} | {factor:g} | {took:.2f} |", flush=True)
        for other in others:
            other.kill()
            other.wait()
        time.sleep(1)


if __name__ == "__main__":
    main()
