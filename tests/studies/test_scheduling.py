"""Order, retries and what is lost when a run fails, with an executor that only pretends."""

import pytest

from epitaxy.studies.scheduling import DEATHS, schedule
from epitaxy.studies.tasks import Outcome, Task


class Pretends:
    """Ends tasks in the order in which they came; those in ``faults`` fail so many times."""

    died = False

    def __init__(self, workers=1, **faults):
        self.workers, self.faults, self.busy, self.most = workers, faults, [], 0

    def submit(self, task):
        self.busy.append(task.id)
        self.most = max(self.most, len(self.busy))
        assert len(self.busy) <= self.workers

    def wait(self):
        chosen = self.busy.pop(0)
        left = self.faults.get(chosen, 0)
        self.faults[chosen] = left - 1
        return Outcome(chosen, 1.0, "it broke" if left > 0 else "", died=self.died)


class Dies(Pretends):
    """Lets processes die instead."""

    died = True


def run(executor, **needs):
    tasks = {name: Task(name, "train", {}, name) for name in needs}
    return [f"{e.id} {e.kind}" for e in schedule(tasks, needs, executor)]


def ends(events):
    return {e.split(" ", 1)[0]: e.split(" ", 1)[1] for e in events}


def test_what_others_need_comes_first():
    events = run(Pretends(), c=("b",), a=(), b=("a",))
    assert [e for e in events if "finished" in e] == ["a finished", "b finished", "c finished"]


def test_workers_are_all_used():
    executor = Pretends(3)
    events = run(executor, a=(), b=(), c=(), d=(), e=("a", "b"))
    assert executor.most == 3
    assert set(ends(events).values()) == {"finished"}


def test_what_is_finished_already_is_no_task():
    assert run(Pretends(), a=("done before",)) == ["a started", "a finished"]


def test_one_failure_is_tried_again():
    events = run(Pretends(a=1), a=(), b=("a",))
    assert events == [
        "a started",
        "a retried",
        "a started",
        "a finished",
        "b started",
        "b finished",
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_two_failures_lose_what_needs_the_run_and_nothing_else(workers):
    events = run(Pretends(workers, a=2), a=(), b=("a",), c=("b",), d=(), e=("d",))
    assert ends(events) == {
        "a": "failed",
        "b": "not run",
        "c": "not run",
        "d": "finished",
        "e": "finished",
    }
    assert events.count("a started") == 2
    assert not [e for e in events if e in {"b started", "c started"}]


def test_two_parents_of_which_one_fails():
    events = run(Pretends(2, a=2), a=(), b=(), c=("a", "b"))
    assert ends(events) == {"a": "failed", "b": "finished", "c": "not run"}


def test_a_run_whose_process_dies_goes_on_several_times():
    events = run(Dies(a=DEATHS - 1), a=())
    assert events.count("a retried") == DEATHS - 1
    assert events[-1] == "a finished"
    events = run(Dies(a=DEATHS), a=(), b=("a",), c=())
    assert ends(events) == {"a": "failed", "b": "not run", "c": "finished"}
    assert events.count("a started") == DEATHS


def test_the_number_of_workers_may_change():
    class Grows(Pretends):
        def wait(self):
            self.workers = 3
            return super().wait()

    executor = Grows(1)
    run(executor, a=(), b=(), c=(), d=(), e=())
    assert executor.most == 3
