"""Commands that are stopped at any moment by any signal: nothing is lost, and they can go on."""

import os
import shutil
import signal
import threading
import time
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from epitaxy.checkpoints.model_files import zoo_folder
from epitaxy.core.checksums import CHECKSUMS, file_sha256
from salts import content, in_memory, program

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
KILLS = {
    **dict.fromkeys(("train", "fit", "mixture", "study"), 9),
    **dict.fromkeys(("merge", "convert", "predict", "pull"), 6),
}
"""How often each command is stopped: sixty times in all."""
TRAINING = ("--target", "gap", "--epochs", "30", "--set", "checkpoint_seconds=0")
FIT = (
    "--candidates",
    "constant,descriptors",
    "--budget",
    "30s",
    "--threads",
    "2",
    "--repeats",
    "1",
)
SAME = (".parquet", ".safetensors", ".csv", "metrics.json", "model.json")
"""Endings of files that are the same however often a command was stopped."""
LONG = 300.0
PATIENCE = 5.0
"""Seconds after which nothing of a stopped command may be left."""


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Folder with all that the commands read."""
    folder = tmp_path_factory.mktemp("given")
    table = in_memory()
    table.to_parquet(folder / "salts.parquet")
    table.select(range(20)).to_parquet(folder / "some.parquet")
    train = {"verb": "train", "data": str(folder / "salts.parquet"), "target": "gap", "epochs": 15}
    study = {"name": "s", "base": {**train, "seed": "{t}"}, "axes": {"t": [1, 2]}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    source = zoo_folder() / "cgcnn-band-gap"
    with zipfile.ZipFile(folder / "gaps.zip", "w") as archive:
        for name in ("model.json", "model.safetensors"):
            archive.write(source / name, name)
    return folder


@pytest.fixture(scope="module")
def address(given):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

    handler = partial(Quiet, directory=str(given))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/gaps.zip"
        server.shutdown()


def command(verb, given, address):
    """Return a command line that writes ``out`` into the current folder or cache."""
    salts = given / "salts.parquet"
    mixed = ("--experts", "zoo:cgcnn-band-gap,zoo:cgcnn-formation-energy")
    return {
        "train": ("train", salts, *TRAINING, "--out", "out"),
        "fit": ("fit", salts, "--target", "gap", *FIT, "--out", "out"),
        "mixture": ("mixture", salts, *mixed, *TRAINING, "--out", "out"),
        "study": ("study", "run", given / "study.yaml", "--out", "out", "--workers", "2"),
        "merge": ("data", "merge", salts, given / "some.parquet", "--keep", "first",
                  "--out", "out.parquet"),
        "convert": ("data", "convert", salts, "out.parquet"),
        "predict": ("predict", "zoo:alignn-six-properties", salts, "--out", "out.csv"),
        "pull": ("zoo", "pull", address, "--sha256", file_sha256(given / "gaps.zip"),
                 "--name", "pulled"),
    }[verb]  # fmt: skip


def start(line, place):
    place.mkdir(exist_ok=True)
    os.environ["EPITAXY_CACHE"] = str(place / "cache")
    try:
        return program("--quiet", *line, cwd=place, start_new_session=True)
    finally:
        del os.environ["EPITAXY_CACHE"]


def finished(line, place):
    """Run a command to its end and return what it wrote that does not depend on the clock."""
    process = start(line, place)
    _, errors = process.communicate(timeout=LONG)
    assert process.returncode == 0, errors
    return {
        name: data
        for name, data in content(place).items()
        if name.endswith(SAME)
        and not {"graphs", "figures", "report.csv", CHECKSUMS} & set(Path(name).parts)
        and Path(name).name not in {"history.csv", "candidates.csv"}
        and not any(part.startswith(".") for part in Path(name).parts)
    }


def session(leader):
    """Return the processes of a session that are still there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, owner = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(owner) == leader and state != "Z":
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("verb", KILLS)
def test_stopped_at_any_moment(given, address, tmp_path, verb):
    line = command(verb, given, address)
    inputs = content(given)
    began = time.monotonic()
    whole = finished(line, tmp_path / "whole")
    took = time.monotonic() - began
    assert whole
    left, lost, different = [], [], []
    for number in range(KILLS[verb]):
        place = tmp_path / f"kill-{number}"
        process = start(line, place)
        time.sleep(took * (number + 1) / (KILLS[verb] + 1))
        process.send_signal(SIGNALS[number % len(SIGNALS)])
        process.communicate()
        end = time.monotonic() + PATIENCE
        while session(process.pid) and time.monotonic() < end:
            time.sleep(0.05)
        for survivor in session(process.pid):
            left.append((number, survivor))
            os.kill(survivor, signal.SIGKILL)
        if content(given) != inputs:
            lost.append(number)
        found = finished(line, place)
        wrong = {n for n in found.keys() | whole.keys() if found.get(n) != whole.get(n)}
        different += [(number, *sorted(wrong))] if wrong else []
        shutil.rmtree(place)
    assert (lost, different, left) == ([], [], [])
