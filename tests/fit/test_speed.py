"""The calibration of a machine, and plans in its seconds."""

import json

import pytest

from epitaxy.fitting import speed
from epitaxy.fitting.plan import make_plan
from epitaxy.fitting.speed import GRID, machine_factor, rounded, workload_seconds

FAMILIES = ["constant", "descriptors", "head", "finetune"]


def test_a_slower_machine_tries_less_in_the_same_time(problem):
    object.__setattr__(problem, "speeds", {"other": 5e-3, "cgcnn": 5e-3})
    quick, slow = (make_plan(problem, FAMILIES, 300, 1, factor=f) for f in (1.0, 4.0))
    assert slow.epochs < quick.epochs or len(slow.networks) < len(quick.networks)
    assert slow.seconds <= 300
    assert make_plan(problem, FAMILIES, 1200, 1, factor=4.0).seconds <= 1200
    same = make_plan(problem, FAMILIES, 600, 1, factor=2.0)
    assert same.shallow == quick.shallow
    assert (same.networks, same.epochs, same.trials) == (quick.networks, quick.epochs, quick.trials)
    assert same.seconds == pytest.approx(2 * quick.seconds)


def test_it_is_measured_once_for_a_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("EPITAXY_CACHE", str(tmp_path))
    monkeypatch.setattr(speed, "workload_seconds", lambda: 3.7 * speed.REFERENCE)
    assert machine_factor() == 4.0
    monkeypatch.setattr(speed, "workload_seconds", lambda: pytest.fail("measured again"))
    assert machine_factor() == 4.0
    (file,) = tmp_path.rglob("*.json")
    assert json.loads(file.read_text()) == {"factor": 4.0}
    file.write_text("{")
    monkeypatch.setattr(speed, "workload_seconds", lambda: speed.REFERENCE)
    assert machine_factor() == 1.0


def test_a_little_more_or_less_is_the_same_plan():
    for factor in (0.25, 1.0, 8.0):
        assert {rounded(factor * off) for off in (0.75, 0.9, 1.0, 1.1, 1.35)} == {factor}
    assert rounded(GRID) == GRID


def test_the_workload_counts_the_processor_not_the_clock(monkeypatch):
    hands = iter(range(10_000))
    monkeypatch.setattr(speed.time, "thread_time", lambda: float(next(hands)))
    monkeypatch.setattr(speed.time, "monotonic", lambda: pytest.fail("looked at the clock"))
    assert workload_seconds(rounds=2) == 4.0
