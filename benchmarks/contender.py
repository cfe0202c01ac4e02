"""The asking side of `alignn_parts/worker.py`: processes that time one contender each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


class Contender:
    """A process that does what it is asked, a command and an answer per line."""

    def __init__(
        self, command: Sequence[str], log: Path, threads: int, variables: Mapping[str, str]
    ) -> None:
        """Start it.

        Args:
            command: program and arguments.
            log: file for what it says beside its answers; it runs in the folder of this file.
            threads: of its sums and products.
            variables: further environment variables.
        """
        self.log = log
        limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        with log.open("w", encoding="utf-8") as file:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                cwd=log.parent,
                env=os.environ | limits | variables,
            )

    def ask(self, question: str) -> dict[str, float]:
        """Send a command and wait for the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            last = self.log.read_text(encoding="utf-8", errors="replace")[-3000:]
            sys.exit(f"The worker ended without an answer to {question!r}:\n{last}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
