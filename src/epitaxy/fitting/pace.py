"""The clock of a fit with a deadline: how long what must be done will take, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RESERVE = 3.0
"""Seconds for models, intervals, card and report, in those of the machine of the measurements."""
RESERVE_PER_ROW = 0.002
"""More of them for each crystal."""
MARGIN = 1.2
"""What must be done may take so many times what is expected."""
PER_TASK = 0.03
"""Seconds that a training takes beside its formula, for opening and writing files."""
KNOWN_FROM = 1.0
"""Planned seconds of finished trainings from which on their times tell how slow the machine is."""
RECENT = 12
"""Trainings that tell how slow it is now."""
SLOWEST = 30.0


@dataclass(frozen=True)
class Deadline:
    """A promise on the clock of the wall."""

    seconds: float
    """As the user gave it."""
    end: float
    """Reading of `time.monotonic` at which it has passed."""

    @classmethod
    def after(cls, seconds: float, since: float = 0.0) -> Deadline:
        """Return one that began ``since`` seconds ago."""
        return cls(seconds, time.monotonic() + seconds - since)

    def part(self, share: float) -> Deadline:
        """Return one for a share of the time that is left."""
        left = max(self.end - time.monotonic(), 0.0)
        return Deadline.after(share * left)


@dataclass
class Pace:
    """What the clock says of trainings whose time was planned.

    Without a deadline it never stops anything.
    """

    factor: float = 1.0
    """Seconds here for one planned second, see `speed.machine_factor`."""
    deadline: Deadline | None = None
    rows: int = 0
    """Crystals for which models, intervals and report will be written."""
    contention: float = 1.0
    """How many times longer work takes than it needs the processor, before trainings tell."""
    left_out: list[str] = field(default_factory=list)
    """What the deadline left out, in words."""
    times: list[tuple[float, float]] = field(default_factory=list)
    """Planned and real seconds of finished trainings."""

    def record(self) -> dict[str, Any] | None:
        """Return the deadline and what it left out; None if it changed nothing."""
        if self.deadline is None or not self.left_out:
            return None
        return {"seconds": self.deadline.seconds, "left_out": list(dict.fromkeys(self.left_out))}

    def note(self, planned: float, seconds: float) -> None:
        """Take note of a finished training."""
        self.times.append((self.factor * (planned + PER_TASK), seconds))

    def look(self, seconds: float, computed: float) -> None:
        """Take note that so much time has passed, and so much of it the processor worked for us."""
        if computed > KNOWN_FROM / 10:
            self.contention = min(max(seconds / computed, 1.0), SLOWEST)

    @property
    def slowness(self) -> float:
        """How many times longer than planned trainings take: all, or the last ones if slower."""
        if sum(planned for planned, _ in self.times) < KNOWN_FROM:
            return self.contention
        found = [_ratio(self.times), _ratio(self.times[-RECENT:])]
        return min(max(*found, 0.5), SLOWEST)

    def seconds(self, planned: float) -> float:
        """Return how long something will take here and now."""
        return self.factor * self.slowness * planned

    def spare(self, planned: float) -> float:
        """Return the seconds left when so much more is done, and all is written; may be negative.

        Args:
            planned: seconds of the plan, with as many processes as there are.
        """
        if self.deadline is None:
            return math.inf
        writing = RESERVE + RESERVE_PER_ROW * self.rows
        needed = self.seconds(planned + writing)
        return self.deadline.end - time.monotonic() - MARGIN * needed


def ended_by(record: Mapping[str, Any] | None) -> list[str]:
    """Return what a `Pace.record` says, in words."""
    if record is None:
        return []
    undone = "; ".join(record["left_out"])
    advice = (
        "This is the best so far. A repetition may find another, since a clock decided; the same "
        "command into the same folder, with more time, goes on."
    )
    return [
        f"The deadline of {record['seconds']:.0f} s ended the search; not done: {undone}.",
        advice,
    ]


def _ratio(times: list[tuple[float, float]]) -> float:
    return sum(seconds for _, seconds in times) / sum(planned for planned, _ in times)
