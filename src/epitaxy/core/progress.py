"""Progress that is a bar on a terminal and a few plain lines in a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Self, TypeVar

from tqdm import tqdm

T = TypeVar("T")
logger = logging.getLogger("epitaxy")

LINE_EVERY_SECONDS = 10.0
"""In a log file a line is written at most this often."""


class Progress:
    """Counts steps; a tqdm bar on a terminal, otherwise a line every ten seconds.

    Use as a context manager: ``with Progress(total, "graphs") as bar: bar.step()``.
    """

    def __init__(self, total: int, label: str, *, enabled: bool = True) -> None:
        self.total, self.label, self.enabled = total, label, enabled
        self.done = 0
        self.note = ""
        self._started = self._last_line = time.monotonic()
        self._bar: Any = None
        if enabled and sys.stderr.isatty():
            self._bar = tqdm(total=total, desc=label, leave=False, dynamic_ncols=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, n: int = 1, note: str = "") -> None:
        """Advance by ``n``; ``note`` (the current loss, say) is shown beside the count."""
        self.done += n
        self.note = note or self.note
        if self._bar is not None:
            self._bar.set_postfix_str(self.note, refresh=False)
            self._bar.update(n)
        elif self.enabled and time.monotonic() - self._last_line > LINE_EVERY_SECONDS:
            self._line()

    def _line(self) -> None:
        self._last_line = time.monotonic()
        rate = self.done / (self._last_line - self._started)
        left = (self.total - self.done) / rate if rate else 0.0
        logger.info(
            "%s: %d/%d, about %.0f s left %s", self.label, self.done, self.total, left, self.note
        )


def track(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Yield ``items`` while showing how many of ``total`` are done."""
    with Progress(total, label) as bar:
        for item in items:
            yield item
            bar.step()
