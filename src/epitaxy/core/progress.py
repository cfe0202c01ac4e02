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
TELLING = 0.01
"""Share of the work from which on the rest of it can be told."""
BAR = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]"


class Progress:
    """Counts steps; a tqdm bar on a terminal, otherwise a line every ten seconds.

    Use as a context manager: ``with Progress(total, "graphs") as bar: bar.step()``.

    Args:
        total: number of steps.
        label: what is being done.
        enabled: False shows nothing.
        work: of all steps, where they differ: the time that is left follows from it.
    """

    def __init__(
        self, total: int, label: str, *, enabled: bool = True, work: float | None = None
    ) -> None:
        self.total, self.label, self.enabled = total, label, enabled
        self.work = total if work is None else work
        self.done, self.worked = 0, 0.0
        self.note = ""
        self._last_line = time.monotonic()
        self._first: tuple[float, float] | None = None
        self._bar: Any = None
        if enabled and sys.stderr.isatty():
            self._bar = tqdm(
                total=self.work, desc=label, leave=False, dynamic_ncols=True, bar_format=BAR
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, n: int = 1, note: str = "", *, work: float | None = None) -> None:
        """Advance by ``n``; ``note`` (the current loss, say) is shown beside the count.

        ``work`` is the share that these steps have in that of all.
        """
        more = n if work is None else work
        self.done, self.worked = self.done + n, self.worked + more
        self.note = note or self.note
        if self._first is None:
            self._first = time.monotonic(), self.worked
        if self._bar is not None:
            count = f"{self.done}/{self.total} {self.note}".rstrip()
            self._bar.set_postfix_str(count, refresh=False)
            self._bar.update(more)
        elif self.enabled and time.monotonic() - self._last_line > LINE_EVERY_SECONDS:
            self._line()

    def seconds_left(self) -> float | None:
        """Return the expected seconds; None as long as too little is done to tell.

        The first step does not tell, since what is started for all happens in it.
        """
        if self._first is None or self.worked < TELLING * self.work:
            return None
        began, before = self._first
        done = self.worked - before
        left = max(self.work - self.worked, 0.0)
        return left * (time.monotonic() - began) / done if done else None

    def _line(self) -> None:
        self._last_line = time.monotonic()
        left = self.seconds_left()
        told = "" if left is None else f", about {left:.0f} s left"
        logger.info("%s: %d/%d%s %s", self.label, self.done, self.total, told, self.note)


def track(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Yield ``items`` while showing how many of ``total`` are done."""
    with Progress(total, label) as bar:
        for item in items:
            yield item
            bar.step()
