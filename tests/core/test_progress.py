"""The time that is left."""

import logging

from epitaxy.core import progress
from epitaxy.core.progress import Progress


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


def lines(caplog, monkeypatch, steps, work):
    """Return what a progress says whose steps are (seconds, work)."""
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    logging.getLogger("epitaxy").propagate = True
    with caplog.at_level(logging.INFO, "epitaxy"), Progress(len(steps), "x", work=work) as bar:
        for seconds, share in steps:
            clock.now += seconds
            bar.step(work=share)
    return [record.getMessage() for record in caplog.records]


def test_it_follows_from_the_work_not_from_the_number_of_steps(caplog, monkeypatch):
    steps = [(100.0, 50.0), (100.0, 50.0), *[(1.0, 0.5)] * 20]
    said = lines(caplog, monkeypatch, steps, work=110.0)
    assert "left" not in said[0]
    assert "2/22, about 20 s left" in said[1]


def test_nothing_is_foretold_from_next_to_nothing(caplog, monkeypatch):
    steps = [(200.0, 0.1), (20.0, 0.1), (20.0, 9.9)]
    said = lines(caplog, monkeypatch, steps, work=1000.0)
    assert "left" not in said[0] + said[1]
    assert "3/3, about 3960 s left" in said[2]
