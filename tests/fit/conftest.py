"""Problems in memory, and one finished fit."""

import pytest

from problems import FEW, problem_of
from salts import IDS, write_folder


@pytest.fixture(scope="session", autouse=True)
def _few_trees():
    """Keep forests and perceptrons small: their numbers are not what these tests are about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("epitaxy.fitting.learners.boosting.STEPS", 15)
        patch.setattr("epitaxy.fitting.learners.extra_trees.TREES", 20)
        patch.setattr("epitaxy.fitting.learners.mlp.HIDDEN", (8, 8))
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Folder of CIF files with a table without a header."""
    return write_folder(tmp_path_factory.mktemp("fit") / "salts", header="", ids=IDS)


@pytest.fixture(scope="session")
def finished(folder, tmp_path_factory):
    """Return a fit on descriptors and embeddings; nobody may change it."""
    from epitaxy.fitting.fit import fit

    out = tmp_path_factory.mktemp("finished") / "run"
    return fit(
        folder,
        "gap",
        out,
        unit="eV",
        candidates="descriptors,embeddings",
        sources="zoo:cgcnn-band-gap",
        **FEW,
    )


@pytest.fixture
def problem():
    """Return a problem in memory."""
    return problem_of()
