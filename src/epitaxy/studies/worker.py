"""The process that executes runs for a study: tasks come in as JSON lines, answers go out."""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path
from typing import Any, TextIO

from epitaxy.core.errors import InputError
from epitaxy.core.memory import keep_freed_memory
from epitaxy.core.processes import serve

logger = logging.getLogger("epitaxy")


def main() -> None:
    """Execute tasks until there is nobody left who gives any."""
    prepare(sys.stderr)
    serve(lambda task: {"reason": execute(task)})


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


if __name__ == "__main__":
    main()
