"""Freed memory stays with the process where the C library allows it."""

import platform
import subprocess
import sys

import pytest

from epitaxy.core.memory import keep_freed_memory

CODE = """
import resource
from epitaxy.core.memory import keep_freed_memory
{setting}
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
first = faults()
for _ in range(10):
    blocks = [bytearray(8 * 1024 * 1024) for _ in range(10)]
    del blocks
print(faults() - first)
"""


def faults(setting):
    code = CODE.format(setting=setting)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_blocks_are_taken_from_the_system_once():
    pages = 10 * 8 * 1024 // 4
    assert faults("assert keep_freed_memory()") < 2 * pages < 5 * pages < faults("")


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
