"""The process that does trainings of `fit`."""

from __future__ import annotations

import logging
import time
import traceback
from pathlib import Path
from typing import Any

from epitaxy.core.memory import keep_freed_memory
from epitaxy.core.processes import serve
from epitaxy.fitting.candidates.family import Candidate, Task
from epitaxy.fitting.runner import do_task, thread_pools


def main() -> None:
    """Do trainings until there is nobody left who wants any."""
    logging.getLogger("epitaxy").setLevel(logging.ERROR)
    keep_freed_memory()
    thread_pools()
    serve(answer)


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Do a training; return the seconds that it took, or the traceback of a fault."""
    given = job["task"]
    candidate = Candidate(**given["candidate"])
    task = Task(candidate, tuple(given["held"]), given["transform"], given["epochs"])
    began = time.monotonic()
    try:
        do_task(Path(job["folder"]), task)
    except Exception:  # noqa: BLE001 - whatever it is, it is told where the fit runs
        return {"fault": traceback.format_exc()}
    return {"seconds": time.monotonic() - began}


if __name__ == "__main__":
    main()
