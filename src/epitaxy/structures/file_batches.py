"""Reading many structure files, in parallel when it pays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from joblib import Parallel, cpu_count, delayed

from epitaxy.core.progress import track
from epitaxy.structures.building import Crystal, UnusableError
from epitaxy.structures.parsing import Part, first_usable, parts_of_file

PARALLEL_FROM = 500
"""Below this many files starting worker processes takes longer than reading."""
MOST_WORKERS = 8
CHUNK = 50


def parse_files(
    paths: Sequence[str | Path], *, workers: int | None = None
) -> list[Crystal | UnusableError]:
    """Read one crystal per file, in order; failures stand in the place of their crystal."""
    return [_first(parts) for parts in parse_all(paths, workers=workers)]


def parse_all(paths: Sequence[str | Path], *, workers: int | None = None) -> list[list[Part]]:
    """Read all structures of every file, in order; failures are parts, too."""
    names = [str(p) for p in paths]
    if workers is None:
        workers = min(cpu_count(), MOST_WORKERS) if len(names) > PARALLEL_FROM else 1
    if workers <= 1:
        return [parts_of_file(n) for n in track(names, len(names), "structures")]
    chunks = [names[i : i + CHUNK] for i in range(0, len(names), CHUNK)]
    # joblib's processes start clean: no fork of a program with threads, no second run of __main__
    pool = Parallel(n_jobs=workers, return_as="generator")
    results = pool(delayed(_parse_chunk)(chunk) for chunk in chunks)
    return [one for chunk in track(results, len(chunks), "structures") for one in chunk]


def _parse_chunk(paths: list[str]) -> list[list[Part]]:
    return [parts_of_file(p) for p in paths]


def _first(parts: Sequence[Part]) -> Crystal | UnusableError:
    try:
        return first_usable(parts)
    except UnusableError as error:
        return error
