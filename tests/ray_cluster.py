"""A Ray cluster of this machine for tests: a head without runs and two workers of one core each."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from salts import environment

WAIT = 120.0
"""Seconds that a part of the cluster may take to start."""
SETTINGS = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "15",
}
ATTEMPTS = 4
"""Ray gives up when something takes 30 s, which it does where the machine has much else to do."""
LOOPBACK = "127.0.0.1"


def processes_below(process: int) -> list[int]:
    """Return a process and all that it started, directly or through others."""
    found = [process]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += [int(n) for n in task.read_text().split()]
            except OSError:
                continue
    return found


def named(processes: list[int], word: str) -> list[int]:
    """Return those processes in whose command line a word stands."""
    found = []
    for process in processes:
        try:
            line = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if word in line:
            found.append(process)
    return found


class Cluster:
    """A context manager; leaves nothing behind."""

    def __init__(self) -> None:
        # Ray makes sockets in it, whose paths must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))
        self.environment = {**environment(), **SETTINGS}
        self.parts: dict[str, subprocess.Popen] = {}
        self.address = ""

    def start(self, name: str, *arguments: str) -> None:
        """Start a part of the cluster, and wait until it is there."""
        for _ in range(ATTEMPTS):
            if self._started(name, arguments):
                return
            self.kill_part(name)
        raise AssertionError((self.folder / f"{name}.txt").read_text())

    def _started(self, name: str, arguments: tuple[str, ...]) -> bool:
        command = [Path(sys.executable).with_name("ray"), "start", "--block", *arguments]
        said = self.folder / f"{name}.txt"
        with said.open("w") as file:
            self.parts[name] = subprocess.Popen(
                [*command, "--node-ip-address", LOOPBACK],
                env=self.environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        end = time.monotonic() + WAIT
        while "Ray runtime started" not in said.read_text():
            if self.parts[name].poll() is not None or time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def start_head(self, cores: int = 0) -> None:
        temporary = ("--temp-dir", str(self.folder / str(len(list(self.folder.iterdir())))))
        where = ("--port", "0", "--include-dashboard", "false")
        self.start("head", "--head", "--num-cpus", str(cores), *where, *temporary)
        file = Path(temporary[1]) / "ray_current_cluster"
        end = time.monotonic() + WAIT
        while not (file.is_file() and file.read_text().strip()):
            assert time.monotonic() < end, list(file.parent.iterdir())
            time.sleep(0.1)
        self.address = file.read_text().strip()

    def start_worker(self, name: str) -> None:
        self.start(name, "--address", self.address, "--num-cpus", "1")

    def runs(self) -> list[int]:
        """Return the processes that execute runs at this moment."""
        below = [p for part in self.parts.values() for p in processes_below(part.pid)]
        return named(below, "ray::execute_here")

    def kill_part(self, name: str) -> None:
        """Kill a machine of the cluster, as far as it is one."""
        part = self.parts.pop(name)
        for process in reversed(processes_below(part.pid)):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        part.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for name in list(self.parts):
            self.kill_part(name)
        shutil.rmtree(self.folder, ignore_errors=True)
