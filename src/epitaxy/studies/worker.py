"""The process that executes runs for a study: tasks come in as JSON lines, answers go out."""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
import traceback
import warnings
from pathlib import Path
from typing import Any, TextIO

from epitaxy.core.errors import InputError
from epitaxy.core.memory import keep_freed_memory

logger = logging.getLogger("epitaxy")


def main() -> None:
    """Execute tasks until there is nobody left who gives any."""
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    prepare(sys.stderr)
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(tasks,), daemon=True).start()
    while True:
        task = tasks.get()
        answers.write(json.dumps({"reason": execute(task)}) + "\n")
        answers.flush()


def prepare(stream: TextIO) -> logging.Handler:
    """Let what runs say go to a file, and return what sends it there."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    keep_freed_memory()
    return handler


def execute(task: dict[str, Any]) -> str:
    """Execute a task; return why it failed, or nothing."""
    logger.info("Run %s.", task["id"])
    try:
        from epitaxy.studies.verbs import run_verb

        run_verb(task["verb"], task["arguments"], Path(task["out"]))
    except InputError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other runs go on
        traceback.print_exc()
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


def _receive(tasks: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Read tasks; end the process at once when the study has ended, however it did."""
    for line in iter(sys.stdin.readline, ""):
        tasks.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main()
