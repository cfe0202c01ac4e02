"""Disks that are full, small, read-only or gone; caches that can be done without."""

import errno
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from epitaxy.core.errors import DiskError
from epitaxy.core.files import cache_folder, readable_disk_errors, write_text
from epitaxy.core.memory import is_exhausted
from epitaxy.descriptors.table import describe_table
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.store import build_graphs
from epitaxy.structures.caching import cached
from epitaxy.structures.reading import read_source
from salts import environment, in_memory


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EFBIG, "larger than the system allows"),
        (errno.ENOENT, "has gone"),
        (errno.EIO, "reports a fault"),
        (errno.ELOOP, "leads back to itself"),
        (errno.EPERM, "not permitted"),
    ],
)
def test_faults_of_disks_are_sentences(tmp_path, number, words):
    with pytest.raises(DiskError, match=words), readable_disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    with pytest.raises(OSError, match="Bad file"), readable_disk_errors(tmp_path):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def test_a_limit_of_file_sizes(tmp_path):
    code = (
        "import resource, signal, sys; from epitaxy.core.files import write_text;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "write_text(sys.argv[1], 'x' * 5000)"
    )
    write_text(tmp_path / "x.txt", "what was there")
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.txt"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert "DiskError" in done.stderr
    assert "larger than the system allows" in done.stderr
    assert (tmp_path / "x.txt").read_text() == "what was there"
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, caplog, monkeypatch):
    (tmp_path / "file").write_text("theirs")
    table, cache = in_memory(), tmp_path / "file" / "cache"
    kept = build_graphs(table, GraphRecipe(), cache=tmp_path / "cache")
    found = build_graphs(table, GraphRecipe(), cache=cache)
    rows = np.arange(len(table))
    assert np.array_equal(found.gather(rows).bond_length, kept.gather(rows).bond_length)
    assert "Could not write" in caplog.text
    assert "kept in memory only" in caplog.text
    described = describe_table(table, "composition", cache=cache)
    assert len(described.ids) == len(table)
    assert "descriptors are not kept" in caplog.text
    monkeypatch.setenv("EPITAXY_CACHE", str(cache))
    table.to_parquet(tmp_path / "x.parquet")
    reading = cached("x", lambda: read_source(str(tmp_path / "x.parquet")))
    assert "The table is not kept." in reading.notes[-1]
    assert (tmp_path / "file").read_text() == "theirs"


def test_users_without_a_home(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("EPITAXY_CACHE")
    monkeypatch.setattr("pathlib.Path.home", homeless)
    assert cache_folder().name == f"epitaxy-{os.getuid()}"


def test_words_of_missing_memory():
    caused = ValueError("could not read")
    caused.__cause__ = MemoryError()
    assert is_exhausted(caused)
    for words in ("DefaultCPUAllocator: can't allocate memory", "CUDA out of memory."):
        assert is_exhausted(RuntimeError(words))
    assert is_exhausted(ImportError("x.so: failed to map segment from shared object"))
    assert not is_exhausted(ValueError("the disk is full"))
