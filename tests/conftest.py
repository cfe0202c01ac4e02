"""What every test gets: seeded generators, a cache of its own, the shared material if present."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    """Keep graphs that tests build out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EPITAXY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _seeded():
    """Give each test the same random numbers whatever ran before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries of others draw from it
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with data and checkpoints that are not shipped with the project."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"the shared material is not at {folder}")
    return folder
